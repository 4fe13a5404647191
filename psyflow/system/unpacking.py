"""Laying out an archive, of which nothing may come to lie outside of its folder."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

__all__ = ["extract"]


def extract(
    archive: tarfile.TarFile, folder: Path, members: Sequence[tarfile.TarInfo] | None = None
) -> None:
    """Lay out files and folders of an archive.

    Parameters
    ----------
    archive : TarFile
    folder : Path
    members : sequence of TarInfo, optional
        Which of them, instead of all.

    Raises
    ------
    tarfile.TarError
        If anything is no file or folder, or would lie elsewhere.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, members, filter="data")
        return
    # Python has that since 3.11.4, and distributions have older ones.
    chosen = archive.getmembers() if members is None else members
    for member in chosen:
        names = [member.name, *([member.linkname] if member.islnk() else [])]
        is_plain = member.isfile() or member.isdir() or member.islnk()
        if not is_plain or any(map(_leads_out, names)):
            raise tarfile.ReadError(f"{member.name!r} would not lie in {folder}")
        # They are whose process this is, also where that may give them to others.
        ours = {"uid": os.geteuid(), "gid": os.getegid(), "uname": "", "gname": ""}
        for name, value in {**ours, "mode": member.mode & 0o755}.items():
            setattr(member, name, value)
    archive.extractall(folder, chosen)


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts
