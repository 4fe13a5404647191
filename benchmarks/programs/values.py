"""Print as JSON how many microseconds of CPU each of 100 000 values or outcomes takes."""

import hashlib
import json
import pickle
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import psyflow
from psyflow import Param
from psyflow.outcomes.shard import ShardWriter
from psyflow.pspace.keys import column_keys
from psyflow.pspace.streams import RandomStreams
from psyflow.work.capture import Output
from psyflow.work.conditions import Conditions
from psyflow.work.evaluate import Evaluator
from psyflow.work.integrity import Integrity
from psyflow.work.prepared import Prepared

N = int(sys.argv[1])
BLOCK = 1000

random = np.random.default_rng(1)
lists = random.integers(0, 100, (N, 10)).tolist()
ragged = [random.random(n) for n in random.integers(1, 20, N)]
space = Param(x=range(N))


def keys(values):
    column_keys({"a": values}, N)


def keys_by_hand(values):
    for value in values:
        hashlib.blake2b(pickle.dumps(value), digest_size=16).digest()


def streams():
    for _ in RandomStreams(7).generators(space, np.arange(N)):
        pass


def streams_by_hand():
    for i in range(N):
        sequence = np.random.SeedSequence(7, spawn_key=(i,))
        np.random.Generator(np.random.PCG64(sequence))


def fails(x):
    raise ValueError(f"no {x}")


def skips(x):
    raise psyflow.Skip("dull")


def outcomes(execute):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with (
            Output(path / "log") as output,
            ShardWriter(path / "a.rows") as writer,
            Evaluator(Prepared(execute), writer, output=output, integrity=Integrity()) as work,
        ):
            work.looks.look_after(Conditions())
            for start in range(0, N, BLOCK):
                items = np.arange(start, min(start + BLOCK, N))
                work.evaluate(items, space.take(items))
                work.flush(sync=False)


def outcomes_by_hand(execute):
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        for x in range(N):
            try:
                execute(x)
            except Exception as error:
                print(json.dumps({"x": x, "error": repr(error)}), file=log, flush=True)


def microseconds(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return (time.process_time() - start) / N * 1e6


print()
print(
    json.dumps(
        {
            "lists": microseconds(keys, lists),
            "lists by hand": microseconds(keys_by_hand, lists),
            "ragged": microseconds(keys, ragged),
            "ragged by hand": microseconds(keys_by_hand, ragged),
            "rng": microseconds(streams),
            "rng by hand": microseconds(streams_by_hand),
            "failures": microseconds(outcomes, fails),
            "failures by hand": microseconds(outcomes_by_hand, fails),
            "skips": microseconds(outcomes, skips),
            "skips by hand": microseconds(outcomes_by_hand, skips),
        }
    )
)
