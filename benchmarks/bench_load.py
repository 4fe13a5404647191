"""`psyflow.load` of a million rows, against the library of the format alone."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import STORES, cold_run, square

_LIBRARIES = {"PickleStore": "pickle.load", "NpzStore": "numpy.load", "H5Store": "tables, read()"}


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    program = environment.program("load.py", str(n))
    contenders = {}
    for store in STORES:
        folder = square(environment, f"load-{store}", n, store)
        measured(cold_run(environment, folder))
        contenders[store] = Contender([program], folder)
    samples = interleaved(contenders, environment.repeats(3))
    for store in STORES:
        found = samples[store]
        mine, alone = found.reported("psyflow"), found.reported("library")
        others = f"one column {seconds(found.reported('column'))}"
        others += f"; with bookkeeping {seconds(found.reported('bookkeeping'))}"
        yield Figure(
            f"psyflow.load, {n} rows, {store}",
            seconds(mine),
            mine / alone,
            "×",
            1.3,
            _LIBRARIES[store],
            seconds(alone),
            note=others,
        )
