"""What a worker needs to evaluate psets."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from psyflow.pspace import ParameterSpace
from psyflow.pspace.streams import RandomStreams
from psyflow.work.context import Contexts

__all__ = ["NO_RETRIES", "Prepared", "Retries"]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0


@dataclass
class Prepared:
    """What a worker needs to evaluate psets.

    Attributes
    ----------
    execute : callable
        Called with the pset as keyword arguments; returns a dict.
    extra : mapping
        Further keyword arguments: what the task's ``setup`` returned.
    check : callable
        Raises UnsupportedDataError for a result row that the store cannot hold.
    streams : RandomStreams or None
        Where the argument ``rng`` comes from, if the function gets one.
    contexts : Contexts or None
        Where the argument ``ctx`` comes from, if the function gets one.
    observe : callable or None
        Told after each of the first batches how many items that had; returns whether it wants to
        be told again.
    exclude : collection of str
        Names of results that nobody keeps.
    space : ParameterSpace or None
        The run's frozen space, if only now it could be loaded.
    store : str
        What tells from others the store that `check` asks; if empty, what it cannot hold is not
        kept for another one.
    withheld : collection of str
        Names of parameters that the function is not called with.
    n_unfit : callable
        Tells for how many items the result could not be kept, 0 if there are any rows. If there
        are none, and none of the first results can be kept, the run is ended.
    """

    execute: Callable[..., Mapping[str, Any]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any]], None] = lambda row: None
    streams: RandomStreams | None = None
    contexts: Contexts | None = None
    observe: Callable[[int], bool] | None = None
    exclude: Collection[str] = ()
    space: ParameterSpace | None = None
    store: str = ""
    withheld: Collection[str] = ()
    n_unfit: Callable[[], int] = lambda: 0

    @property
    def given(self) -> set[str]:
        """The names of the arguments that are of no pset, and that psyflow gives."""
        given = {"rng": self.streams, "ctx": self.contexts}
        return {name for name, source in given.items() if source is not None}


@dataclass(frozen=True)
class Retries:
    """Which failed evaluations are tried again.

    Attributes
    ----------
    limit : int
        How often.
    kinds : collection of str
        After which kinds of failure.
    """

    limit: int = 0
    kinds: Collection[str] = ()

    def allow(self, kind: str, attempt: int) -> bool:
        """Tell whether an item whose attempt number `attempt` failed so is tried again."""
        return attempt <= self.limit and kind in self.kinds

    @staticmethod
    def pause(attempt: int) -> float:
        """Return how many seconds to wait after attempt number `attempt`: twice as many each."""
        return min(FIRST_PAUSE * 2.0 ** (attempt - 1), LONGEST_PAUSE)

    def wait(self, attempt: int, is_stopping: Callable[[], bool]) -> bool:
        """Wait as long as is due after an attempt, and return whether to go on then."""
        seconds = self.pause(attempt)
        end = monotonic() + seconds
        while not is_stopping() and monotonic() < end:
            time.sleep(min(0.1, seconds))
        return not is_stopping()


NO_RETRIES = Retries()
