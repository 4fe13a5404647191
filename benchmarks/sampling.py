"""Looks at which line this process is, for as often as it has used so much of a processor.

A signal comes at each tick of the kernel's clock that finds the process at work, a few hundred
times a second; the line is noted at which Python hears of it, the same one or the next call's end.
Nothing else is slowed down. Who looks from another process finds what enters the kernel too often,
where processors are busy: a process makes way for that one when it comes back from there. And
`cProfile` makes each call several times as dear.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

__all__ = ["Line", "begin", "end", "stacks"]

_SECONDS = 0.001
"""Less than a tick."""


class Line(NamedTuple):
    """Where a function was, as it is written in the file of looks."""

    function: str
    file: str
    number: int


def begin(looks: str) -> None:
    """Note in the file `looks` where the main thread of this process is, from now on."""
    file = os.open(looks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def look(signum: int, frame: FrameType | None) -> None:
        lines = []
        while frame is not None:
            code = frame.f_code
            lines.append(f"{code.co_qualname}\t{code.co_filename}\t{frame.f_lineno or 0}")
            frame = frame.f_back
        os.write(file, "\f".join(lines).encode() + b"\n")

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS, _SECONDS)


def end() -> None:
    """Look no more: a process that ends does not know the signal any more."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def stacks(looks: Path) -> Iterator[list[Line]]:
    """Yield what was noted, the innermost function first."""
    for text in looks.read_text().split("\n")[:-1]:
        parts = [line.split("\t") for line in text.split("\f")]
        yield [Line(function, file, int(number)) for function, file, number in parts]
