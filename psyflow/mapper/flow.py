"""From psets to outcomes: batches as large as fit their pace go out, and outcomes come back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

from psyflow.mapper.alike import Together
from psyflow.mapper.batches import Returned
from psyflow.mapper.call import Call, accept
from psyflow.mapper.engines.named import Engine, engine_for
from psyflow.mapper.supply import OfSpace, Supply
from psyflow.pspace import ParameterSpace
from psyflow.work.pacer import Pacer

__all__ = ["evaluate_through", "evaluating"]


def evaluating(
    engine: Engine,
    supply: Supply,
    group_size: int | None = None,
    together: Together | None = None,
) -> Generator[Returned, None, None]:
    """Evaluate psets, and yield outcomes as they come.

    Whoever leaves off has the engine closed.

    Parameters
    ----------
    engine : Engine
    supply : Supply
    group_size : int, optional
        How many psets to send at once; by default, what takes about a quarter of a second.
    together : Together, optional
        Heeds what comes, and may end it.
    """
    pacer = Pacer(engine.n_workers)
    found: list[Returned] = []
    with contextlib.closing(engine):
        while True:
            _fill(engine, supply, pacer, group_size)
            for returned in found:
                yield returned
                if together is not None and together.heed(returned):
                    return
            if not engine.is_busy:
                supply.end()
                return
            found = engine.collect()
            for returned in found:
                if returned.ended is not None:
                    pacer.took(returned.ended.n_items, returned.ended.seconds)


def _fill(engine: Engine, supply: Supply, pacer: Pacer, group_size: int | None) -> None:
    while room := engine.room:
        size = group_size or pacer.size(supply.left)
        batch = supply.take(max(1, min(room, size)))
        if batch is None:
            return
        engine.submit(batch)


def evaluate_through(
    backend: Any,
    n_jobs: int,
    function: Callable[..., Mapping[str, Any]],
    space: ParameterSpace,
    check: Callable[[Mapping[str, Any]], None] = accept,
    together: Together | None = None,
) -> Generator[Returned, None, None]:
    """Evaluate all psets of `space`, and yield outcomes as they come.

    Parameters
    ----------
    backend : str, Executor or joblib backend
    n_jobs : int
        Number of workers; −1 for all that there are. Dask and Ray use all.
    function : callable
    space : ParameterSpace
    check : callable
        Raises UnsupportedDataError for a result row that nobody could keep.
    together : Together, optional
        As for `evaluating`.

    Raises
    ------
    PsyflowError
        If the engine is not installed, or has not been started.
    ValueError
        If there is no such backend.
    """
    call = Call(function, check=check)
    n_workers = n_jobs if n_jobs > 0 else None
    yield from evaluating(engine_for(backend, call, n_workers), OfSpace(space), None, together)
