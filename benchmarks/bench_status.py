"""`psy status` of a large run that is half done."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import square


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    folder = square(environment, "status", n, "NpzStore")
    measured(Contender([environment.program("half_done.py")], folder))
    status = Contender([[environment.psy, "status"]], folder)
    mine = interleaved({"status": status}, environment.repeats(7))["status"]
    yield Figure(
        f"psy status, {n} items, half done, 1 % failed",
        seconds(mine.wall, mine.cpu),
        mine.wall,
        "s",
        1.0,
        note=f"peak {mine.peak_mb:.0f} MB",
    )
