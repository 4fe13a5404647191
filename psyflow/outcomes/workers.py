"""The workers that computed rows, by numbers: a row holds the number of its worker."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Workers"]


class Workers:
    """Workers in the order in which their rows were met.

    Attributes
    ----------
    names : list of str
        ``"<host> <pid> <log>"``.
    job_ids : list of str
        What the scheduler called the job of each; empty if it was none of a scheduler's.

    Examples
    --------
    >>> workers = Workers()
    >>> workers.number("node3 812 a:process:0.worker-1.log", "4711")
    0
    >>> workers.numbers(["unknown", "node3 812 a:process:0.worker-1.log"], ["", "4711"])
    [1, 0]
    >>> workers.job_ids
    ['4711', '']
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.job_ids: list[str] = []
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, name: str, job_id: str = "") -> int:
        """Return the number of a worker, which it gets when it is first asked for."""
        if (known := self._numbers.get((name, job_id))) is not None:
            return known
        self.names.append(name)
        self.job_ids.append(job_id)
        return self._numbers.setdefault((name, job_id), len(self._numbers))

    def numbers(self, names: Iterable[str], job_ids: Iterable[str]) -> list[int]:
        """Return the numbers of several workers."""
        return [self.number(name, job_id) for name, job_id in zip(names, job_ids, strict=True)]
