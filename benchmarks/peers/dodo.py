"""A doit task per item, with a file per result, and one that collects them."""

import json
import os
from pathlib import Path

import numpy

N = int(os.environ["N_ITEMS"])


def square(x):
    return {"y": x**2}


def evaluate(x):
    Path(f"results/{x}.json").write_text(json.dumps({"x": x, **square(x)}))


def collect():
    rows = [json.loads(Path(f"results/{x}.json").read_text()) for x in range(N)]
    numpy.savez("result.npz", x=[row["x"] for row in rows], y=[row["y"] for row in rows])


def task_square():
    for x in range(N):
        yield {
            "name": str(x),
            "actions": [(evaluate, (x,))],
            "targets": [f"results/{x}.json"],
            "uptodate": [True],
        }


def task_collect():
    return {"actions": [collect], "task_dep": ["square"], "targets": ["result.npz"]}
