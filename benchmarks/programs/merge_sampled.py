"""Do the merge step of this folder's task, and note in a file where it is.

What a thread does beside it is done after it, since only the main thread is looked at.
"""

import concurrent.futures
import contextlib
import io
import sys
from pathlib import Path

import psyflow.record.jobs
import psyflow.runs.merge
import psyflow.store._h5write  # noqa: F401
from psyflow import job

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.sampling import begin, end


class Later(concurrent.futures.Executor):
    """An executor that does in the end what it is asked for, without a thread."""

    def __init__(self, *arguments: object) -> None:
        self._asked = []

    def submit(self, function, /, *arguments):
        future = concurrent.futures.Future()
        self._asked.append((future, function, arguments))
        return future

    def shutdown(self, *arguments: object, **named: object) -> None:
        for future, function, arguments in self._asked:
            future.set_result(function(*arguments))


concurrent.futures.ThreadPoolExecutor = Later
begin(sys.argv[1])
with contextlib.redirect_stdout(io.StringIO()):
    status = job.main(["merge", "psy-work/study/plan.json"])
end()
sys.exit(status)
