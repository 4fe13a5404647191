"""Bring the task of this folder to half done, and one item in a hundred failed, by its shards."""

import os
import socket
import sys
import time

import numpy as np

from psyflow.outcomes.records import Failure, Rows
from psyflow.outcomes.shard import ShardWriter
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

FRAME = 8192
HOST = socket.gethostname()


def rows(items):
    return Rows(
        items=items,
        columns={"y": (items**2).tolist()},
        start=time.time() + np.arange(len(items)) * 1e-6,
        duration=np.full(len(items), 1e-6),
        attempt=np.ones(len(items), np.int16),
        host=HOST,
        pid=os.getpid(),
    )


def failure(item):
    return Failure(
        item=item,
        kind="error",
        exception="ValueError: this one in fifty cannot be done",
        traceback="Traceback (most recent call last):\n" + "  File ..., line 1, in execute\n" * 5,
        pset={"x": repr(item)},
        start=time.time(),
        duration=1e-6,
        host=HOST,
        pid=os.getpid(),
    )


def main():
    run = Run(TaskDef("psy-tasks/task_study.py"))
    plan = begin(run)
    run.here.split(plan)
    run.release()
    half = np.arange(plan.n_items // 2)
    failed = half % 50 == 0
    for worker in range(2):
        shard = (
            run.layout.out / f"{run.layout.shard_prefix(plan.run_id, 0)}.{worker}-{worker}.rows"
        )
        with ShardWriter(shard) as writer:
            for start in range(worker * FRAME, len(half), 2 * FRAME):
                part = slice(start, start + FRAME)
                for item in half[part][failed[part]].tolist():
                    writer.write_failure(failure(item))
                writer.write_rows(rows(half[part][~failed[part]]))


sys.exit(main())
