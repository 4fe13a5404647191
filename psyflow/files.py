"""The only module that renames, links or fsyncs.

Every file that others read appears whole or not at all: it is written under a temporary name in
its own folder, fsynced, and given its final name; then the folder is fsynced, because without that
a power loss takes the new name away again (see DESIGN §8).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "append_line",
    "atomic_path",
    "begin_sync",
    "is_full",
    "keep_copy",
    "link_new",
    "make_folder",
    "move",
    "remove_temporaries",
    "sync_file",
    "sync_folder",
    "write_all",
    "write_atomic",
]

TEMPORARY_MARK = ".psytmp-"
_SYNC_FILE_RANGE_WRITE = 2
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_full(error: BaseException) -> bool:
    """Tell whether `error` says that there was no room to write something.

    Examples
    --------
    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(ValueError())
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in _FULL


def sync_file(fd: int) -> None:
    """Return when what was written to `fd` is on the disk."""
    os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` to `fd`; a file system that is almost full takes a part at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def begin_sync(path: Path) -> None:
    """Have the disk begin with what was written to `path`, so that a later sync waits for less.

    This promises nothing, and only Linux does it, by ``sync_file_range``.
    """
    if (call := _sync_file_range()) is not None:
        with path.open("rb") as file:
            call(file.fileno(), 0, 0, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    import ctypes  # which little else needs

    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
    return call


def make_folder(folder: Path) -> Path:
    """Create `folder` and its missing parents, durably, and return it."""
    if not folder.is_dir():
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for created in reversed(missing):
            sync_folder(created.parent)
    return folder


def _temporary_name(path: Path) -> Path:
    # The suffix stays last, because stores look at it.
    return path.with_name(f"{TEMPORARY_MARK}{os.getpid()}-{os.urandom(4).hex()}{path.suffix}")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; on leaving, it becomes `path`, whole and durable.

    If the block raises, `path` stays as it was and the temporary file is removed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    temporary = _temporary_name(path)
    try:
        yield temporary
        fd = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Make `path` hold exactly `data`, whole and durable."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def link_new(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o666) -> bool:
    """Create `path` with `data` if nothing has that name yet, as one step.

    ``os.link`` either happens whole or fails, on NFS too, which exclusive creation followed by a
    write does not promise. With ``durable=False`` a power loss may undo it. From `mode`, the umask
    is taken away.

    Returns
    -------
    bool
        Whether the file was created; False if `path` existed.
    """
    temporary = _temporary_name(path)
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(temporary, path)
        except OSError as error:
            # An NFS server may have made the link and lost its answer, or been asked twice and
            # say that the name exists: the link count tells.
            if temporary.stat().st_nlink != 2:
                if isinstance(error, FileExistsError):
                    return False
                raise
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)
    return True


def append_line(path: Path, line: str) -> None:
    """Append one line to `path`, durably; a line that was cut off before is closed first."""
    data = line.rstrip("\n").encode() + b"\n"
    is_new = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    if is_new:
        sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename `source` to `target`, durably, across file systems if need be."""
    try:
        source.rename(target)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copy2(source, temporary)
        source.unlink()
    sync_folder(target.parent)
    sync_folder(source.parent)


def keep_copy(source: Path, target: Path) -> None:
    """Give `source` a second name `target`, or copy it there; it stays where it is."""
    try:
        os.link(source, target)
        sync_folder(target.parent)
    except FileExistsError:
        if not source.samefile(target):
            with atomic_path(target) as temporary:
                shutil.copy2(source, temporary)
    except OSError:
        # Another file system, or one without hard links.
        with atomic_path(target) as temporary:
            shutil.copy2(source, temporary)


def remove_temporaries(folder: Path) -> None:
    """Remove what writers that died left in `folder`. Call it only when no writer is alive."""
    for path in folder.glob(f"{TEMPORARY_MARK}*"):
        path.unlink(missing_ok=True)
