"""Look at this folder's task, and report the seconds it took, without imports.

python look.py status    # how many items are in which state
python look.py load      # the rows that there are so far
"""

import json
import sys
import time

import psyflow
import psyflow.results.loading
from psyflow.outcomes.states import State
from psyflow.report.status import Inquiry
from psyflow.tasks import TaskDef


def status():
    return Inquiry(TaskDef("psy-tasks/task_study.py"), {}).states[State.DONE]


def load():
    return len(psyflow.load("study")["y"])


def main():
    look = {"status": status, "load": load}[sys.argv[1]]
    begin, cpu = time.perf_counter(), time.process_time()
    n_rows = look()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": n_rows}))


main()
