"""What a function returns, as a row of a table in which its parameters stand, too."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from psyflow.exceptions import UnsupportedDataError
from psyflow.pspace.keys import pset_key
from psyflow.reprs import safe_repr

__all__ = ["beside", "result_row"]

_SHOWN = 60
_AS_DICTS = {
    ("pandas", "DataFrame"): 'frame.to_dict("list")',
    ("pandas", "Series"): "series.to_dict()",
    ("polars", "DataFrame"): "frame.to_dict(as_series=False)",
    ("xarray", "Dataset"): "{name: array.values for name, array in dataset.items()}",
    ("xarray", "DataArray"): '{"y": array.values}',
}


def result_row(returned: Any) -> dict[str, Any]:
    """Return `returned` as a result row, or raise TypeError saying what is wrong with it.

    Examples
    --------
    >>> result_row({"y": 4})
    {'y': 4}
    >>> result_row(4)
    Traceback (most recent call last):
        ...
    TypeError: execute returned 4, of type int. It has to return a dict of names and values, \
such as {"y": ...}.
    """
    if not isinstance(returned, Mapping):
        raise TypeError(
            f"execute returned {_said(returned)}. It has to return a dict of names and values, "
            f"{_advice(returned)}"
        )
    for name in returned:
        if not isinstance(name, str):
            raise TypeError(
                f"execute returned a dict with the key {safe_repr(name, 80)}; "
                "keys have to be text, such as str(key)."
            )
    return dict(returned)


def _said(returned: Any) -> str:
    """Return what a value is; of one that takes several lines, such as a table, the type alone."""
    shown, kind = safe_repr(returned, 80), type(returned).__name__
    return f"a {kind}" if "\n" in shown else f"{shown}, of type {kind}"


def _advice(returned: Any) -> str:
    """Return what to write instead, as the end of a sentence."""
    if returned is None:
        return 'such as {"y": ...}; does it come to its end without a `return`?'
    if inspect.iscoroutine(returned):
        return "such as what `asyncio.run(...)` gives of this coroutine."
    if inspect.isgenerator(returned):
        return "not to `yield` them one by one."
    kind = type(returned)
    if dataclasses.is_dataclass(kind):
        return f"such as dataclasses.asdict({_name_of(kind)})."
    if isinstance(returned, tuple) and hasattr(returned, "_asdict"):
        return f"such as {_name_of(kind)}._asdict()."
    package = kind.__module__.partition(".")[0]
    instead = _AS_DICTS.get((package, kind.__name__), '{"y": ...}')
    return f"such as {instead}."


def _name_of(kind: type) -> str:
    return kind.__name__.lower()


def beside(pset: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result row without the names that it shares with the parameters.

    Raises
    ------
    UnsupportedDataError
        If the value of one is another than the parameter's, whose place it would take: then nobody
        could tell any more whose row it is.

    Examples
    --------
    >>> beside({"n": 3}, {"n": 3, "y": 9})
    {'y': 9}
    >>> beside({"n": 3}, {"n": 4})
    Traceback (most recent call last):
        ...
    psyflow.exceptions.UnsupportedDataError: execute returned 4 as "n", which is a parameter, and
    is 3. Name the result otherwise, such as "n_out".
    """
    for name in row.keys() & pset.keys():
        if not _is_same(pset[name], row[name]):
            raise UnsupportedDataError(
                f'execute returned {safe_repr(row[name], _SHOWN)} as "{name}", which is a '
                f"parameter, and is {safe_repr(pset[name], _SHOWN)}. Name the result otherwise, "
                f'such as "{name}_out".'
            )
    return {name: value for name, value in row.items() if name not in pset}


def _is_same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return pset_key({"": a}) == pset_key({"": b})
    except TypeError:
        # What has no content that could be compared is the same only if it is the very same.
        return False
