"""`map`: a function, psets, and the table of what became of them."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from psyflow.exceptions import MapInterrupted, PsyflowError, PsyflowWarning, UsageError
from psyflow.mapper.arguments import Asked, check_call, name_of, space_of
from psyflow.mapper.batches import Returned
from psyflow.mapper.collected import Collected
from psyflow.mapper.flow import evaluating
from psyflow.mapper.outcome import Outcome, outcomes_in
from psyflow.mapper.shown import is_interactive, say, shown
from psyflow.mapper.supply import OfSpace
from psyflow.outcomes.records import Failure
from psyflow.pspace import ParameterSpace
from psyflow.results import Results

__all__ = ["collect", "map"]

ODD_AT_FIRST = 3
"""If the function returns no dict for this many psets at first, it never will."""


def map(
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
    workdir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    on_outcome: Callable[[Outcome], object] | None = None,
) -> Results:
    """Evaluate a function on psets, and return the table of their results.

    A pset that fails, whose process dies, or which takes too long costs that pset alone; it is in
    ``failures`` of what is returned.

    Parameters
    ----------
    fn : callable
        Takes a pset as keyword arguments, and returns a dict. Lambdas, closures and functions of a
        notebook will do.
    psets : ParameterSpace, iterable of dicts, dict of columns, or data frame
        A name that a pset lacks, and others have, is NaN in it, as in every space.
    backend : str, concurrent.futures.Executor or joblib backend
        ``"processes"``, which are forks of this one; ``"serial"``, in this process; ``"threads"``;
        ``"dask"`` and ``"ray"``, which ``psyflow[dask]`` and ``psyflow[ray]`` install; any other
        that joblib knows, such as ``"loky"``; or an executor of any library.
    pool_size : int or "auto"
        Number of workers; ``"auto"`` for one per processor.
    timeout : float, optional
        Seconds that a pset may take (processes only).
    retries : int
        How often to try a pset again that failed.
    max_failures : int or float, optional
        With how many failures, or which share of them, to begin nothing more.
    seed : int, optional
        Gives `fn` the argument ``rng``, a generator of NumPy of the pset's own: whatever the order
        or the number of workers, its numbers depend on the seed and the pset alone.
    limit : int
        Evaluate the first psets only; 0 means all.
    setup : callable, optional
        Called once in each worker with its number; returns a dict of further keyword arguments.
    call : {"keywords", "pset"}
        ``"pset"`` calls ``fn(pset)``, with the dict as its one argument.
    workdir : path-like, optional
        A folder to keep results in. Called again after whatever has ended it, the map computes
        what is missing there. ``psy status DIR`` and `psyflow.load` take the folder. Without it,
        nothing is written.
    progress : bool
        Show how far it is, and say how many psets failed.
    on_outcome : callable, optional
        Called with each outcome as it comes: see `imap`.

    Returns
    -------
    Results
        A row for each pset with a result, in the order of the psets. With ``failures`` and
        ``missing``, of which ``to_psets()`` gives what to map again, ``stats`` and ``progress``.
        In a notebook or a console, Ctrl-C returns what is done until then.

    Raises
    ------
    UsageError
        Before anything runs, if something is wrong with the arguments; and if `fn` returns no
        dict.
    PsyflowError
        If the workers cannot work: an engine is not installed, `setup` fails, …
    RunHeldError
        If another process is at work in `workdir`.
    MapInterrupted
        In a script, by Ctrl-C: a KeyboardInterrupt whose ``results`` has what is done.

    Examples
    --------
    >>> import psyflow
    >>> def ratio(a, b):
    ...     return {"ratio": a / b}
    >>> results = psyflow.map(ratio, psyflow.Param(a=[1, 2]) * psyflow.Param(b=[4, 0]),
    ...                       pool_size=2, progress=False)
    >>> results
    Results: 2 of 4 rows; fixed: b = 4
    a  b  ratio
    1  4  0.25
    2  4  0.5
    >>> results.failures["exception"][0], results.missing.to_psets()
    ('ZeroDivisionError: division by zero', [{'a': 1, 'b': 0}, {'a': 2, 'b': 0}])
    """
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
    if on_outcome is not None and not callable(on_outcome):
        raise UsageError("`on_outcome` has to be a function, which gets each outcome.")
    space = space_of(psets, limit)
    if not len(space):
        warnings.warn(PsyflowWarning("There are no psets to evaluate."), stacklevel=2)
    else:
        check_call(asked, space.keys(), has_context=workdir is not None)
    return collect(asked, space, progress=progress, on_outcome=on_outcome)


def collect(
    asked: Asked,
    space: ParameterSpace,
    *,
    progress: bool = False,
    on_outcome: Callable[[Outcome], object] | None = None,
) -> Results:
    """Evaluate the psets of a space, and return the table of what became of them.

    Raises
    ------
    UsageError
        If the function returns no dict.
    PsyflowError
        If the workers cannot work, before anything is done.
    MapInterrupted
        In a script, by Ctrl-C.
    """
    collected = Collected(len(space))
    trouble: BaseException | None = None
    with _shown(asked, collected) if progress else contextlib.nullcontext():
        try:
            for returned in _returned(asked, space, collected):
                for outcome in outcomes_in(returned) if on_outcome is not None else ():
                    on_outcome(outcome)  # type: ignore[misc]
        except (KeyboardInterrupt, PsyflowError) as error:
            trouble = error
            if not (collected.n_done or isinstance(error, KeyboardInterrupt)):
                raise
    results = collected.table(space)
    _tell(results, collected, trouble, progress=progress)
    return results


def _returned(asked: Asked, space: ParameterSpace, collected: Collected) -> Iterator[Returned]:
    """Yield what comes back, having taken it up; end early if too much of it is failures."""
    if not len(space):
        return
    engine, most = asked.engine(len(space)), asked.most_failures(len(space))
    with contextlib.closing(evaluating(engine, OfSpace(space))) as found:
        for returned in found:
            collected.add(returned)
            if returned.failures:
                _check_returns_dicts(asked, collected)
            yield returned
            if returned.failures and collected.n_failed >= most:
                return


def _check_returns_dicts(asked: Asked, collected: Collected) -> None:
    """Raise UsageError if the first psets all fail for what the function returns."""
    first = list(collected.failures.values())
    n = min(ODD_AT_FIRST, collected.n_items)
    if collected.n_done or len(first) < n or any(not _is_no_dict(one) for one in first[:n]):
        return
    _, _, what = first[0].exception.partition("execute ")
    raise UsageError(f"`{name_of(asked.function)}` {what}")


def _is_no_dict(failure: Failure) -> bool:
    return failure.kind == "result" and failure.exception.startswith("TypeError: execute returned")


def _shown(asked: Asked, collected: Collected) -> contextlib.AbstractContextManager[None]:
    return shown(name_of(asked.function), collected.progress)


def _tell(
    results: Results, collected: Collected, trouble: BaseException | None, *, progress: bool
) -> None:
    """Say what became of it, or raise that it was interrupted."""
    n_left = collected.n_items - collected.n_done
    if isinstance(trouble, KeyboardInterrupt):
        if not is_interactive():
            raise MapInterrupted(results) from None
        say(f"Interrupted: {collected.n_done} psets are done, and {n_left} are in `missing`.")
    elif trouble is not None:
        say(f"{trouble} What was done is returned; {n_left} psets are in `missing`.")
    elif progress and (first := collected.first_failure) is not None:
        n_failed = collected.n_failed
        n_never = n_left - len(collected.failures)
        never = f" {n_never} never ran, as so many failed." if n_never else ""
        say(
            f"{n_failed} of {collected.n_items} psets failed, and are in `failures`; the first, "
            f"{dict(first.pset)}, with {first.exception}{never}"
        )
