"""`psy run` when everything is done, with a million items against ten."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import STORES, cold_run, square


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    contenders = {}
    for store in STORES:
        for size in (10, n):
            folder = square(environment, f"again-{size}-{store}", size, store)
            measured(cold_run(environment, folder))
            contenders[f"{size} {store}"] = Contender([[environment.psy, "run"]], folder)
    samples = interleaved(contenders, environment.repeats(7))
    for store in STORES:
        many, few = samples[f"{n} {store}"], samples[f"10 {store}"]
        yield Figure(
            f"psy run, all of {n} done, {store}",
            seconds(many.wall, many.cpu),
            many.wall - few.wall,
            "s more",
            0.3,
            "the same with 10 psets",
            seconds(few.wall, few.cpu),
            note=f"peak {many.peak_mb:.0f} MB",
        )
