"""The merge of the same rows from very many shards, against a few.

What has to be reached: 10 000 shards take three times as long as 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import merged_anew, square

FEW, MANY = 100, 10_000
FRAME = 100


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    merges = {
        "few": merged_anew(environment, _dealt_out(environment, n, FEW, FRAME)),
        "few, large frames": merged_anew(environment, _dealt_out(environment, n, FEW, n // FEW)),
        "many": merged_anew(environment, _dealt_out(environment, n, MANY, FRAME)),
    }
    samples = interleaved(merges, environment.repeats(5))
    mine = samples["many"]
    for name, words in (
        ("few", f"in frames of {FRAME} rows, too"),
        ("few, large frames", f"in one frame each, of {n // FEW} rows"),
    ):
        peer = samples[name]
        ratio = mine.reported("seconds") / peer.reported("seconds")
        cpu = mine.reported("cpu") / peer.reported("cpu")
        exponent = math.log(max(cpu, 1e-3), MANY / FEW)
        yield Figure(
            f"merge of {n} rows from {MANY} shards",
            seconds(mine.reported("seconds"), mine.reported("cpu")),
            ratio,
            "×",
            3.0,
            f"from {FEW}, {words}",
            seconds(peer.reported("seconds"), peer.reported("cpu")),
            note=f"CPU {cpu:.2f} ×, as shards^{exponent:.2f}; peak {mine.peak_mb:.0f} MB",
        )


def _dealt_out(environment: Environment, n: int, n_shards: int, frame: int) -> Path:
    folder = square(environment, f"shards-{n_shards}-{frame}", n, "NpzStore")
    program = environment.program("write_shards.py", str(n_shards), "--frame", str(frame))
    measured(Contender([[*program, "--seconds", "1e-6"]], folder))
    return folder
