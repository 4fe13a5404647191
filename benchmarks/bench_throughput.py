"""100 000 cheap items, cold, against a script written by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved
from benchmarks.studies import STORES, cold_run, emptied, square

PEER = "script: multiprocessing.Pool(2), imap_unordered(chunksize=100), JSON lines, savez"


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(100_000)
    by_hand = environment.folder("by-hand")
    contenders = {
        "by hand": Contender(
            [environment.peer("pool.py", str(n))], by_hand, before=lambda: emptied(by_hand)
        ),
        **{
            store: cold_run(environment, square(environment, f"throughput-{store}", n, store))
            for store in STORES
        },
    }
    samples = interleaved(contenders, environment.repeats(5))
    peer = samples["by hand"]
    for store in STORES:
        mine = samples[store]
        yield Figure(
            f"psy run, {n} psets, {store}",
            seconds(mine.wall, mine.cpu),
            mine.wall / peer.wall,
            "×",
            1.5,
            PEER,
            seconds(peer.wall, peer.cpu),
            note=f"CPU {mine.cpu / peer.cpu:.2f} ×; peak {mine.peak_mb:.0f} MB, "
            f"peer {peer.peak_mb:.0f} MB",
        )
