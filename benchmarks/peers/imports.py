"""Ten items of a function whose module imports pandas and SciPy, with a pool of processes."""

import json
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats


def execute(x):
    frame = pd.DataFrame({"a": np.arange(10) * x})
    return {"y": float(scipy.stats.norm.cdf(frame["a"].mean()))}


if __name__ == "__main__":
    with multiprocessing.Pool(int(sys.argv[1])) as pool, Path("rows.json").open("w") as file:
        for row in pool.imap_unordered(execute, range(10), chunksize=1):
            print(json.dumps(row), file=file)
