"""What a worker needs to evaluate psets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from psyflow.context import Contexts
from psyflow.rng import RandomStreams

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
    """

    execute: Callable[..., Mapping[str, Any]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any]], None] = lambda row: None
    streams: RandomStreams | None = None
    contexts: Contexts | None = None

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


NO_RETRIES = Retries()
