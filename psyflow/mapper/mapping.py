"""`map`: a function, psets, and the table of what became of them."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from psyflow.exceptions import MapInterrupted, PsyflowError, PsyflowWarning, UsageError
from psyflow.mapper.alike import Together
from psyflow.mapper.arguments import Asked, check_call, name_of, space_of
from psyflow.mapper.batches import Returned
from psyflow.mapper.collected import Collected
from psyflow.mapper.flow import evaluating
from psyflow.mapper.outcome import Outcome, outcomes_in
from psyflow.mapper.shown import is_interactive, say, shown
from psyflow.mapper.supply import OfSpace
from psyflow.outcomes.records import Failure
from psyflow.outcomes.table import Items
from psyflow.pspace import ParameterSpace
from psyflow.results import Results, load
from psyflow.results.performance import Progress

__all__ = ["Mapped", "map"]

Show: TypeAlias = "Callable[[Callable[[], Progress]], contextlib.AbstractContextManager[None]]"

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
        With how many failures, or which share of them, to begin nothing more. Without it, a map
        ends after twenty failures of one kind, and no result, if no pset can do better: a name, a
        module or a program that is not there. ``float("inf")`` has all evaluated.
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
    Results: 2 rows; varied: a
    a  b  ratio
    1  4  0.25
    2  4  0.5
    >>> print(results.failures["exception"][0])
    ZeroDivisionError: division by zero
    >>> results.missing.to_psets()
    [{'a': 1, 'b': 0}, {'a': 2, 'b': 0}]
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
        check_call(asked, space.keys())
    show = functools.partial(shown, name_of(fn)) if progress else None
    mapped = Mapped(asked, space, show=show, on_outcome=on_outcome)
    results = mapped.results() if workdir is None else mapped.results_in(workdir)
    if progress:
        mapped.tell_of_failures(results)
    return results


class Mapped:
    """A map, from its psets to the table.

    Parameters
    ----------
    asked : Asked
    space : ParameterSpace
    show : callable, optional
        Given what tells how far it is, what shows that as long as psets are evaluated.
    on_outcome : callable, optional
        Called with each outcome.
    group_size : int, optional
        How many psets to send to a worker at once.

    Attributes
    ----------
    collected : Collected
        What there is so far.
    """

    def __init__(
        self,
        asked: Asked,
        space: ParameterSpace,
        *,
        show: Show | None = None,
        on_outcome: Callable[[Outcome], object] | None = None,
        group_size: int | None = None,
    ) -> None:
        self._asked = asked
        self._space = space
        self._show = show
        self._group_size = group_size
        self._on_outcome = on_outcome
        self._together = Together()
        self._has_told_alike = False
        self.collected = Collected(len(space))

    def results(self) -> Results:
        """Evaluate all psets.

        Raises
        ------
        UsageError
            If the function returns no dict.
        PsyflowError
            If the workers cannot work, before anything is done.
        MapInterrupted
            In a script, by Ctrl-C.
        """
        trouble = self._run(self._evaluate_all)
        return self._told(self.collected.table(self._space), trouble)

    def results_in(self, workdir: str | os.PathLike[str]) -> Results:
        """Evaluate the psets that have no result in a folder."""
        from psyflow.mapper.folder import MapFolder, bring_up_to_date

        folder = MapFolder(workdir)
        task = folder.task(self._asked, self._space)
        trouble = self._run(lambda: bring_up_to_date(task, self._evaluated))
        return self._told(load(folder.path), trouble)

    def _run(self, evaluate: Callable[[], None]) -> BaseException | None:
        """Evaluate psets, and return what has ended that before all was done."""
        try:
            evaluate()
        except (KeyboardInterrupt, PsyflowError) as error:
            if not (self.collected.n_done or isinstance(error, KeyboardInterrupt)):
                raise
            return error
        return None

    def _evaluate_all(self) -> None:
        with self._evaluated(np.arange(len(self._space))) as found:
            for _ in found:
                pass

    @contextlib.contextmanager
    def _evaluated(self, items: Items) -> Iterator[Iterator[Returned]]:
        """Have psets evaluated, for as long as somebody takes what comes back."""
        with contextlib.ExitStack() as stack:
            if self._show is not None:
                stack.enter_context(self._show(self.collected.progress))
            yield stack.enter_context(contextlib.closing(self._returned(items)))

    def _returned(self, items: Items) -> Generator[Returned, None, None]:
        """Yield what comes back, having taken it up; end early if too much of it is failures."""
        asked, collected = self._asked, self.collected
        collected.n_items = len(items)
        if not len(items):
            return
        self._together = Together(asked.most_failures(len(items)))
        engine, supply = asked.engine(len(items)), OfSpace(self._space, items)
        found = evaluating(engine, supply, self._group_size, self._together)
        with contextlib.closing(found):
            for returned in found:
                self._tell_alike()
                collected.add(returned)
                if returned.failures:
                    _check_returns_dicts(asked, collected)
                yield returned
                if self._on_outcome is not None:
                    for outcome in outcomes_in(returned):
                        self._on_outcome(outcome)
        self._tell_alike(is_running=False)

    def _tell_alike(self, *, is_running: bool = True) -> None:
        """Say, once, what all the first psets fail with, if they do."""
        found = self._together.found
        if found is None or self._has_told_alike or not (self._show or found.stops):
            return
        self._has_told_alike = True
        collected = self.collected
        n_left = collected.n_items - collected.n_done - len(collected.failures)
        told = self._together.told(is_running=is_running, n_left=n_left)
        say(f"{name_of(self._asked.function)}: {told}")

    def _told(self, results: Results, trouble: BaseException | None) -> Results:
        """Say what became of it; return the results, or raise that it was interrupted."""
        n_left = results.n_items - results.n_done
        if isinstance(trouble, KeyboardInterrupt):
            if not is_interactive():
                raise MapInterrupted(results) from None
            say(f"Interrupted: {results.n_done} items are done, and {n_left} are in `missing`.")
        elif trouble is not None:
            say(f"{trouble} What was done is returned; {n_left} items are in `missing`.")
        return results

    def tell_of_failures(self, results: Results) -> None:
        """Say how many psets failed, if any did."""
        first = self.collected.first_failure
        if first is None:
            return
        n_never = results.n_items - results.n_done - len(self.collected.failures)
        never = f" {n_never} never ran, as so many failed." if n_never else ""
        told = (
            f"{self.collected.n_failed} of {results.n_items} items failed, and are in `failures`"
        )
        if self._has_told_alike:
            say(f"{told}.{never}")
            return
        pset = ", ".join(f"{name}={value}" for name, value in first.pset.items())
        say(f"{told}; the first, {pset}, with {first.exception}{never}")
        if first.traceback:
            say(first.traceback.rstrip())


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
