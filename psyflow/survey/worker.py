"""A worker of a survey, as a function of a pset."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psyflow.reprs import safe_repr

__all__ = ["Worker"]


@dataclass(frozen=True)
class Worker:
    """A function ``worker(pset, system_kwargs, user_kwargs)``, called with a pset.

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
    >>> Worker(lambda pset, system_kwargs, user_kwargs: {"y": pset["x"]}, {}, {})({"x": 3})
    {'y': 3}
    """

    function: Callable[..., Any]
    system_kwargs: Mapping[str, Any]
    user_kwargs: Any
    chdir: str | None = None
    out_subdirs: int | None = None

    def __call__(self, pset: dict[str, Any]) -> Mapping[str, Any]:
        """Evaluate a pset; None counts as no results."""
        system = dict(self.system_kwargs)
        if self.chdir is not None:
            os.chdir(self.chdir)
        if self.out_subdirs:
            digits = max(2, len(str(self.out_subdirs - 1)))
            system["out_subdir"] = f"ps{random.randrange(self.out_subdirs):0{digits}d}"
        returned = self.function(pset, system, self.user_kwargs)
        if returned is not None and not isinstance(returned, Mapping):
            raise TypeError(
                f"The worker returned {safe_repr(returned, 60)}. It has to return a dict, or None."
            )
        return returned or {}
