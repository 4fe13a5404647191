"""A map of no-ops by loky, psyflow's or joblib's own: the first call, and the shortest further."""

import json
import sys
import time

import joblib

import psyflow

WHOSE, N, ROUNDS = sys.argv[1], int(sys.argv[2]), 5
SPACE = psyflow.Param(x=range(N))
PSETS = [{"x": x} for x in range(N)]


def noop(x):
    return {"y": 1}


def psyflow_map():
    psyflow.map_pspace_parallel(noop, SPACE, n_jobs=2)


def by_joblib():
    joblib.Parallel(2)(joblib.delayed(noop)(**pset) for pset in PSETS)


def taken():
    begin = time.perf_counter()
    {"psyflow": psyflow_map, "joblib": by_joblib}[WHOSE]()
    return time.perf_counter() - begin


cold = taken()
print(json.dumps({"cold": cold, "warm": min(taken() for _ in range(ROUNDS))}))
