"""The merge step: a million rows to HDF5 against PyTables alone, and the memory of 2 GB."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import merged_anew, square, study

_ARRAY_SETS = {"result": "the result's arrays", "all": "these and the bookkeeping's"}

_ARRAYS = """\
import numpy as np

from psyflow import H5Store, Param

pspace = Param(x=range({n}))
pool_size = 2
store = H5Store()


def execute(x):
    return {{"y": np.full(1000, float(x))}}
"""


def run(environment: Environment) -> Iterator[Figure]:
    yield from _speed(environment)
    yield _memory(environment)


def _speed(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    folder = square(environment, "merge", n, "H5Store")
    measured(Contender([environment.program("prepare_merge.py")], folder))
    direct = {
        which: Contender([environment.program("write_tables.py", which, str(n))], folder)
        for which in ("result", "all")
    }
    samples = interleaved(
        {"merge": merged_anew(environment, folder), **direct}, environment.repeats(7)
    )
    mine = samples["merge"]
    for which, words in (
        ("result", "the result's arrays"),
        ("all", "these and the bookkeeping's"),
    ):
        peer = samples[which]
        yield Figure(
            f"merge of {n} rows to HDF5, bookkeeping included",
            seconds(mine.reported("seconds")),
            mine.reported("seconds") / peer.reported("seconds"),
            "×",
            3.0,
            f"tables.create_array of {words}, fsync",
            seconds(peer.reported("seconds")),
            note="without imports",
        )


def _memory(environment: Environment) -> Figure:
    n = environment.items(262_144)
    folder = study(environment, "merge-large", _ARRAYS.format(n=n))
    measured(Contender([environment.program("prepare_merge.py")], folder))
    usage = measured(merged_anew(environment, folder))
    return Figure(
        f"merge of {n * 8008 / 1e9:.1f} GB to HDF5: memory",
        f"{usage.peak_mb:.0f} MB",
        usage.peak_mb,
        "MB",
        300.0,
        note=f"{n} rows with an array of 1000 numbers; {seconds(usage.wall, usage.cpu)}",
    )
