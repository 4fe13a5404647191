"""The conditions under which items run, as far as a process has them: the same for each.

An item may change them. The next one would find that, and results would depend on which worker had
evaluated what before.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any, NamedTuple, TypeVar

import numpy as np

from psyflow.work.aspects import conditions_here

__all__ = ["Conditions", "Restored"]

_Result = TypeVar("_Result")

_IS_IN_CONTEXT = int(np.__version__.partition(".")[0]) >= 2
"""Whether how NumPy treats errors is seen by whoever has the context of a thread."""


class Restored(NamedTuple):
    """What has become of changed conditions."""

    was_changed: bool
    """Whether any of them had to be put back."""
    left: list[str]
    """Names of those that could not be."""


class Conditions:
    """What they are now, so that they can be put back later.

    Modules that were imported since may have changed some of them for good reasons: these stay.
    Modules of the standard library do not do that.

    Examples
    --------
    >>> conditions = Conditions()
    >>> conditions.changed(), conditions.are_as_ever()
    ([], True)
    >>> limit = sys.getrecursionlimit()
    >>> sys.setrecursionlimit(limit + 1)
    >>> conditions.are_as_ever()
    False
    >>> conditions.put_back(conditions.changed())
    Restored(was_changed=True, left=[])
    >>> sys.getrecursionlimit() == limit, conditions.changed()
    (True, [])
    """

    def __init__(self) -> None:
        self._conditions = conditions_here()
        self._getters = [condition.get for condition in self._conditions]
        self._asides = [condition.aside or condition.get for condition in self._conditions]
        self._own = [_copied(get()) for get in self._getters]
        self._modules = set(sys.modules)
        # What is in there, another thread can see, too.
        self._context = copy_context()

    def under(self, evaluate: Callable[[], _Result]) -> _Result:
        """Call what evaluates items where `are_as_ever` looks."""
        return self._context.run(evaluate)

    def changed(self) -> list[int]:
        """Tell which of them are not as they were, by their places; the fewer, the better."""
        try:
            is_same = [get() for get in self._getters] == self._own
        except Exception:
            is_same = False  # whatever was put there raises
        if is_same:
            if len(sys.modules) != len(self._modules):
                self._modules = set(sys.modules)
            return []
        return [place for place in range(len(self._own)) if not self._is_as_ever(place)]

    def are_as_ever(self) -> bool:
        """Tell whether none of them has changed; for another thread, while an item is running.

        It may be that item which has changed them, so that False says nothing of those before.
        """
        if not _IS_IN_CONTEXT:
            return False
        try:
            present = self._context.copy().run(lambda: [get() for get in self._asides])
            return present == self._own
        except Exception:
            return False

    def put_back(self, changed: Iterable[int]) -> Restored:
        """Put back those which `changed` told.

        Those that belong to what was imported meanwhile are as they should be from now on.
        """
        added = sys.modules.keys() - self._modules
        has_imported = any(name.partition(".")[0] not in sys.stdlib_module_names for name in added)
        self._modules = set(sys.modules)
        was_changed = False
        for place in changed:
            condition = self._conditions[place]
            # What fails is told as one that is left.
            with contextlib.suppress(Exception):
                if has_imported and condition.is_of_imports:
                    self._own[place] = _copied(condition.get())
                else:
                    was_changed = True
                    condition.put(_copied(self._own[place]))
        left = [self._conditions[place].name for place in changed if not self._is_as_ever(place)]
        return Restored(was_changed, left)

    def _is_as_ever(self, place: int) -> bool:
        try:
            return bool(self._getters[place]() == self._own[place])
        except Exception:
            return False


def _copied(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict, set) else value
