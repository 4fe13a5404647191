"""Ten psets more in a space of ten millions that are done: looking, asking why, and running."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, Sample, interleaved, measured
from benchmarks.studies import cold_run, square, square_text

SECONDS = {"status": 1.0, "why": 1.5, "run": 4.0}
MOST_MB = 600.0


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(10_000_000)
    folder = square(environment, "grown", n, "H5Store")
    measured(cold_run(environment, folder))
    grow = _grower(folder, n)
    contenders = {
        "peer": Contender([environment.peer("grow_table.py", "table.h5", str(n))], folder),
        "status": Contender([[environment.psy, "status"]], folder, grow),
        "why": Contender([[environment.psy, "why"]], folder),
        "run": Contender([[environment.psy, "run"]], folder),
    }
    samples = interleaved(contenders, environment.repeats(3))
    for command, limit in SECONDS.items():
        yield _figure(f"psy {command}", n, samples[command], samples["peer"], limit)
    peak = samples["run"].peak_mb
    yield Figure(f"10 more than {n} psets: memory", f"{peak:.0f} MB", peak, "MB", MOST_MB)


def _grower(folder: Path, n: int) -> Callable[[], None]:
    """Return what gives the task of a folder ten more psets each time it is called."""
    task = folder / "psy-tasks" / "task_study.py"
    sizes = itertools.count(n + 10, 10)
    return lambda: (task.write_text(square_text(next(sizes), "H5Store")), None)[1]


def _figure(command: str, n: int, mine: Sample, peer: Sample, limit: float) -> Figure:
    is_run = command == "psy run"
    return Figure(
        f"{command}, 10 more than {n} psets that are done",
        seconds(mine.wall, mine.cpu),
        mine.wall,
        "s",
        limit,
        "a table in HDF5, read with PyTables, and written anew with 10 rows more" * is_run,
        seconds(peer.wall, peer.cpu) * is_run,
        note=f"peak {mine.peak_mb:.0f} MB" + f", peer {peer.peak_mb:.0f} MB" * is_run,
    )
