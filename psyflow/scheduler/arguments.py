"""Values of scheduler arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from psyflow.exceptions import UsageError

__all__ = ["resolve"]


def resolve(
    options: Mapping[str, object], job: str, attempt: int = 1, reason: str | None = None
) -> dict[str, object]:
    """Replace functions among the values of `options` by what they return for a job.

    A function is called with the job's name, or with ``(job, attempt, reason)`` if it asks for
    that. What is None afterwards is left out.

    Parameters
    ----------
    options : mapping
    job : str
        Name of the job.
    attempt : int
        How often the job's work has been tried, this time included.
    reason : str, optional
        Why it did not succeed the last time.

    Returns
    -------
    dict

    Raises
    ------
    UsageError
        If a function fails; it names the argument and the job.

    Examples
    --------
    >>> options = {"memory": lambda job: "8G" if job.endswith("merge") else "1G", "qos": None}
    >>> resolve(options, "circle:merge")
    {'memory': '8G'}
    >>> resolve({"memory": lambda job, attempt, reason: f"{attempt}G"}, "circle:merge", attempt=3)
    {'memory': '3G'}
    """
    values = {
        name: _call(name, value, (job, attempt, reason)) if callable(value) else value
        for name, value in options.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def _call(name: str, function: Callable[..., Any], about: tuple[str, int, str | None]) -> object:
    try:
        return function(*about[: _n_wanted(function)])
    except Exception as error:
        raise UsageError(
            f'The function given for scheduler argument "{name}" failed for job "{about[0]}": '
            f"{type(error).__name__}: {error}"
        ) from error


def _n_wanted(function: Callable[..., Any]) -> int:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some builtins do not tell
        return 1
    wanted = 1
    for parameter, name in zip(parameters[1:], ("attempt", "reason"), strict=False):
        positional = parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
        )
        # A default says that the parameter is the function's own affair, as in `lambda job, n=n`.
        if not positional or (parameter.default is not parameter.empty and parameter.name != name):
            break
        wanted += 1
    return wanted
