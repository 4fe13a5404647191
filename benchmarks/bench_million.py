"""A million cheap items, end to end, against a bare loop, and against a pool by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved
from benchmarks.studies import STORES, cold_run, emptied, square

POOL = "script: multiprocessing.Pool(2), a pickle of each 4096, an fsync a second, savez"


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    by_hand = environment.folder("million-by-hand")
    contenders = {
        "loop": Contender([environment.program("loop.py", str(n))], environment.folder("loop")),
        "pool": Contender(
            [environment.peer("chunks.py", str(n))], by_hand, before=lambda: emptied(by_hand)
        ),
        **{
            store: cold_run(environment, square(environment, f"million-{store}", n, store))
            for store in STORES
        },
    }
    samples = interleaved(contenders, environment.repeats(3))
    # Two workers share the calls, so they hide half of what the loop takes, and no more.
    function = samples["loop"].reported("seconds") / 2
    pool = samples["pool"]
    for store in STORES:
        mine = samples[store]
        what = f"psy run, {n} psets, {store}"
        yield Figure(
            f"{what}: time per item",
            seconds(mine.wall, mine.cpu),
            (mine.wall - function) / n * 1e6,
            "µs",
            6.0,
            "the function alone, on 2 cores",
            seconds(function),
            note=f"CPU {mine.cpu / n * 1e6:.2f} µs per item; start-up included",
        )
        took = seconds(pool.wall, pool.cpu)
        yield Figure(
            f"{what}: wall",
            seconds(mine.wall, mine.cpu),
            mine.wall / pool.wall,
            "×",
            1.5,
            POOL,
            took,
        )
        yield Figure(
            f"{what}: CPU", seconds(mine.wall, mine.cpu), mine.cpu / pool.cpu, "×", 2.0, POOL, took
        )
        yield Figure(f"{what}: memory", f"{mine.peak_mb:.0f} MB", mine.peak_mb, "MB", 400.0)
