"""What some tests need of the machine, and what to do where it is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.durability import bad_disk, recording

__all__ = [
    "need_bad_disk",
    "need_loop_devices",
    "need_namespaces",
    "need_recorder",
    "need_tmpfs",
]


def _require(reason: str | None) -> None:
    if reason and os.environ.get("PSYFLOW_REQUIRE_SERVERS") == "1":
        pytest.fail(f"PSYFLOW_REQUIRE_SERVERS=1, but {reason}")
    if reason:
        pytest.skip(reason)


def need_recorder() -> None:
    """Skip where file operations cannot be recorded, fail where they have to be."""
    _require(recording.unavailable())


def need_bad_disk() -> None:
    """Skip where the library cannot be built that makes a disk fail, fail where it has to be."""
    _require(bad_disk.unavailable())


def need_tmpfs(folder: Path) -> None:
    """Skip where no small file system can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    probe = subprocess.run(["mount", "-t", "tmpfs", "probe", folder], capture_output=True)
    if probe.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {probe.stderr.decode().strip()}")
    subprocess.run(["umount", folder], check=True)


def need_namespaces(command: list[str]) -> None:
    """Skip where `command` cannot begin a PID namespace, fail where it has to."""
    try:
        probe = subprocess.run([*command, "true"], capture_output=True, text=True)
        reason = probe.stderr.strip() if probe.returncode else None
    except OSError as error:
        reason = str(error)
    _require(f"no PID namespace can be made here: {reason}" if reason else None)


def need_loop_devices() -> None:
    """Skip where no image can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount an image")
    for program in ("losetup", "mkfs.ext4", "mount", "umount"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    probe = subprocess.run(["losetup", "--find"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no loop device is free: {probe.stderr.strip()}")
