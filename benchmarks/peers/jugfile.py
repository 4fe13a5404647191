"""A jug task per item, and one that collects the results."""

import os

import numpy
from jug import TaskGenerator


@TaskGenerator
def square(x):
    return {"y": x**2}


@TaskGenerator
def collect(rows):
    numpy.savez("result.npz", x=numpy.arange(len(rows)), y=[row["y"] for row in rows])


collected = collect([square(x) for x in range(int(os.environ["N_ITEMS"]))])
