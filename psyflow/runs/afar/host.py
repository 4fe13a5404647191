"""Beside a worker of an engine: a job with one worker, which is handed its items by a pipe.

``python -m psyflow.runs.afar.host ANSWERS FOLDER RUN_ID TASK NUMBER``. An engine's own process is
of many threads, and what kills an item, or ends one that takes too long, must not end it. So the
job is a process of its own, and all in it is as in a job of a cluster.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from psyflow.runs.afar.parcel import LEASES, unpack
from psyflow.runs.process import work_of
from psyflow.system.files import make_folder
from psyflow.system.limits import limit_loaded_libraries
from psyflow.system.trust import trusting
from psyflow.work.capture import say
from psyflow.work.feed import Feed
from psyflow.work.supervisor import Supervisor

__all__ = ["main"]

_COUNT_BYTES = 8


def main(arguments: list[str]) -> int:
    """Evaluate blocks until there are no more, and return the exit status.

    Parameters
    ----------
    arguments : list of str
        A file descriptor for answers, the private folder, the plan's run id and task, and the
        number of the worker. The standard input gives the parcel, and then the blocks.
    """
    answers, folder, run_id, task, number = arguments
    parent = os.getppid()
    source = _take_standard_input()
    os.set_inheritable(int(answers), False)
    limit_loaded_libraries(os.environ)
    with open(source, "rb", buffering=0, closefd=False) as file:
        data = _received(file)
    present, is_through = Path(folder) / "present", False
    try:
        # Whoever can have this process run could have anything run.
        with trusting():
            plan = unpack(data, run_id, task, Path(folder))
            del data
            work = replace(
                work_of(plan, 0, np.empty(0, dtype=np.int64), plan.pool_size, worker=int(number)),
                n_workers=1,
                max_failures=None,
                leases=make_folder(Path(folder) / LEASES),
                feed=Feed(source, int(answers), present),
            )
            status = Supervisor(work, 1).run()
        is_through = status == 0 and not present.exists()
        return status
    finally:
        # Whoever has started this takes up what is left, if there may be anything.
        if os.getppid() != parent or is_through:
            _remove(folder)


def _take_standard_input() -> int:
    """Return a descriptor of it, which is then nobody's else: `execute` may read from it."""
    source = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return source


def _received(file: BinaryIO) -> bytes:
    size = int.from_bytes(file.read(_COUNT_BYTES), "little")
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _remove(folder: str) -> None:
    os.chdir("/")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        say(f"{folder} cannot be removed: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
