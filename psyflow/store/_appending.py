"""Appending to a file by one process at a time, on whatever hosts they are."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from psyflow.exceptions import PsyflowWarning, RunHeldError
from psyflow.system.hold import Hold

__all__ = ["appending"]

PATIENCE_SECONDS = 10.0
FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.1


@contextlib.contextmanager
def appending(filename: str | os.PathLike[str]) -> Iterator[None]:
    """Wait until no other thread or process appends to `filename`, and keep others from it.

    A process that dies while it appends keeps nobody from it. Nothing stays beside the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with appending(f"{folder}/rows.txt"):
    ...         print(os.listdir(folder))
    ...     print(os.listdir(folder))
    ['rows.txt.appending']
    []
    """
    path = Path(filename).absolute()
    if not path.parent.is_dir():
        yield  # whoever writes there says what is wrong
        return
    hold = Hold(path.with_name(f"{path.name}.appending"), str(path))
    _wait_for(hold)
    try:
        yield
    finally:
        hold.leave()


def _wait_for(hold: Hold) -> None:
    patient_until = time.monotonic() + PATIENCE_SECONDS
    pause = FIRST_PAUSE
    while True:
        try:
            hold.acquire()
            return
        except RunHeldError as error:
            if time.monotonic() > patient_until:
                warnings.warn(f"Still waiting: {error}", PsyflowWarning, stacklevel=4)
                patient_until = float("inf")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
