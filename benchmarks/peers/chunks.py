"""What one writes by hand for quick items: chunks of 4096, a pickle of each, an fsync a second."""

import multiprocessing
import os
import pickle
import sys
import time
from pathlib import Path

import numpy

CHUNK = 4096


def square(x):
    return {"y": x**2}


def evaluate(chunk):
    return chunk, [square(x) for x in chunk]


def main():
    n = int(sys.argv[1])
    chunks = [range(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    done = {}
    with multiprocessing.Pool(2) as pool, Path("results.pkl").open("ab") as log:
        synced = time.monotonic()
        for chunk, rows in pool.imap_unordered(evaluate, chunks):
            pickle.dump((chunk, rows), log)
            if time.monotonic() - synced > 1:
                log.flush()
                os.fsync(log.fileno())
                synced = time.monotonic()
            done[chunk.start] = rows
        log.flush()
        os.fsync(log.fileno())
    y = [row["y"] for start in sorted(done) for row in done[start]]
    numpy.savez("result.npz", x=numpy.arange(n), y=y)


if __name__ == "__main__":
    main()
