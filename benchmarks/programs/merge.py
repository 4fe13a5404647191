"""Do the merge step of this folder's task, and report the seconds it took."""

import contextlib
import io
import json
import time
from pathlib import Path

from psyflow import steps
from psyflow.plan import Plan

plan = Plan.read(Path("psy-work/study/plan.json"))
store = steps.load_task(plan).store
with contextlib.redirect_stdout(io.StringIO()):
    begin = time.perf_counter()
    merged = steps.merge(plan, store)
    end = time.perf_counter()
assert merged.n_rows == merged.n_items
print(json.dumps({"seconds": end - begin}))
