"""`map_pspace` of no-ops, and a list comprehension that does as much: the CPU seconds of each."""

import json
import sys
import time

import psyflow

N, ROUNDS = int(sys.argv[1]), 7
SPACE = psyflow.Param(x=range(N))
PSETS = [{"x": x} for x in range(N)]


def noop(x):
    return {"y": 1}


def psyflow_map():
    psyflow.map_pspace(noop, SPACE)


def comprehension():
    [{**pset, **noop(**pset)} for pset in PSETS]


def taken(function):
    begin = time.process_time()
    function()
    return time.process_time() - begin


found = {"psyflow": [], "comprehension": []}
for _ in range(ROUNDS):
    found["psyflow"].append(taken(psyflow_map))
    found["comprehension"].append(taken(comprehension))
print(json.dumps({name: min(times) for name, times in found.items()}))
