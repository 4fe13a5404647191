"""Keywords of `init` and `map`, and the environment variables that override them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from psyflow.exceptions import did_you_mean
from psyflow.reprs import safe_repr

__all__ = ["BACKENDS", "Note", "settings"]

Note = Callable[[str], None]

PREFIXES = ("PARAMSURVEY_", "PSYFLOW_")
"""Of the variables; the first one that is set counts."""

DEFAULTS: Mapping[str, Any] = {
    "backend": "multiprocessing",
    "verbose": 1,
    "vstats": 1,
    "limit": 0,
    "ncores": None,
    "max_tasks_per_child": None,
    "group_size": None,
    "carbon_server": None,
    "carbon_port": 2004,
    "carbon_prefix": "paramsurvey",
    "pslogger_prefix": "",
    "pslogger_fd": None,
}
NUMBERS = ("verbose", "vstats", "limit", "ncores", "max_tasks_per_child", "group_size")
OF_INIT = ("backend", "ncores", "max_tasks_per_child", "pslogger_prefix", "pslogger_fd")
"""What `map` cannot change."""
BACKENDS = ("multiprocessing", "ray")
"""Those that have a keyword of their own, for what only they understand."""


def settings(
    earlier: Mapping[str, Any] | None, given: Mapping[str, Any], note: Note
) -> dict[str, Any]:
    """Return what counts: the environment over `given` over `earlier` over the defaults.

    Parameters
    ----------
    earlier : mapping or None
        What counted for `init`; None if this is `init`.
    given : mapping
        Keywords.
    note : callable
        Told of variables that are ignored.

    Raises
    ------
    TypeError
        If there is no such keyword.
    ValueError
        If it is one of `init` alone, or has a value that it cannot have.

    Examples
    --------
    >>> settings(None, {"limit": 3}, print)["limit"]
    3
    """
    for name in given:
        if name not in DEFAULTS:
            raise TypeError(
                f"There is no keyword `{name}`.{did_you_mean(name, [*DEFAULTS, *BACKENDS])}"
            )
        if earlier is not None and name in OF_INIT:
            raise ValueError(f"`{name}` is a keyword of init(), not of map().")
    chosen = {**DEFAULTS, **(earlier or {})}
    chosen |= {name: value for name, value in given.items() if value is not None}
    chosen |= _of_environment(chosen, note)
    for name in NUMBERS:
        _check_number(name, chosen[name])
    return chosen


def _check_number(name: str, value: Any) -> None:
    if value is None and DEFAULTS[name] is None:
        return
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not is_whole or (value < 0 and name != "ncores"):
        raise ValueError(f"`{name}` is a whole number, not {safe_repr(value, 60)}.")


def _of_environment(names: Mapping[str, Any], note: Note) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        for variable in (f"{prefix}{name.upper()}" for prefix in PREFIXES):
            text = os.environ.get(variable)
            if text == "":
                note(f"{variable} is empty, and ignored.")
            elif text is not None:
                found[name] = _read(variable, name, text)
                break
    return found


def _read(variable: str, name: str, text: str) -> Any:
    if name not in (*NUMBERS, "carbon_port", "pslogger_fd"):
        return text
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{variable} has to be a whole number, not {text!r}.") from None
