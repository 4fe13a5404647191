"""The only module that renames, links or fsyncs.

Every file that others read appears whole or not at all: it is written under a temporary name in
its own folder, fsynced, and given its final name; then the folder is fsynced, because without that
a power loss takes the new name away again.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from os import fsync, write
from pathlib import Path
from typing import TypeVar

from psyflow.system.oserrors import naming

__all__ = [
    "append_line",
    "atomic_path",
    "begin_sync",
    "keep_copy",
    "link_new",
    "make_folder",
    "make_within",
    "move",
    "remove_temporaries",
    "rename",
    "sync_file",
    "sync_folder",
    "synced_together",
    "write_all",
    "write_atomic",
]

TEMPORARY_MARK = ".psytmp-"
_SYNC_FILE_RANGE_WRITE = 2
_READ_BYTES = 4 << 20
_SMALL_BYTES = 1 << 16

T = TypeVar("T")


def sync_file(fd: int) -> None:
    """Return when what was written to `fd` is on the disk."""
    fsync(fd)


@contextlib.contextmanager
def synced_together() -> Iterator[None]:
    """Have names that the block makes be on the disk at its end: each folder is synced once.

    It is for files that nobody goes by before something else is written, after the block. What is
    in them is on the disk before they have their names, as ever.
    """
    if _unsynced.get() is not None:
        yield  # at the end of the outer one
        return
    folders: dict[Path, None] = {}
    token = _unsynced.set(folders)
    try:
        yield
    finally:
        _unsynced.reset(token)
    for folder in folders:
        sync_folder(folder)


_unsynced: ContextVar[dict[Path, None] | None] = ContextVar("unsynced", default=None)


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are on the disk."""
    if (unsynced := _unsynced.get()) is not None:
        unsynced[folder] = None
        return
    with naming(folder), _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
        fsync(fd)


@contextlib.contextmanager
def _opened(path: Path, flags: int, mode: int = 0o666) -> Iterator[int]:
    """Open a file, and close it again; that this fails is told if nothing else has failed."""
    fd = os.open(path, flags, mode)
    try:
        yield fd
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def _discard(temporary: Path) -> None:
    # Whatever failed before is told, not this; and what is left, the next holder removes.
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` to `fd`; a file system that is almost full takes a part at a time."""
    # Not by way of `os`, in which the user's code may have replaced it.
    view = memoryview(data)
    while view:
        view = view[write(fd, view) :]


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


def make_folder(folder: Path, mode: int = 0o777) -> Path:
    """Create `folder` and its missing parents, durably, and return it.

    From `mode`, which is for `folder` alone, the umask is taken away.
    """
    if not folder.is_dir():
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        folder.mkdir(mode, parents=True, exist_ok=True)
        for created in reversed(missing):
            sync_folder(created.parent)
    return folder


def make_within(root: Path, *names: str) -> Path:
    """Create a folder below `root`, which has to be there, and return it.

    Raises
    ------
    FileNotFoundError
        If `root` is gone: it may have been moved, and nothing is to be made in its old place.
    """
    folder = root
    for name in names:
        folder = folder / name
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            sync_folder(folder.parent)
    return folder


def _temporary_name(path: Path) -> Path:
    # The suffix stays last, because stores look at it.
    return path.with_name(f"{TEMPORARY_MARK}{os.getpid()}-{os.urandom(4).hex()}{path.suffix}")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to; on leaving, it becomes `path`, whole and durable.

    If the block raises, `path` stays as it was and the temporary file is removed. With
    ``durable=False`` a power loss may undo it.

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
        with naming(path, temporary):
            yield temporary
            if durable:
                with _opened(temporary, os.O_RDWR) as fd:
                    fsync(fd)
            temporary.replace(path)
    except BaseException:
        _discard(temporary)
        raise
    if durable:
        sync_folder(path.parent)


def write_atomic(path: str | os.PathLike[str], data: bytes | str, *, durable: bool = True) -> None:
    """Make `path` hold exactly `data`, whole and, unless told otherwise, durable."""
    with atomic_path(path, durable=durable) as temporary:
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
        with naming(path, temporary):
            with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) as fd:
                write_all(fd, data)
                if durable:
                    fsync(fd)
            if not _link(temporary, path):
                return False
    finally:
        _discard(temporary)
    if durable:
        sync_folder(path.parent)
    return True


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except OSError as error:
        # An NFS server may have made the link and lost its answer, or been asked twice and say
        # that the name exists: the link count tells.
        if not _has_two_names(temporary):
            if isinstance(error, FileExistsError):
                return False
            raise
    return True


def _has_two_names(path: Path) -> bool:
    # What went wrong before is what is told.
    with contextlib.suppress(OSError):
        return path.stat().st_nlink == 2
    return False


def append_line(path: Path, line: str) -> None:
    """Append one line to `path`, durably; a line that was cut off before is closed first."""
    data = line.rstrip("\n").encode() + b"\n"
    is_new = not path.exists()
    with naming(path), _opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data
        write_all(fd, data)
        fsync(fd)
    if is_new:
        sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename `source` to `target`, durably, across file systems if need be."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_path(target) as temporary:
            shutil.copy2(source, temporary)
        source.unlink()
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def rename(source: Path, target: Path) -> bool:
    """Rename what nobody would miss after a power failure; tell whether that could be done."""
    try:
        source.rename(target)
    except OSError:
        return False
    return True


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
