"""Do the merge step of this folder's task, and report the seconds it took, without imports."""

import contextlib
import io
import json
import time

import psyflow.record.jobs
import psyflow.runs.merge
import psyflow.store._h5write  # noqa: F401
from psyflow import job

with contextlib.redirect_stdout(io.StringIO()):
    begin, cpu = time.perf_counter(), time.process_time()
    status = job.main(["merge", "psy-work/study/plan.json"])
    end, cpu = time.perf_counter(), time.process_time() - cpu
assert status == 0
print(json.dumps({"seconds": end - begin, "cpu": cpu}))
