"""`missing` of a product against a random half of it, from the factors to the last pset."""

import json
import sys
import time

import numpy as np

from psyflow.pspace import Param, missing

side = int(sys.argv[1])
chosen = np.random.default_rng(0).permutation(side * side)[: side * side // 2]
half = Param(a=(chosen // side).tolist(), b=(chosen % side).tolist(), y=chosen.tolist())

begin = time.perf_counter()
rest = missing(Param(a=range(side)) * Param(b=range(side)), half)
n = len(rest)
counted = time.perf_counter()
rows = rest.columns(0, n)
end = time.perf_counter()

assert n == side * side - len(chosen) == len(rows["a"])
print(json.dumps({"seconds": counted - begin, "with_columns": end - begin}))
