"""Logs of jobs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from psyflow.exceptions import SchedulerError

__all__ = ["checked_log"]


def checked_log(output_filename: str | os.PathLike[str]) -> str:
    """Return the absolute path of a log file whose folder exists.

    Clusters start a job whose log cannot be written and then drop it without a word.

    Raises
    ------
    SchedulerError
        If the folder does not exist.
    """
    log = os.path.abspath(output_filename)  # noqa: PTH100 (Path would resolve links)
    folder = os.path.dirname(log)  # noqa: PTH120
    if not Path(folder).is_dir():
        raise SchedulerError(
            f"The log {log} cannot be written: its folder does not exist. "
            f"Create it with: mkdir -p {shlex.quote(folder)}"
        )
    return log
