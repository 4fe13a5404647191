"""Items that take long, and leave a frame each: looking at them and merging, against SQLite.

What has to be reached: twice what a script with a row in SQLite for each item takes for the same,
and 150 MB, with 100 000 items; with 1 000 000, 1.5 s for `psy status`, 5 s for the merge, 400 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, Sample, interleaved, measured
from benchmarks.studies import merged_anew, square, undo_merge

SECONDS = 0.05
"""How long an item takes, by its shard."""
N_WORKERS = 4


def run(environment: Environment) -> Iterator[Figure]:
    yield from _against_sqlite(environment)
    yield from _growth(environment)


def _against_sqlite(environment: Environment) -> Iterator[Figure]:
    n = environment.items(100_000)
    by_hand = environment.folder("slow-by-hand")
    measured(Contender([environment.peer("sqlite.py", "prepare", str(n))], by_hand))
    folder = _slow(environment, "slow", n)
    looks = {
        look: _unmerged([environment.program("look.py", look)], folder)
        for look in ("status", "load")
    }
    peers = {
        name: Contender([environment.peer("sqlite.py", name)], by_hand)
        for name in ("done", "rows")
    }
    merge = merged_anew(environment, folder)
    samples = interleaved({**peers, **looks, "merge": merge}, environment.repeats(5))
    for name, peer, words in (
        ("status", "done", "SELECT x, a set"),
        ("merge", "rows", "SELECT * ORDER BY x, savez"),
        ("load", "rows", "SELECT * ORDER BY x, savez"),
    ):
        yield _ratio(f"{name} of {n} items of {SECONDS} s", samples[name], samples[peer], words)
    peak = max(samples[name].peak_mb for name in ("status", "merge", "load"))
    what = f"status, merge and load of {n} items of {SECONDS} s: memory"
    yield Figure(what, f"{peak:.0f} MB", peak, "MB", 150.0)


def _ratio(what: str, mine: Sample, peer: Sample, words: str) -> Figure:
    took, peer_took = mine.reported("seconds"), peer.reported("seconds")
    return Figure(
        what,
        seconds(took, mine.reported("cpu")),
        took / peer_took,
        "×",
        2.0,
        f"sqlite3: {words}",
        seconds(peer_took, peer.reported("cpu")),
        note=f"CPU {mine.reported('cpu') / peer.reported('cpu'):.2f} ×; without imports",
    )


def _growth(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    folder = _slow(environment, "slow-many", n)
    status = _unmerged([[environment.psy, "status"]], folder)
    merge = merged_anew(environment, folder)
    samples = interleaved({"status": status, "merge": merge}, environment.repeats(3))
    found, merged = samples["status"], samples["merge"]
    what = f"{n} items of {SECONDS} s"
    yield Figure(
        f"psy status of {what}",
        seconds(found.wall, found.cpu),
        found.wall,
        "s",
        1.5,
        note="start-up included",
    )
    yield Figure(
        f"merge of {what}",
        seconds(merged.reported("seconds"), merged.reported("cpu")),
        merged.reported("seconds"),
        "s",
        5.0,
        note="without imports",
    )
    peak = max(found.peak_mb, merged.peak_mb)
    yield Figure(f"status and merge of {what}: memory", f"{peak:.0f} MB", peak, "MB", 400.0)


def _unmerged(commands: Sequence[Sequence[str]], folder: Path) -> Contender:
    return Contender(commands, folder, before=lambda: undo_merge(folder))


def _slow(environment: Environment, name: str, n: int) -> Path:
    """Make a folder with the shards of items that took long."""
    folder = square(environment, name, n, "NpzStore")
    shards = environment.program("write_shards.py", str(N_WORKERS), "--seconds", str(SECONDS))
    measured(Contender([shards], folder))
    return folder
