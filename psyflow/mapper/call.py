"""What is called for each pset, as it travels to wherever that is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psyflow.exceptions import PsyflowError, UsageError
from psyflow.pspace.streams import RandomStreams
from psyflow.reprs import safe_repr
from psyflow.texts import traceback_text, users_frames
from psyflow.work.prepared import NO_RETRIES, Prepared, Retries

__all__ = ["AsPset", "Call", "accept"]


def accept(row: Mapping[str, Any]) -> None:
    """Take any row; a function by name, since not every engine pickles others."""


@dataclass(frozen=True)
class Call:
    """What is called for each pset.

    Attributes
    ----------
    function : callable
        Takes the pset as keyword arguments, returns a dict.
    setup : callable or None
        Given the number of a worker, what else the function gets as keyword arguments.
    streams : RandomStreams or None
        Where the argument ``rng`` comes from, if the function gets one.
    check : callable
        Raises UnsupportedDataError for a result row that nobody could keep.
    retries : Retries
        Which failed evaluations are tried again.
    """

    function: Callable[..., Any]
    setup: Callable[[int], Mapping[str, Any] | None] | None = None
    streams: RandomStreams | None = None
    check: Callable[[Mapping[str, Any]], None] = accept
    retries: Retries = NO_RETRIES

    def prepared(self, worker: int) -> Prepared:
        """Return what worker number `worker` needs.

        Raises
        ------
        PsyflowError
            If `setup` fails.
        """
        extra = {} if self.setup is None else _set_up(self.setup, worker)
        function = self.function
        if isinstance(function, AsPset):
            rng = [] if self.streams is None else ["rng"]
            function = AsPset(function.function, frozenset([*extra, *rng]))
        return Prepared(function, extra, self.check, self.streams)


def _set_up(setup: Callable[[int], Mapping[str, Any] | None], worker: int) -> Mapping[str, Any]:
    try:
        extra = setup(worker)
    except Exception as error:
        told = traceback_text(error, users_frames(error.__traceback__))
        raise PsyflowError(f"`setup` failed.\n{told}") from error
    if extra is not None and not isinstance(extra, Mapping):
        raise UsageError(
            f"`setup` returned {safe_repr(extra, 80)}. It has to return a dict of arguments."
        )
    return extra or {}


@dataclass(frozen=True)
class AsPset:
    """A function that takes a whole pset as its argument, called as those that take its parts.

    Attributes
    ----------
    function : callable
    beside : frozenset of str
        Names of arguments that are of no pset.

    Examples
    --------
    >>> AsPset(lambda pset, scale: pset["x"] * scale, frozenset(["scale"]))(x=3, scale=2)
    6
    """

    function: Callable[..., Any]
    beside: frozenset[str] = field(default=frozenset())

    def __call__(self, /, **arguments: Any) -> Any:
        """Call the function."""
        beside = {name: arguments.pop(name) for name in self.beside}
        return self.function(arguments, **beside)
