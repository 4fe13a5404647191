"""A link to an engine: calls go out by it, and what they return comes back."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

from psyflow.exceptions import PsyflowError

__all__ = ["Link", "module_of"]

COUNT_SECONDS = 1.0


class Link(ABC):
    """An engine that says of a call, as a whole, that it is done, or that its worker died."""

    def __init__(self) -> None:
        self._n_workers, self._counted = 1, float("-inf")

    @abstractmethod
    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have a function called, and return a handle of the call.

        Parameters
        ----------
        function : callable
            Of a module that the workers have, too.
        *args
        **options
            What the engine is to reserve for it, in its own words.
        """

    @abstractmethod
    def wait(self, seconds: float | None = None) -> Any:
        """Wait until a call is done, and return its handle.

        Parameters
        ----------
        seconds : float, optional
            How long to wait at the most; then None is returned.
        """

    @abstractmethod
    def result(self, handle: Any) -> Any:
        """Return what a call that is done has returned, or raise what became of it."""

    @abstractmethod
    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died with its call."""

    @abstractmethod
    def count_workers(self) -> int:
        """Return how many calls the engine does at once now, at least 1."""

    @property
    def n_workers(self) -> int:
        """How many workers there were a moment ago: clusters grow and shrink."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._n_workers, self._counted = self.count_workers(), time.monotonic()
        return self._n_workers

    @property
    def most_at_once(self) -> float:
        """How many calls it should have: where a death takes all of them along, few."""
        return 3 * self.n_workers

    def tell_all(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function in each process that does calls, at once, as far as these are known."""
        # Some engines do calls in threads of this process.
        function(*args)

    def recall(self) -> None:  # noqa: B027
        """Take back what has not begun, as far as that can be done: see `is_recalled`."""

    def is_recalled(self, error: BaseException) -> bool:
        """Tell whether `error` says that a call was taken back."""
        return isinstance(error, CancelledError)

    def close(self) -> None:  # noqa: B027
        """Take back what has not begun, and end what was started for the link."""


def module_of(name: str, engine: str, extra: str) -> Any:
    """Import what an engine needs.

    Raises
    ------
    PsyflowError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PsyflowError(
            f"{engine} is not installed. Type: pip install 'psyflow[{extra}]'"
        ) from None
