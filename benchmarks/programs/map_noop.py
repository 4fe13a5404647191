"""Maps of no-ops, psyflow's and others', in turn: the shortest of each, and its CPU seconds."""

import json
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import joblib

import psyflow

N, ROUNDS = int(sys.argv[1]), 5
CHUNK = 2000
PSETS = [{"x": x} for x in range(N)]
FEW = PSETS[: N // 10]


def noop(x):
    return {"y": 1}


def noop_of(pset):
    return {"y": 1}


def psyflow_map():
    psyflow.map(noop, PSETS, pool_size=2, progress=False)


def pool():
    with multiprocessing.Pool(2) as workers:
        for _ in workers.imap_unordered(noop_of, PSETS, chunksize=CHUNK):
            pass


def by_joblib():
    joblib.Parallel(2)(joblib.delayed(noop_of)(pset) for pset in FEW)


def by_futures():
    with ProcessPoolExecutor(2) as executor:
        list(executor.map(noop_of, FEW))


def first_outcome():
    begin = time.perf_counter()
    outcomes = psyflow.imap(noop, PSETS, pool_size=2)
    next(outcomes)
    seconds = time.perf_counter() - begin
    outcomes.close()
    return seconds


def cpu():
    usages = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def taken(function):
    begin, spent = time.perf_counter(), cpu()
    function()
    return time.perf_counter() - begin, cpu() - spent


functions = [psyflow_map, pool, by_joblib, by_futures]
found = {function.__name__: [] for function in functions}
for _ in range(ROUNDS):
    for function in functions:
        found[function.__name__].append(taken(function))
report = {"first": min(first_outcome() for _ in range(ROUNDS))}
for name, times in found.items():
    report[name] = min(wall for wall, _ in times)
    report[f"{name}_cpu"] = min(spent for _, spent in times)
print(json.dumps(report))
