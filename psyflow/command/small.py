"""What is in a folder, if it is little."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["small_files"]

_LARGEST_FILES = 32
_LARGEST_BYTES = 64 << 10


def small_files(folder: Path, streams: Mapping[str, int]) -> dict[str, bytes] | None:
    """Return what is in the files of a folder; None if it is much, or nobody may read it.

    Links are left out, but for those to a file beside them.

    Parameters
    ----------
    folder : Path
    streams : mapping from str to int
        Files in it that are open, and their descriptors.
    """
    try:
        return _files_in(str(folder), streams)
    except PermissionError:
        return None


def _files_in(
    folder: str, streams: Mapping[str, int], prefix: str = ""
) -> dict[str, bytes] | None:
    found: dict[str, bytes] = {}
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        try:
            files = _files_of(entry, streams, f"{prefix}{entry.name}")
        except FileNotFoundError:
            continue  # what a program has left behind has removed it meanwhile
        if files is None:
            return None
        found |= files
        if len(found) > _LARGEST_FILES or sum(map(len, found.values())) > _LARGEST_BYTES:
            return None
    return found


def _files_of(
    entry: os.DirEntry[str], streams: Mapping[str, int], name: str
) -> dict[str, bytes] | None:
    if entry.is_symlink() and not (_leads_aside(entry) and entry.is_file()):
        return {}
    if entry.is_dir():
        return _files_in(entry.path, {}, f"{name}/")
    content = _content(entry, streams) if entry.is_file() else None
    return None if content is None else {name: content}


def _leads_aside(link: os.DirEntry[str]) -> bool:
    return os.sep not in os.readlink(link.path)  # noqa: PTH115


def _content(entry: os.DirEntry[str], streams: Mapping[str, int]) -> bytes | None:
    """Return what is in a file; None if that is too much."""
    # To open one takes longer than to ask whether there is anything in it.
    fd = streams.get(entry.name)
    stat = entry.stat() if fd is None else os.fstat(fd)
    if fd is not None and stat.st_ino != entry.inode():
        return _content(entry, {})  # a program has put another file in its place
    if stat.st_size > _LARGEST_BYTES:
        return None
    if not stat.st_size:
        return b""
    return Path(entry.path).read_bytes() if fd is None else os.pread(fd, _LARGEST_BYTES, 0)
