"""The same as spaces.py, with a set of tuples."""

import itertools
import json
import sys
import time

import numpy as np

side = int(sys.argv[1])
chosen = np.random.default_rng(0).permutation(side * side)[: side * side // 2]
a, b = (chosen // side).tolist(), (chosen % side).tolist()

begin = time.perf_counter()
have = set(zip(a, b, strict=True))
rest = [pset for pset in itertools.product(range(side), range(side)) if pset not in have]
end = time.perf_counter()

assert len(rest) == side * side - len(chosen)
print(json.dumps({"seconds": end - begin}))
