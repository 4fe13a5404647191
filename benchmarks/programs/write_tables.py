"""Write arrays with PyTables, as one would by hand, and report the seconds it took.

``result``: the columns of the result. ``all``: also the bookkeeping that psyflow keeps beside it.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import tables

which, n = sys.argv[1], int(sys.argv[2])
arrays = {"x": np.arange(n), "y": np.arange(n) ** 2}
if which == "all":
    arrays |= {
        "item": np.arange(n),
        "key": np.random.default_rng(0).integers(0, 2**63, (n, 2)),
        "start": np.random.default_rng(1).random(n),
        "duration": np.random.default_rng(2).random(n),
        "attempt": np.ones(n, np.int16),
        "worker": np.zeros(n, np.int32),
    }

begin = time.perf_counter()
with tables.open_file("direct.h5", "w") as file:
    for name, array in arrays.items():
        file.create_array("/", name, array)
with Path("direct.h5").open("rb") as written:
    os.fsync(written.fileno())
end = time.perf_counter()
print(json.dumps({"seconds": end - begin}))
