"""What a process that was just forked does to be a worker."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from os import _exit
from typing import NoReturn

import numpy as np

from psyflow.exceptions import PsyflowError, TaskFileError
from psyflow.system.exits import BROKEN, DISK_FULL, SETUP_FAILED
from psyflow.system.oserrors import is_full
from psyflow.system.processes import HANDLED, die_with_parent, flush_standard_streams
from psyflow.texts import traceback_text
from psyflow.work.slot import Slot
from psyflow.work.stacks import StackFile

__all__ = ["be_worker"]


def _take_process_group() -> None:
    """Let neither a terminal's Ctrl-C, nor its input, reach what the user's function starts."""
    os.setpgid(0, 0)
    # Reading from the terminal would now stop the process for ever.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _be_random() -> None:
    """Undo what a fork does to NumPy's global generator: all workers would draw the same."""
    if "numpy.random" in sys.modules:
        np.random.seed()


def _account_of(error: BaseException) -> str:
    if not isinstance(error, PsyflowError):
        return traceback_text(error, error.__traceback__)
    return error.report if isinstance(error, TaskFileError) else str(error)


def be_worker(
    supervisor: int, slot: Slot, stack: StackFile, do_work: Callable[[], int]
) -> NoReturn:
    """Be a worker, or a loader of such, in a process that was just forked.

    It ends with what `do_work` returns, and leaves its stack in a file if it crashes.
    """
    status = SETUP_FAILED
    try:
        _take_process_group()
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        die_with_parent(supervisor)
        _be_random()
        stack.serve()
        status = do_work()
    except BaseException as error:
        if slot.has_given_way:
            status = BROKEN
        elif is_full(error):
            status = DISK_FULL
        # The standard error may be on the disk that is full, or closed.
        with contextlib.suppress(Exception):
            print(_account_of(error), file=sys.stderr)
    finally:
        flush_standard_streams()
        slot.end()
        # Not sys.exit: what the parent registered to happen at its end is not ours to do.
        _exit(status)
