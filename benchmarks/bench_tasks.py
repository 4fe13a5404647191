"""Many task files, each with a few hundred quick items: what a task costs beyond its items."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import interleaved
from benchmarks.studies import cold_run, square_text

N_ITEMS = 300
MOST_WALL, MOST_CPU = 25.0, 50.0


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(50)
    folder = environment.folder("tasks")
    (folder / "psy-tasks").mkdir()
    for number in range(n):
        text = square_text(N_ITEMS, "NpzStore")
        (folder / "psy-tasks" / f"task_t{number}.py").write_text(text)
    sample = interleaved({"run": cold_run(environment, folder)}, environment.repeats(3))["run"]
    what = f"psy run of {n} tasks of {N_ITEMS} quick items, each: "
    took = seconds(sample.wall, sample.cpu)
    for name, spent, limit in (("time", sample.wall, MOST_WALL), ("CPU", sample.cpu, MOST_CPU)):
        each = 1000 * spent / n
        yield Figure(f"{what}{name}", took, each, "ms", limit, note="start-up included")
