"""Running commands, and what they took."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Usage:
    """What one command took.

    Attributes
    ----------
    wall, cpu : float
        Seconds; CPU time of the command and all its descendants.
    peak_mb : float
        Largest resident memory of any of these processes, in 10⁶ bytes.
    report : dict
        What the command printed last, if that is a JSON object.
    """

    wall: float
    cpu: float
    peak_mb: float
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """Something to measure.

    Attributes
    ----------
    commands : sequence of argument lists
        Started together; the measurement ends with the last one.
    folder : Path
        Where they run.
    before : callable
        Makes the folder ready, unmeasured.
    """

    commands: Sequence[Sequence[str]]
    folder: Path
    before: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Sample:
    """All measurements of one contender."""

    usages: Sequence[Usage]

    @property
    def wall(self) -> float:
        return statistics.median(usage.wall for usage in self.usages)

    @property
    def cpu(self) -> float:
        return statistics.median(usage.cpu for usage in self.usages)

    @property
    def peak_mb(self) -> float:
        return max(usage.peak_mb for usage in self.usages)

    def reported(self, name: str) -> float:
        """Return the median of what the command itself reported."""
        return statistics.median(float(usage.report[name]) for usage in self.usages)


def interleaved(contenders: Mapping[str, Contender], repeats: int) -> dict[str, Sample]:
    """Measure all contenders in turn, `repeats` times, so that a change of load meets them all."""
    usages: dict[str, list[Usage]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            usages[name].append(measured(contender))
    return {name: Sample(found) for name, found in usages.items()}


def measured(contender: Contender) -> Usage:
    """Run a contender once.

    The kernel keeps the peak memory of a process from before its `exec`, so this process has to
    stay small: it imports no NumPy.
    """
    contender.before()
    with tempfile.TemporaryFile() as file:
        begin = time.perf_counter()
        children = [_start(command, contender.folder, file) for command in contender.commands]
        ends = [os.wait4(child.pid, 0) for child in children]
        wall = time.perf_counter() - begin
        file.seek(0)
        output = file.read().decode()
    for child, (_, status, _) in zip(children, ends, strict=True):
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            command = contender.commands[children.index(child)]
            raise RuntimeError(f"{command} ended with {child.returncode}:\n{output}")
    return Usage(
        wall=wall,
        cpu=sum(rusage.ru_utime + rusage.ru_stime for _, _, rusage in ends),
        peak_mb=max(rusage.ru_maxrss for _, _, rusage in ends) * 1024 / 1e6,
        report=_last_json(output),
    )


def _start(command: Sequence[str], folder: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def _last_json(output: str) -> dict[str, Any]:
    lines = output.splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {}
    return dict(json.loads(lines[-1]))
