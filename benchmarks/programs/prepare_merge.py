"""Bring the task of this folder to where only its merge is missing, and keep its shards aside."""

import os
import sys
from pathlib import Path

from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

run = Run(TaskDef("psy-tasks/task_study.py"))
plan = begin(run)
assert plan is not None
run.here.split(plan)
status = run.here.process(plan)
run.release()
kept = Path("kept")
kept.mkdir()
for shard in run.layout.shards():
    os.link(shard, kept / shard.name)
sys.exit(status)
