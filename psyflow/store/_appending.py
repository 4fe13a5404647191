"""Appending to a file by one process at a time, on whatever hosts they are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from psyflow.system.hold import Hold

__all__ = ["appending"]


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
    hold.wait()
    try:
        yield
    finally:
        hold.leave()
