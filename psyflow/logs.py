"""What jobs and items printed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from psyflow.failures import FailedItem
from psyflow.layout import Layout

__all__ = ["Excerpt", "job_logs", "printed_at"]

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a log.

    Attributes
    ----------
    log : Path
    line : int
        Number of the first, from 1.
    text : str
    """

    log: Path
    line: int
    text: str


def job_logs(layout: Layout) -> list[Path]:
    """Return the logs of a run in the order of its steps: split, process 0, 1, …, merge."""
    order = {"split": 0, "process": 1, "merge": 2}

    def place(log: Path) -> tuple[int, int]:
        step, _, number = log.stem.removeprefix(f"{layout.task}:").partition(":")
        return order.get(step, len(order)), int(number) if number.isdecimal() else 0

    return sorted(layout.logs(), key=place)


def printed_at(failed: FailedItem) -> Excerpt | None:
    """Return the lines of the log that tell of a failure; None if they are not there.

    The last such lines are taken: a log is appended to by one run after the other.
    """
    # The one place to go by a position in the log as soon as outcomes carry one.
    try:
        lines = failed.log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    block = _lines_about(failed)
    starts = [number for number, line in enumerate(lines) if line == block[0]]
    whole = [start for start in starts if lines[start : start + len(block)] == block]
    start = next(iter([*reversed(whole), *reversed(starts)]), None)
    if start is None:
        return None
    found = block if whole else block[:1]
    return Excerpt(failed.log, start + 1, "\n".join(found))


def _lines_about(failed: FailedItem) -> list[str]:
    failure = failed.failure
    return f"Item {failure.item} failed: {failure.exception}\n{failure.traceback}".splitlines()
