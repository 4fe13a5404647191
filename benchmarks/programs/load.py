"""Load the result of the task `study`, in turn by psyflow and by the library of its format."""

import gc
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import psyflow

ROUNDS = 7


def by_numpy(path):
    with np.load(path) as file:
        return {name: file[name] for name in file}


def by_tables(path):
    import tables

    with tables.open_file(path) as file:
        arrays = (node for node in file.root.psyflow if not node.name.startswith("psyflow__"))
        return {node.name: node.read() for node in arrays}


def by_pickle(path):
    import pickle

    with path.open("rb") as file:
        return pickle.load(file)


def timed(load):
    gc.collect()
    begin = time.perf_counter()
    table = load()
    seconds = time.perf_counter() - begin
    return seconds, len(table["y"])


def main():
    (path,) = Path("psy-work/study").glob("result.*")
    alone = {".npz": by_numpy, ".h5": by_tables, ".pkl": by_pickle}[path.suffix]
    ways = {
        "library": lambda: alone(path),
        "psyflow": lambda: psyflow.load("study"),
        "column": lambda: psyflow.load("study", columns=["y"]),
        "bookkeeping": lambda: {"y": psyflow.load("study").bookkeeping["item"]},
    }
    times = {name: [] for name in ways}
    lengths = set()
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            seconds, length = timed(way)
            lengths.add(length)
            if number:  # the first imports, and fills caches
                times[name].append(seconds)
    assert lengths == {int(sys.argv[1])}, lengths
    print(json.dumps({name: statistics.median(found) for name, found in times.items()}))


main()
