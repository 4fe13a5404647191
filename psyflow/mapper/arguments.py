"""What is asked of a map: checked before anything runs, each mistake told in a sentence."""

from __future__ import annotations

import inspect
import itertools
import math
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psyflow.exceptions import UnknownNameError, UsageError, did_you_mean
from psyflow.mapper.call import AsPset, Call
from psyflow.mapper.engines.named import BACKENDS, Engine, as_executor, check_limits, engine_for
from psyflow.mapper.supply import as_pset
from psyflow.pspace import ParameterSpace
from psyflow.pspace.param import as_space
from psyflow.pspace.streams import RandomStreams
from psyflow.reprs import safe_repr
from psyflow.system.allotted import usable_cpus
from psyflow.tasks.signature import Takes, why_no_dict
from psyflow.work.prepared import Retries

__all__ = [
    "Asked",
    "check_backend",
    "check_call",
    "check_fits",
    "check_most_failures",
    "most_failures",
    "name_of",
    "space_of",
]

STYLES = ("keywords", "pset")
_HINT = ' To get each pset whole, set call="pset".'
RETRIED = ("error", "crash", "oom", "timeout")


@dataclass(frozen=True)
class Asked:
    """What is asked of a map, besides the psets.

    Attributes
    ----------
    call : Call
    backend : str, Executor or joblib backend
    n_workers : int or None
        None for as many as there are processors.
    timeout : float or None
    max_failures : int or float or None
        A number of psets, or a share of them.
    max_tasks_per_child : int or None
    ray : mapping
        What is said to Ray: see there.
    """

    call: Call
    backend: Any
    n_workers: int | None
    timeout: float | None
    max_failures: int | float | None
    max_tasks_per_child: int | None = None
    ray: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        function: Any,
        psets: Any,
        *,
        backend: Any,
        pool_size: int | str,
        timeout: float | None,
        retries: int,
        max_failures: int | float | None,
        seed: int | None,
        setup: Callable[[int], Mapping[str, Any] | None] | None,
        call: str,
    ) -> Asked:
        """Check what a user has given.

        Raises
        ------
        UsageError
        """
        _check_not_started_again()
        _check_function(function, psets)
        _check_choice("call", call, STYLES)
        check_backend(backend)
        _check_number("timeout", timeout, "seconds, such as 60, or None")
        _check_whole("retries", retries, 0)
        _check_whole("seed", seed, 0)
        check_most_failures(max_failures)
        if setup is not None and not callable(setup):
            raise UsageError(f"`setup` has to be a function, not {safe_repr(setup, 60)}.")
        check_limits(backend, timeout=timeout)
        how = AsPset(function) if call == "pset" else function
        streams = None if seed is None else RandomStreams(int(seed))
        what = Call(how, setup, streams, retries=Retries(retries, RETRIED if retries else ()))
        return cls(what, backend, _n_workers(pool_size), timeout, max_failures)

    @property
    def function(self) -> Callable[..., Any]:
        """The user's function."""
        function = self.call.function
        return function.function if isinstance(function, AsPset) else function

    def most_failures(self, n_items: int) -> float | None:
        """Return with how many failures of so many psets nobody goes on; None if nobody said."""
        return most_failures(self.max_failures, n_items)

    def engine(self, n_items: int = sys.maxsize) -> Engine:
        """Return what evaluates so many psets, at the most."""
        limits: dict[str, Any] = {}
        n_workers = self.n_workers
        if self.backend == "processes":
            limits = {"timeout": self.timeout, "max_tasks_per_child": self.max_tasks_per_child}
            n_workers = max(1, min(n_workers or usable_cpus(), n_items))
        elif self.backend == "ray":
            limits = dict(self.ray)
        return engine_for(self.backend, self.call, n_workers, **limits)


def most_failures(max_failures: int | float | None, n_items: int) -> float | None:
    """Return how many failures of so many psets a number, or a share, of them is.

    Examples
    --------
    >>> most_failures(0.1, 25), most_failures(7, 25), most_failures(None, 25)
    (3, 7, None)
    """
    if isinstance(max_failures, float) and max_failures < 1:
        return max(1, math.ceil(max_failures * n_items))
    return max_failures


def check_most_failures(max_failures: Any) -> None:
    """Raise UsageError if it is neither a number of psets nor a share of them."""
    is_share = isinstance(max_failures, float) and 0 < max_failures < 1
    if not (is_share or max_failures == math.inf):
        _check_whole("max_failures", max_failures, 1, ", or a share of them, such as 0.1")


def name_of(function: Any) -> str:
    """Return what a function is called."""
    named = getattr(function, "func", function)
    return getattr(named, "__name__", type(named).__name__)


def _check_not_started_again() -> None:
    """Raise UsageError in a process that runs a script's top only to find a function in it."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_inheriting", False):
        raise UsageError(
            "This script is run again by a process that it has started. Write, before the lines "
            'that start anything: if __name__ == "__main__":'
        )


def _check_function(function: Any, psets: Any) -> None:
    if callable(function) and not (isinstance(function, type) and issubclass(function, dict)):
        return
    if callable(psets):
        raise UsageError("The function comes first, and then the psets: map(function, psets).")
    raise UsageError(f"The first argument has to be a function, not {safe_repr(function, 60)}.")


def _check_choice(name: str, value: Any, known: Collection[str]) -> None:
    if value not in known:
        listed = " or ".join(f'"{one}"' for one in known)
        raise UsageError(f"`{name}` is {listed}, not {safe_repr(value, 60)}.")


def check_backend(backend: Any) -> None:
    """Raise UsageError if there is no such backend."""
    if isinstance(backend, str):
        if backend not in (*BACKENDS, "threading"):
            from joblib.parallel import BACKENDS as of_joblib

            if backend not in of_joblib:
                raise UnknownNameError("backend", backend, BACKENDS)
    elif as_executor(backend) is None and not hasattr(backend, "effective_n_jobs"):
        hint = " Make one first, with parentheses." if isinstance(backend, type) else ""
        raise UsageError(
            f"`backend` is a name, such as {BACKENDS[0]!r}, or an executor, "
            f"not {safe_repr(backend, 60)}.{hint}"
        )


def _check_number(name: str, value: Any, what: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and value > 0):
        raise UsageError(f"`{name}` is a number of {what}, not {safe_repr(value, 60)}.")


def _check_whole(name: str, value: Any, least: int, more: str = "") -> None:
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if value is not None and not (is_whole and value >= least):
        raise UsageError(
            f"`{name}` is a whole number, {least} or more{more}; not {safe_repr(value, 60)}."
        )


def _n_workers(pool_size: Any) -> int | None:
    if isinstance(pool_size, str) and pool_size == "auto":
        return None
    is_whole = hasattr(pool_size, "__index__") and not isinstance(pool_size, bool)
    if not is_whole or pool_size < 1:
        raise UsageError(
            '`pool_size` is the number of workers, 1 or more, or "auto" for one per processor; '
            f"not {safe_repr(pool_size, 60)}."
        )
    return int(pool_size)


def workers_of(name: str, number: Any) -> int:
    """Return a number of workers as it was given; one below −1 counted, as joblib counts it.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> workers_of("n_jobs", 2), workers_of("n_jobs", -1), workers_of("n_jobs", -1000)
    (2, -1, 1)
    """
    is_whole = hasattr(number, "__index__") and not isinstance(number, bool)
    if not is_whole or number == 0:
        raise UsageError(
            f"`{name}` is the number of workers: 1 or more, or -1 for one per processor; "
            f"not {safe_repr(number, 60)}."
        )
    return int(number) if number >= -1 else max(1, usable_cpus() + 1 + int(number))


def space_of(psets: Any, limit: int = 0) -> ParameterSpace:
    """Return the psets that were given as a space, the first `limit` of them if that is not 0.

    Raises
    ------
    UsageError
        If they are none.
    """
    _check_whole("limit", 0 if limit is None else limit, 0)
    if isinstance(psets, ParameterSpace):
        return psets.limit(limit)
    if isinstance(psets, str | bytes) or not isinstance(psets, Iterable):
        raise UsageError(
            "The psets are a parameter space, a list of dicts, a data frame, or any iterable of "
            f"dicts; not {safe_repr(psets, 60)}."
        )
    is_table = isinstance(psets, Mapping) or hasattr(psets, "iloc")
    try:
        if is_table:
            return as_space(psets).limit(limit)
        rows = list(itertools.islice(psets, limit or None))
        if set(map(type, rows)) != {dict}:
            for row in rows:
                as_pset(row)
        return as_space(rows)
    except (TypeError, ValueError) as error:
        raise UsageError(f"These are no psets: {error}") from error


def check_call(asked: Asked, names: Collection[str]) -> None:
    """Raise UsageError if the function cannot be called with psets of these names.

    Parameters
    ----------
    asked : Asked
    names : collection of str
    """
    function, called = asked.function, name_of(asked.function)
    given = ["rng"] if asked.call.streams is not None else []
    if "rng" in names and given:
        raise UsageError("The psets have `rng`, which `seed` gives, too. Rename one, or no seed.")
    if isinstance(asked.call.function, AsPset):
        _check_takes_pset(function, called, given)
    else:
        has_setup = asked.call.setup is not None
        check_fits(function, names, given, has_setup=has_setup, hint=_HINT)


def check_fits(
    function: Any,
    names: Collection[str],
    given: Collection[str] = (),
    *,
    has_setup: bool = False,
    hint: str = "",
) -> None:
    """Raise UsageError if a function cannot be called with psets of these names as keywords.

    Parameters
    ----------
    function : callable
    names : collection of str
    given : collection of str
        What it gets beside.
    has_setup : bool
        Whether a `setup` may give more, which nobody knows before.
    hint : str
        What else there is to do.
    """
    called = name_of(function)
    if (why := why_no_dict(function)) is not None:
        raise UsageError(f"`{called}` {why}")
    try:
        takes = Takes.of(function)
    except ValueError as error:
        if str(error).startswith("it takes"):
            raise UsageError(
                f"`{called}` cannot be called with keyword arguments: {error}.{hint}"
            ) from error
        return
    known = [*takes.required, *takes.optional]
    if given and not takes.is_any and "rng" not in known:
        raise UsageError(
            f"`seed` is set, but `{called}` does not take `rng`. Add it to its parameters, or "
            "leave out `seed`."
        )
    _check_names(called, takes, names, given, has_setup=has_setup, hint=hint)


def _check_names(
    called: str,
    takes: Takes,
    names: Collection[str],
    given: Collection[str],
    *,
    has_setup: bool,
    hint: str,
) -> None:
    known = [*takes.required, *takes.optional]
    for name in [] if takes.is_any else names:
        if name not in known:
            maybe = did_you_mean(name, known) or (hint if len(known) == 1 else "")
            if not name.isidentifier():
                maybe = f" It is no name that an argument can have.{hint}"
            raise UsageError(f'The psets have "{name}", which `{called}` does not take.{maybe}')
    for name in () if has_setup else takes.required:
        if name not in names and name not in given:
            raise UsageError(
                f"`{called}` takes `{name}`, which the psets do not have."
                f"{did_you_mean(name, names)}"
            )


def _check_takes_pset(function: Any, called: str, given: Collection[str]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    if (why := why_no_dict(function)) is not None:
        raise UsageError(f"`{called}` {why}")
    try:
        signature.bind_partial({}, **dict.fromkeys(given))
    except TypeError as error:
        raise UsageError(
            f'With call="pset", `{called}` is called with each pset as its one argument'
            f"{' and with `rng`' if given else ''}: {error}."
        ) from error
