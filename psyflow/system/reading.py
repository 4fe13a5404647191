"""Looking at what is on the disk: whether it is there, what is in it, and whether it is a file.

A host of NFS remembers what was not there, and whoever opens a pipe waits for a writer. So what
reads a record goes by `read_whole`, `ask_again` or `no_pipe`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from psyflow.system.oserrors import is_gone, naming

__all__ = [
    "ask_again",
    "checksum_of",
    "is_there",
    "looked_again",
    "names_in",
    "no_pipe",
    "read_whole",
    "reopen",
]

_LOOKS = 3
_READ_BYTES = 4 << 20
_WHOLE_BYTES = 1 << 16

T = TypeVar("T")


def read_whole(path: Path) -> bytes:
    """Return what a file holds, by as few calls of the file system as there can be.

    Raises
    ------
    OSError
        Also if it is a pipe or a device, which is told at once.

    Examples
    --------
    >>> read_whole(Path("/dev/null"))
    Traceback (most recent call last):
        ...
    OSError: [Errno 22] This is a pipe or a device, not a file. Remove it: '/dev/null'
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer. It makes no difference to files.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a socket
            raise
        raise _not_a_file(path) from None
    try:
        # What is open is asked, which costs a file server nothing.
        if not _is_file(os.fstat(fd).st_mode):
            raise _not_a_file(path)
        with naming(path):
            return _read_to_the_end(fd)
    finally:
        os.close(fd)


def _read_to_the_end(fd: int) -> bytes:
    data = os.read(fd, _WHOLE_BYTES)
    while len(data) % _WHOLE_BYTES == 0 and (part := os.read(fd, _WHOLE_BYTES)):
        data += part
    return data


def no_pipe(path: Path) -> Path:
    """Return `path`, unless it is something that whoever reads it may wait for: a pipe, a device.

    It is for what is read by something else than `read_whole`.

    Raises
    ------
    OSError
        If it is.

    Examples
    --------
    >>> no_pipe(Path("/dev/null"))
    Traceback (most recent call last):
        ...
    OSError: [Errno 22] This is a pipe or a device, not a file. Remove it: '/dev/null'
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return path  # whoever reads it will hear why it cannot be
    if not _is_file(mode):
        raise _not_a_file(path)
    return path


def _is_file(mode: int) -> bool:
    # Of a folder, whoever reads it hears that it is one.
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _not_a_file(path: Path) -> OSError:
    what = "This is a pipe or a device, not a file. Remove it"
    return OSError(errno.EINVAL, what, str(path))


def ask_again(look: Callable[[], T], path: Path) -> T:
    """Return what `look` finds at `path`; if that is nothing, have the file server asked first.

    What is no file that could be read is refused.

    A host of NFS remembers for a while what was not there when it last looked. Opening a folder
    has the server asked whether that has changed.

    Parameters
    ----------
    look : callable
        Raises FileNotFoundError if there is nothing.
    path : Path
    """
    no_pipe(path)
    try:
        return look()
    except FileNotFoundError:
        reopen(path.parent)
    return look()


def looked_again(look: Callable[[], T]) -> T:
    """Return what `look` finds; it begins anew if a file goes away that it has seen before.

    Many look while a merge puts shards into the result, or changed code puts everything into the
    archive. What has gone for good is said after the last look.

    Examples
    --------
    >>> looks = []
    >>> def look():
    ...     looks.append("a look")
    ...     return len(looks) if len(looks) > 1 else read_whole(Path("/nowhere"))
    >>> looked_again(look)
    2
    """
    for _ in range(_LOOKS - 1):
        try:
            return look()
        except OSError as error:
            if not is_gone(error):
                raise
            if error.filename:
                reopen(Path(error.filename).parent)
    return look()


def is_there(path: Path) -> bool:
    """Tell whether there is anything at `path`; no is said only when it was asked twice."""
    try:
        ask_again(path.stat, path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def reopen(folder: Path) -> None:
    """Have the file server asked what is in `folder`, if it is there."""
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        # It may itself be there by now. That the root is there is not in doubt.
        if folder != folder.parent:
            reopen(folder.parent)
            with contextlib.suppress(OSError):
                os.scandir(folder).close()
    except NotADirectoryError:
        pass  # then nothing is in it


def names_in(folder: Path, *, but_pipes: bool = False) -> list[str]:
    """Return the names in a folder, none if it is not there; one that cannot be read is an error.

    `Path.glob` takes errors for absence.

    Parameters
    ----------
    folder : Path
    but_pipes : bool
        Leave out what is no file that could be read: pipes, sockets, devices.
    """

    def look() -> list[str]:
        if not but_pipes:
            return os.listdir(folder)  # noqa: PTH208 (there may be many)
        with os.scandir(folder) as entries:
            return [e.name for e in entries if e.is_file() or e.is_dir() or e.is_symlink()]

    try:
        return ask_again(look, folder)
    except FileNotFoundError:
        return []


def checksum_of(path: Path) -> int:
    """Return the CRC-32 of a file's content."""
    checksum = 0
    with no_pipe(path).open("rb", buffering=0) as file:
        while part := file.read(_READ_BYTES):
            checksum = zlib.crc32(part, checksum)
    return checksum
