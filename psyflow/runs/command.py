"""In which words a job is started."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["job_command"]


def job_command(python: Sequence[str]) -> list[str]:
    """Return how the command lines of all jobs begin that the interpreter `python` does."""
    # A `signal.py` where a job happens to start is no module of the standard library.
    return [*python, "-P", "-m", "psyflow.job"]
