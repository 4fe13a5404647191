"""A small file system of its own, whose disk can be copied while it is in use."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["filled_image", "mounted", "snapshot"]


def filled_image(path: Path, megabytes: int = 16) -> Path:
    """Make an empty ext4 file system in the file `path`."""
    path.write_bytes(b"")
    subprocess.run(["truncate", "-s", f"{megabytes}M", path], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, capture_output=True)
    return path


@contextlib.contextmanager
def mounted(*arguments: str | Path, at: Path) -> Iterator[None]:
    """Have something mounted at a folder; unmounting also frees a loop device it needed."""
    subprocess.run(["mount", *arguments, at], check=True, capture_output=True)
    try:
        yield
    finally:
        _unmount(at)


def _unmount(folder: Path) -> None:
    for _ in range(50):
        if subprocess.run(["umount", folder], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    # Somebody is still in there: out of sight now, gone when they are.
    subprocess.run(["umount", "--lazy", folder], check=True)


def snapshot(image: Path) -> bytes:
    """Return what is on the disk at one moment, as a power loss then would leave it.

    Whoever writes to the file system must be stopped; what the kernel itself is writing, a commit
    of the journal for example, is waited for.
    """
    before, now = b"", image.read_bytes()
    while before != now:
        before, now = now, image.read_bytes()
    return now
