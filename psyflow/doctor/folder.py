"""Whether a file system does what psyflow needs of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from psyflow.doctor.bearing import Latencies
from psyflow.doctor.latency import measure
from psyflow.system.files import append_line, link_new, write_atomic
from psyflow.system.lease import server_time

__all__ = ["FolderFacts", "look_at_folder", "nearest_folder"]

_PREFIX = ".psyflow-doctor-"
_N_RACERS = 8


@dataclass(frozen=True)
class FolderFacts:
    """What is known of a folder's file system.

    Attributes
    ----------
    folder : Path
    kind : str
        Such as ``ext4`` or ``nfs4``; empty if it is not told.
    free : int
        Bytes that may be written.
    sync_seconds : float or None
        How long it takes to bring a small file to the disk, with its name.
    latencies : Latencies or None
        How long single operations take.
    clock_ahead : float or None
        How many seconds the clock that stamps its files is ahead of this host's.
    problems : tuple of str
        What does not work, and psyflow needs.
    """

    folder: Path
    kind: str
    free: int
    sync_seconds: float | None
    clock_ahead: float | None
    problems: tuple[str, ...]
    latencies: Latencies | None = None


def nearest_folder(folder: Path) -> Path:
    """Return `folder`, or where it would be made: the nearest folder above that exists.

    Examples
    --------
    >>> nearest_folder(Path("/no/such/folder"))
    PosixPath('/')
    """
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.is_dir())


def look_at_folder(folder: Path) -> FolderFacts:
    """Try what psyflow needs in a folder of its own there, which is removed again.

    Parameters
    ----------
    folder : Path
        If it does not exist, the folder that it would be made in is looked at.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     look_at_folder(Path(folder, "psy-work")).problems
    ()
    """
    folder = nearest_folder(folder)
    kind, free = _kind_of(folder), shutil.disk_usage(folder).free
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder) as scratch:
            problems = tuple(_problems(Path(scratch)))
            seconds, ahead = (None, None) if problems else _measures(Path(scratch))
            latencies = None if problems else measure(Path(scratch))
    except OSError as error:
        return FolderFacts(folder, kind, free, None, None, (f"No folder can be made: {error}",))
    return FolderFacts(folder, kind, free, seconds, ahead, problems, latencies)


def _problems(scratch: Path) -> Iterator[str]:
    for what, works in _NEEDS.items():
        try:
            if not works(scratch):
                yield f"{what} does not work"
        except OSError as error:
            yield f"{what} does not work: {error.strerror or error}"


def _links(scratch: Path) -> bool:
    path = scratch / "linked"
    return link_new(path, b"first") and path.read_bytes() == b"first"


def _links_are_exclusive(scratch: Path) -> bool:
    path = scratch / "raced-for"
    with ThreadPoolExecutor(_N_RACERS) as racers:
        won = list(racers.map(lambda i: link_new(path, b"%d" % i), range(_N_RACERS)))
    return won.count(True) == 1 and path.read_bytes() == b"%d" % won.index(True)


def _replaces(scratch: Path) -> bool:
    path = scratch / "replaced"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    return path.read_bytes() == b"second"


def _creates_exclusively(scratch: Path) -> bool:
    path = scratch / "exclusive"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


def _appends(scratch: Path) -> bool:
    path = scratch / "appended"
    append_line(path, "first")
    append_line(path, "second")
    return path.read_text() == "first\nsecond\n"


_NEEDS: dict[str, Callable[[Path], bool]] = {
    "Appending to a file": _appends,
    "Giving a file a second name (a hard link)": _links,
    "Giving a name to one file only of several that race for it": _links_are_exclusive,
    "Refusing to make a file that exists": _creates_exclusively,
    "Replacing a file by renaming another": _replaces,
}


def _measures(scratch: Path) -> tuple[float, float]:
    begin = time.perf_counter()
    for _ in range(5):
        write_atomic(scratch / "timed", b"x")
    seconds = (time.perf_counter() - begin) / 5
    return seconds, server_time(scratch) - time.time()


def _kind_of(folder: Path) -> str:
    """Return the type of the file system of a folder, as the kernel's table of mounts has it."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    resolved = folder.resolve()
    for line in lines:
        before, _, after = line.partition(" - ")
        # Blanks in paths are written as octal numbers.
        point = before.split()[4].encode().decode("unicode_escape")
        if resolved.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind
