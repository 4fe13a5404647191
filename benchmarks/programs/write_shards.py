"""Bring the task of this folder to where its items are done, by shards as workers leave them.

The shards are written as workers write them, but for the wait: nothing is evaluated, and no disk
is waited for. Items are dealt out in turn.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

import numpy as np

import psyflow.outcomes.shard
from psyflow.outcomes.records import Rows
from psyflow.outcomes.shard import ShardWriter
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

HOST = socket.gethostname()
SYNC_SECONDS = 0.5
"""How often a worker brings to the disk what it has written."""


def rows(items, seconds, start, pid):
    return Rows(
        items=items,
        columns={"y": (items**2).tolist()},
        start=start + np.arange(len(items)) * seconds,
        duration=np.full(len(items), seconds),
        attempt=np.ones(len(items), np.int16),
        host=HOST,
        pid=pid,
    )


def write_shard(shard, frames, seconds, pid):
    """Write frames of items that took `seconds` each."""
    now = synced = 0.0
    with ShardWriter(shard) as writer:
        for items in frames:
            writer.write_rows(rows(items, seconds, now, pid))
            now += len(items) * seconds
            if now - synced > SYNC_SECONDS:
                writer.sync()
                synced = now


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=int)
    parser.add_argument("--frame", type=int, default=1, help="items in each frame")
    parser.add_argument("--seconds", type=float, default=0.05, help="that an item takes")
    parser.add_argument("--at-work", action="store_true", help="all but the last items are done")
    options = parser.parse_args()
    run = Run(TaskDef("psy-tasks/task_study.py"))
    plan = begin(run)
    run.here.split(plan)
    run.release()
    psyflow.outcomes.shard.sync_file = lambda fd: None
    done = np.arange(plan.n_items - options.at_work)
    frames = np.array_split(done, max(1, len(done) // options.frame))
    prefix = run.layout.shard_prefix(plan.run_id, 0)
    for worker in range(options.shards):
        shard = run.layout.out / f"{prefix}.{worker:08x}.0-0.rows"
        write_shard(shard, frames[worker :: options.shards], options.seconds, worker)
    kept = Path("kept")
    kept.mkdir()
    for file in run.layout.out.iterdir():
        os.link(file, kept / file.name)


sys.exit(main())
