"""A study as the tests of the command line have it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.study import SQUARE, Study

__all__ = ["SKIPS_ZERO", "SQUARE", "Place", "lines"]

SKIPS_ZERO = SQUARE.replace(
    "    return", "    if x == 0:\n        raise psyflow.Skip('dull')\n    return"
).replace("from", "import psyflow\nfrom", 1)


class Place(Study):
    """A study whose task files are as they are written, and whose `psy` runs in this process."""

    def task(self, name: str, source: str = SQUARE, taskdir: str = "psy-tasks") -> Path:
        return self.write(name, source, taskdir)

    def psy(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.call(*words)


def lines(task: str, marks: str = ". . .") -> str:
    """Return doit's lines for the three steps: ``.`` executed, ``--`` up to date."""
    words = zip(marks.split(), ("split", "process", "merge"), strict=True)
    return "".join(f"{mark:<2} {task}:{step}\n" for mark, step in words)
