"""A loop with a function cached by joblib.Memory, and an NPZ file at the end."""

import sys

import numpy
from joblib import Memory

memory = Memory("cache", verbose=0)


@memory.cache
def square(x):
    return {"y": x**2}


def main():
    rows = [{"x": x, **square(x)} for x in range(int(sys.argv[1]))]
    numpy.savez("result.npz", x=[row["x"] for row in rows], y=[row["y"] for row in rows])


if __name__ == "__main__":
    main()
