"""Do `psy run`, and report the seconds from the start of the first item to the end of the last."""

import json
import subprocess
import sys

import numpy as np

subprocess.run([sys.argv[1], "run"], check=True)
with np.load("psy-work/study/items.npz", allow_pickle=False) as items:
    makespan = (items["start"] + items["duration"]).max() - items["start"].min()
print(json.dumps({"makespan": float(makespan)}))
