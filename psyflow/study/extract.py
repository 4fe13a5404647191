"""Psets out of databases: by the names of columns, as dicts; and whether they have folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psyflow.exceptions import UnknownNameError, UsageError

if TYPE_CHECKING:
    import pandas

__all__ = [
    "check_calc_dir",
    "df_extract_dicts",
    "df_extract_params",
    "df_extract_pset",
    "filter_cols",
    "flatten_dict",
]

_IS_PREFIX: Callable[[str], bool] = lambda name: name[:1] == "_"  # noqa: E731
_IS_POSTFIX: Callable[[str], bool] = lambda name: name[-1:] == "_"  # noqa: E731
_KINDS: dict[str, Callable[[str], bool]] = {
    "pre": _IS_PREFIX,
    "prefix": _IS_PREFIX,
    "post": _IS_POSTFIX,
    "postfix": _IS_POSTFIX,
    "pset": lambda name: not (_IS_PREFIX(name) or _IS_POSTFIX(name)),
}


def filter_cols(cols: Iterable[str], kind: str = "pset") -> list[str]:
    """Return the names of one kind, by where they have an underscore.

    Parameters
    ----------
    cols : iterable of str
    kind : str
        ``"prefix"``, as ``_pset_id``; ``"postfix"``, as ``result_``; ``"pset"`` for all others.

    Raises
    ------
    UnknownNameError
        If there is no such kind.

    Examples
    --------
    >>> filter_cols(["a", "_run_seq", "y_"]), filter_cols(["a", "_run_seq", "y_"], "postfix")
    (['a'], ['y_'])
    """
    if kind not in _KINDS:
        raise UnknownNameError("kind of columns", kind, _KINDS)
    return [name for name in cols if _KINDS[kind](name)]


def df_extract_dicts(df: pandas.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a database as dicts, with the values as they are.

    Parameters
    ----------
    df : DataFrame

    Examples
    --------
    >>> import pandas
    >>> df_extract_dicts(pandas.DataFrame({"a": [1, 2]}))
    [{'a': 1}, {'a': 2}]
    """
    found: list[dict[str, Any]] = df.to_dict("records")
    return found


def df_extract_params(df: pandas.DataFrame) -> list[dict[str, Any]]:
    """Return the psets of a database, for another run.

    Parameters
    ----------
    df : DataFrame
        Names of results end with an underscore, or are not in it.

    Returns
    -------
    list of dict
        Without the names that are absent in a row.

    Examples
    --------
    >>> import pandas
    >>> df_extract_params(pandas.DataFrame({"a": [1, 2], "y_": [1, 4], "_run_seq": [0, 0]}))
    [{'a': 1}, {'a': 2}]
    """
    chosen = df[filter_cols(df)]
    rows = zip(df_extract_dicts(chosen), df_extract_dicts(chosen.isna()), strict=True)
    return [{n: v for n, v in row.items() if not absent[n]} for row, absent in rows]


def df_extract_pset(df: pandas.DataFrame, pset_id: str) -> dict[str, Any]:
    """Return one pset of a database, as `df_extract_params` does.

    Parameters
    ----------
    df : DataFrame
    pset_id : str

    Raises
    ------
    UsageError
        If there is no such row.

    Examples
    --------
    >>> import pandas
    >>> df_extract_pset(pandas.DataFrame({"a": [1, 2], "_pset_id": ["x", "y"]}), "y")
    {'a': 2}
    """
    row = df[df["_pset_id"] == pset_id]
    if not len(row):
        raise UsageError(f"There is no row with the _pset_id {pset_id}.")
    return df_extract_params(row)[0]


def flatten_dict(dct: Mapping[Any, Any], join_str: str = "_") -> dict[str, Any]:
    """Return a nested dict as one without dicts in it.

    Parameters
    ----------
    dct : mapping
    join_str : str
        What stands between the keys of the levels.

    Examples
    --------
    >>> flatten_dict({"a": 1, "b": {"c": 2, "d": {23: 42}}})
    {'a': 1, 'b_c': 2, 'b_d_23': 42}
    """
    flat: dict[str, Any] = {}
    for key, value in dct.items():
        if isinstance(value, Mapping):
            inner = flatten_dict(value, join_str)
            flat |= {f"{key}{join_str}{name}": part for name, part in inner.items()}
        else:
            flat[str(key)] = value
    return flat


def check_calc_dir(calc_dir: str | os.PathLike[str], df: pandas.DataFrame) -> dict[str, set[str]]:
    """Tell which rows of a database have no folder, and which folders have no row.

    Parameters
    ----------
    calc_dir : path
        Where the folders of psets are, each named by its ``_pset_id``.
    df : DataFrame

    Returns
    -------
    dict from str to set of str
        ``"db_not_dir"`` and ``"dir_not_db"``.

    Examples
    --------
    >>> import pandas, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_calc_dir(folder, pandas.DataFrame({"_pset_id": ["x"]}))
    {'db_not_dir': {'x'}, 'dir_not_db': set()}
    """
    folders = {path.name for path in Path(calc_dir).iterdir() if path.is_dir()}
    known = set(df["_pset_id"])
    return {
        "db_not_dir": known - folders,
        "dir_not_db": {name for name in folders - known if _is_id(name)},
    }


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
