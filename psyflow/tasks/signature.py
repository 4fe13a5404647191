"""Whether `execute` can be called with what a task gives it, found out without calling it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from psyflow.exceptions import TaskFileError, did_you_mean

__all__ = [
    "Takes",
    "check_execute",
    "check_setup",
    "names_parameter",
    "takes_keyword",
    "why_no_dict",
]


@dataclass(frozen=True)
class Takes:
    """What a function takes that is called with columns as keyword arguments.

    Attributes
    ----------
    required, optional : tuple of str
        Names of arguments.
    is_any : bool
        Whether it takes any others, too.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    is_any: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Takes:
        """Return what a function takes.

        Raises
        ------
        ValueError
            If it cannot be called with keyword arguments, or does not say with which.

        Examples
        --------
        >>> Takes.of(lambda signal, noise=1.0: signal / noise)
        Takes(required=('signal',), optional=('noise',), is_any=False)
        """
        parameters = _parameters(function)
        if parameters is None:
            raise ValueError("it does not say which arguments it takes")
        by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        if by_position:
            raise ValueError(f"it takes {_listed(by_position)} by position only")
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        return cls(
            tuple(p.name for p in named if p.default is p.empty),
            tuple(p.name for p in named if p.default is not p.empty),
            any(p.kind is p.VAR_KEYWORD for p in parameters),
        )


def check_execute(
    execute: Callable[..., Any], given: Collection[str], *, has_setup: bool, source: str
) -> None:
    """Raise TaskFileError if `execute` cannot be called with the names `given` as keywords.

    Parameters
    ----------
    execute : callable
    given : collection of str
        The names of the parameter space.
    has_setup : bool
        Whether a `setup` may give more names, which are only known when it has run.
    source : str
        The task file, for the message.
    """
    _check_returns(execute, source)
    parameters = _parameters(execute)
    if parameters is None:
        return
    by_keyword = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    accepted = [p.name for p in by_keyword]
    _check_positional(parameters, source)
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        _check_accepted(given, accepted, source)
    if not has_setup:
        required = [p.name for p in by_keyword if p.default is p.empty]
        _check_given(required, given, source)


def takes_keyword(function: Callable[..., Any], name: str) -> bool:
    """Tell whether `function` can be called with a keyword argument `name`, as far as it says."""
    parameters = _parameters(function)
    return (
        parameters is None
        or any(p.kind is p.VAR_KEYWORD for p in parameters)
        or names_parameter(function, name)
    )


def names_parameter(function: Callable[..., Any], name: str) -> bool:
    """Tell whether `function` has a parameter `name` that a keyword argument can be given to."""
    return any(
        p.name == name and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        for p in _parameters(function) or ()
    )


def check_setup(setup: Callable[..., Any], *, source: str) -> None:
    """Raise TaskFileError if `setup` cannot be called with one argument."""
    if _parameters(setup) is None:
        return
    try:
        inspect.signature(setup).bind(0)
    except TypeError as error:
        raise TaskFileError(
            f"{source}: `setup` has to take one argument, the number of the worker, "
            f"as in `def setup(worker): ...`; here: {error}."
        ) from error


def _parameters(function: Callable[..., Any]) -> list[Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        # Some functions written in C do not say what they take.
        return None


def why_no_dict(function: Callable[..., Any], name: str = "f") -> str | None:
    """Say why a function cannot return a dict when it is called; None if it may.

    Examples
    --------
    >>> print(why_no_dict(lambda: (yield)))
    has a `yield`, so that it only returns a generator when it is called. Collect the values in a
    list, and `return` a dict.
    """
    if inspect.iscoroutinefunction(function):
        return (
            "is an `async def`, which only returns a coroutine when it is called. Name it "
            f"otherwise, and write `def {name}(...): return asyncio.run(evaluate(...))`."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return (
            "has a `yield`, so that it only returns a generator when it is called. Collect the "
            "values in a list, and `return` a dict."
        )
    return None


def _check_returns(execute: Callable[..., Any], source: str) -> None:
    if (why := why_no_dict(execute, "execute")) is not None:
        raise TaskFileError(f"{source}: `execute` {why}")


def _check_positional(parameters: list[Parameter], source: str) -> None:
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    if names:
        raise TaskFileError(
            f"{source}: `execute` takes {_listed(names)} by position only, but it is called with "
            "keyword arguments. Remove the `/` from its parameters."
        )


def _check_accepted(given: Collection[str], accepted: list[str], source: str) -> None:
    names = [name for name in given if name not in accepted]
    if names:
        raise TaskFileError(
            f"{source}: `execute` does not take {_listed(names)}, which the parameter space "
            f"gives.{did_you_mean(names[0], [a for a in accepted if a not in given])} "
            f"It takes {_listed(accepted)}. {_to_take_them(given, accepted)}"
        )


def _to_take_them(given: Collection[str], accepted: list[str]) -> str:
    # Whoever comes from elsewhere may expect one argument with all of them.
    if len(accepted) == 1 and accepted[0] not in given:
        return f"To get all as one dict, write: def execute(**{accepted[0]})"
    return "Add **kwargs to it to take anything."


def _check_given(required: list[str], given: Collection[str], source: str) -> None:
    names = [name for name in required if name not in given]
    if names:
        raise TaskFileError(
            f"{source}: `execute` needs {_listed(names)}, which the parameter space does not "
            f"give.{did_you_mean(names[0], given)} The space gives {_listed(given)}."
            + (" For random numbers, set a seed, such as seed = 1." if "rng" in names else "")
        )


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
