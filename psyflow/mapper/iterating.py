"""`imap`: outcomes as they come, of as many psets as anybody likes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from psyflow.exceptions import ItemsFailedError
from psyflow.mapper.alike import Together
from psyflow.mapper.arguments import Asked, check_call, space_of
from psyflow.mapper.flow import evaluating
from psyflow.mapper.outcome import Outcome, outcomes_in
from psyflow.mapper.supply import OfIterable, OfSpace, Supply

__all__ = ["imap"]


def imap(
    fn: Callable[..., Mapping[str, Any]],
    psets: Any,
    *,
    backend: Any = "processes",
    pool_size: int | str = "auto",
    timeout: float | None = None,
    retries: int = 0,
    max_failures: int | float | None = None,
    seed: int | None = None,
    limit: int = 0,
    setup: Callable[[int], Mapping[str, Any] | None] | None = None,
    call: str = "keywords",
) -> Iterator[Outcome]:
    """Evaluate a function on psets, and yield the outcome of each as it comes.

    Nothing is kept, so there may be any number of psets. An iterator or a generator is asked for
    no more of them than the workers need. Leave the loop at any time: the workers end with it.

    Parameters
    ----------
    fn : callable
        As for `map`.
    psets : iterable of dicts, ParameterSpace or data frame
        Of what is no space or table, each pset has the names that it has: none is NaN.
    backend, pool_size, timeout, retries, seed, limit, setup, call
        As for `map`.
    max_failures : int, optional
        After how many failures to end. Without it, see Raises; ``float("inf")`` has all evaluated.

    Yields
    ------
    Outcome
        With ``item``, the number of the pset, its ``pset``, and ``result`` or ``failure``. In no
        order but that in which they are done.

    Raises
    ------
    UsageError, PsyflowError
        As for `map`. What is wrong with a pset of an iterator, and what that raises itself, after
        the outcomes of all psets before.
    ItemsFailedError
        After twenty failures of one kind, and no result, if no pset can do better: a name, a
        module or a program that is not there. All these have been yielded.

    Examples
    --------
    >>> from psyflow import imap
    >>> numbers = ({"n": n} for n in range(1_000_000_000))
    >>> for outcome in imap(lambda n: {"square": n * n}, numbers, pool_size=2):
    ...     if outcome.result["square"] > 100:
    ...         break
    >>> outcome.pset["n"] > 10
    True
    """
    if isinstance(max_failures, float) and math.isfinite(max_failures):
        max_failures = int(max_failures)
    asked = Asked.of(
        fn,
        psets,
        backend=backend,
        pool_size=pool_size,
        timeout=timeout,
        retries=retries,
        max_failures=max_failures,
        seed=seed,
        setup=setup,
        call=call,
    )
    return _outcomes(asked, _supply_of(asked, psets, limit))


def _supply_of(asked: Asked, psets: Any, limit: int) -> Supply:
    if isinstance(psets, Iterable) and not hasattr(psets, "__len__"):
        space_of([], limit)
        return OfIterable(_checked(asked, psets, limit))
    space = space_of(psets, limit)
    if len(space):
        check_call(asked, space.keys())
    return OfSpace(space)


def _checked(asked: Asked, psets: Iterable[Any], limit: int) -> Iterator[Any]:
    """Yield psets; look at the first of them, as at those of a space."""
    for number, pset in enumerate(psets):
        if number == 0 and isinstance(pset, Mapping):
            check_call(asked, list(pset))
        yield pset
        if number + 1 == limit:
            return


def _outcomes(asked: Asked, supply: Supply) -> Iterator[Outcome]:
    together, failures = Together(asked.most_failures(0)), []
    engine = asked.engine(supply.left)
    with contextlib.closing(evaluating(engine, supply, together=together)) as found:
        for returned in found:
            failures += returned.failures if not together.is_over else []
            yield from outcomes_in(returned)
    if together.found is not None and together.found.stops:
        raise ItemsFailedError(together.told(is_running=False), None, failures)
