"""Where in the code a running item is: its job is asked, wherever that is."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from psyflow.exceptions import PsyflowError
from psyflow.messages import shown_path
from psyflow.record.plan import Plan
from psyflow.system.files import write_atomic
from psyflow.system.reading import names_in, read_whole
from psyflow.work.asked import ANSWER, QUESTION

__all__ = ["ask_for_stack", "stack_of"]

PATIENCE = 60.0
"""Seconds: a file server may take half a minute to show a new file to another host."""
PAUSE = 0.1


def stack_of(plan: Plan, job: str, item: int) -> str | None:
    """Return where a running item of a plan is.

    Parameters
    ----------
    plan : Plan
    job : str
        Name of the lease of the job that it runs in.
    item : int
        Its number in the plan.

    Returns
    -------
    str or None
        Empty if its process does not tell; None if it is not running any more.

    Raises
    ------
    PsyflowError
        If the question cannot be asked, because the folder may only be read, or nobody answers.
    """
    return ask_for_stack(plan.frozen.leases, job, item)


def ask_for_stack(folder: Path, job: str, item: int) -> str | None:
    """Return where a running item is, as `stack_of` does, of a job with its lease in `folder`."""
    token = os.urandom(8).hex()
    question, answer = folder / f"{QUESTION}{job}", folder / f"{ANSWER}{job}"
    try:
        write_atomic(question, json.dumps({"token": token, "item": item}), durable=False)
    except OSError as error:
        raise PsyflowError(
            f"{shown_path(folder)}, where the job would be asked, cannot be written to: {error}"
        ) from error
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if answer.name in names_in(folder) and (told := _told(answer, token)) is not None:
                found: str | None = told["stack"]
                return found
            time.sleep(PAUSE)
    finally:
        for file in (question, answer):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
    raise PsyflowError(f"The job of item {item} has not answered for {PATIENCE:.0f} s.")


def _told(answer: Path, token: str) -> dict[str, str | None] | None:
    """Return the answer, if it is one to this question."""
    # Somebody else, who has asked at the same time, may take it away.
    with contextlib.suppress(FileNotFoundError, ValueError):
        told = json.loads(read_whole(answer))
        if isinstance(told, dict) and told.get("token") == token:
            return told
    return None
