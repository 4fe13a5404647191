"""A worker of a survey, as a function of a pset; and what it tells beside its results."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psyflow.reprs import safe_repr

__all__ = ["IOWAIT", "RAW_STATS", "Worker"]

IOWAIT, RAW_STATS = "_iowait", "_raw_stats"
"""Columns of what a worker tells of itself. No user's has such a name."""


@dataclass(frozen=True)
class Worker:
    """A function ``worker(pset, system_kwargs, user_kwargs)``, called with a pset.

    Beside what that returns it tells how long it waited, and what was recorded in
    ``system_kwargs["raw_stats"]``.

    Attributes
    ----------
    function : callable
    system_kwargs, user_kwargs : mapping
    chdir : str or None
        Where to work.
    out_subdirs : int or None
        From how many subfolders to choose one at random, as ``system_kwargs["out_subdir"]``.

    Examples
    --------
    >>> row = Worker(lambda pset, system_kwargs, user_kwargs: {"y": pset["x"]}, {}, {})({"x": 3})
    >>> row["y"], row["_iowait"] < 1
    (3, True)
    """

    function: Callable[..., Any]
    system_kwargs: Mapping[str, Any]
    user_kwargs: Any
    chdir: str | None = None
    out_subdirs: int | None = None

    def __call__(self, pset: dict[str, Any]) -> Mapping[str, Any]:
        """Evaluate a pset; None counts as no results."""
        raw_stats: dict[str, list[float]] = {}
        system = {**self.system_kwargs, "raw_stats": raw_stats}
        if self.chdir is not None:
            os.chdir(self.chdir)
        if self.out_subdirs:
            digits = max(2, len(str(self.out_subdirs - 1)))
            system["out_subdir"] = f"ps{random.randrange(self.out_subdirs):0{digits}d}"
        begin, begin_cpu = time.perf_counter(), time.process_time()
        returned = self.function(pset, system, self.user_kwargs)
        waited = time.perf_counter() - begin - (time.process_time() - begin_cpu)
        if returned is not None and not isinstance(returned, Mapping):
            raise TypeError(
                f"The worker returned {safe_repr(returned, 60)}. It has to return a dict, or None."
            )
        recorded = {RAW_STATS: raw_stats} if raw_stats else {}
        return {**(returned or {}), IOWAIT: max(0.0, waited), **recorded}
