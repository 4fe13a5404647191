"""How many items a claim takes."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

__all__ = ["CLAIM_SECONDS", "MAX_CLAIM", "Pacer"]

CLAIM_SECONDS = 0.25
SMALLEST_CLAIM_SECONDS = 0.01
MAX_CLAIM = 1 << 18
REMEMBERED = 64
"""Claims by whose durations the next one's is judged."""
QUANTILE = 0.95


class Pacer:
    """Decides how many items the next claim takes.

    Guided self-scheduling (Polychronopoulos and Kuck 1987, IEEE Trans. Comput. C-36, 1425–1439):
    never more than the remaining items divided by twice the number of workers, so that claims
    shrink as the work runs out and uneven items balance; and never more than what takes about a
    quarter of a second (longer with very many workers, whose claims meet in one folder), so that
    cheap items stay cheap and dear ones are claimed one by one. Nor is it less than what takes a
    hundredth of a second: a claim costs a file, and to balance less than that gains nothing.

    Parameters
    ----------
    n_workers : int
        All workers that share the claim log.

    Examples
    --------
    >>> pacer = Pacer(n_workers=2)
    >>> pacer.size(1000)
    1
    >>> pacer.took(1, 0.001)
    >>> pacer.size(1000)
    8
    """

    GROWTH = 8

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._seconds = max(CLAIM_SECONDS, 0.01 * n_workers)
        self._largest = 1
        self._smallest = 1
        self._rate = 0.0
        self._recent: deque[float] = deque(maxlen=REMEMBERED)
        self.quota: int | None = None
        """How many items may still be claimed, if that is limited."""

    def size(self, remaining: int) -> int:
        """Return how many of the `remaining` items to claim."""
        fair = max(math.ceil(remaining / (2 * self._n_workers)), self._smallest)
        quota = MAX_CLAIM if self.quota is None else self.quota
        return min(self._largest, fair, remaining, MAX_CLAIM, quota)

    def wish(self) -> tuple[int, int, float]:
        """Return how many to claim at most, below how many not to balance, and items a second."""
        most = min(self._largest, MAX_CLAIM, MAX_CLAIM if self.quota is None else self.quota)
        return most, min(self._smallest, most), self._rate

    def fits(self, seconds: float) -> bool:
        """Tell whether the next claim would be done in `seconds`, as far as the last ones tell."""
        return not self._recent or float(np.quantile(self._recent, QUANTILE)) <= seconds

    def took(self, n_items: int, seconds: float) -> None:
        """Learn that a claim of `n_items` took that long."""
        self._recent.append(seconds)
        if self.quota is not None:
            self.quota -= n_items
        self._rate = rate = n_items / max(seconds, 1e-9)
        affordable = int(self._seconds * rate)
        self._smallest = int(SMALLEST_CLAIM_SECONDS * rate)
        # Growing step by step guards against a first item that happens to be quick.
        self._largest = max(1, min(affordable, n_items * self.GROWTH))
