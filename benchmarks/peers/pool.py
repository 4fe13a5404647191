"""What one writes by hand: a pool of two, a line of JSON per result, an NPZ file at the end."""

import json
import multiprocessing
import sys
from pathlib import Path

import numpy


def square(x):
    return {"y": x**2}


def evaluate(x):
    return {"x": x, **square(x)}


def main():
    n = int(sys.argv[1])
    rows = []
    with multiprocessing.Pool(2) as pool, Path("results.jsonl").open("a") as log:
        for row in pool.imap_unordered(evaluate, range(n), chunksize=100):
            log.write(json.dumps(row) + "\n")
            rows.append(row)
    numpy.savez("result.npz", x=[row["x"] for row in rows], y=[row["y"] for row in rows])


if __name__ == "__main__":
    main()
