"""Data frames of rows: made, put below each other, read, written, printed and filtered."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.exceptions import UsageError
from psyflow.results.extras import needed
from psyflow.store.frame import read_frame, write_frame

if TYPE_CHECKING:
    import pandas

__all__ = [
    "BOOKKEEPING",
    "below",
    "df_filter_conds",
    "df_print",
    "df_read",
    "df_write",
    "frame_of",
]

_INFERRED = {int, float, complex, bool} | {
    kind for kind in np.sctypeDict.values() if issubclass(kind, np.number | np.bool_)
}
_FORMATS = ("pickle", "json")
BOOKKEEPING = frozenset(("_run_id", "_pset_id", "_run_seq", "_pset_seq", "_calc_dir", "_time_utc"))
"""What every row has, with whatever psweep it was made."""


def frame_of(rows: Sequence[Mapping[str, Any]], fill_value: Any) -> pandas.DataFrame:
    """Return rows as a data frame in which each value is what it was.

    A column has a type of its own only if all of its values are of that type; else it is of
    objects. What a row lacks is `fill_value`.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _series([row.get(name, fill_value) for row in rows]) for name in names}
    return _frame(columns, len(rows))


def _frame(columns: Mapping[str, Any], n_rows: int) -> pandas.DataFrame:
    pandas = needed("pandas")
    # Where pyarrow is installed, pandas has it keep text, and others could not read the file.
    names = pandas.Index(list(columns), dtype=object)
    return pandas.DataFrame(columns, index=range(n_rows), columns=names)


def _series(values: list[Any]) -> Any:
    pandas = needed("pandas")
    kinds = set(map(type, values))
    if len(kinds) == 1 and kinds <= _INFERRED | {pandas.Timestamp}:
        return pandas.Series(values)
    return _objects(values)


def _objects(values: Iterable[Any]) -> Any:
    values = list(values)
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return needed("pandas").Series(array, dtype=object)


def below(upper: pandas.DataFrame, lower: pandas.DataFrame, fill_value: Any) -> pandas.DataFrame:
    """Return a frame with the rows of two, in which no value changes its type.

    `pandas.concat` makes floats of whole numbers where others of the column are absent, or floats.
    """
    if not len(upper) or not len(lower):
        frame = lower if not len(upper) else upper
        absent = [name for name in (*upper, *lower) if name not in frame]
        return frame.assign(**dict.fromkeys(absent, fill_value)).reset_index(drop=True)
    columns = {
        name: _joined(upper, lower, name, fill_value) for name in dict.fromkeys([*upper, *lower])
    }
    return _frame(columns, len(upper) + len(lower))


def _joined(upper: pandas.DataFrame, lower: pandas.DataFrame, name: str, fill_value: Any) -> Any:
    pandas = needed("pandas")
    parts = [
        frame[name] if name in frame else _filled(len(frame), fill_value)
        for frame in (upper, lower)
    ]
    if parts[0].dtype != parts[1].dtype:
        parts = [part.astype(object) for part in parts]
    return pandas.concat(parts, ignore_index=True)


def _filled(n_rows: int, fill_value: Any) -> Any:
    return _series([fill_value] * n_rows)


def df_read(fn: str | os.PathLike[str], fmt: str = "pickle", **kwds: Any) -> pandas.DataFrame:
    """Read a database.

    Parameters
    ----------
    fn : path
        Such as ``"calc/database.pk"``.
    fmt : str
        ``"pickle"`` or ``"json"``.
    **kwds
        For `pandas.read_json`.

    Returns
    -------
    DataFrame

    Raises
    ------
    MissingFileError
        If there is no such file.
    DamagedFileError
        If it is cut short, or holds no data frame.
    UnmakeableValuesError
        If a later pandas wrote it, or values are of classes that are not here.

    Examples
    --------
    >>> import pandas, tempfile
    >>> from psyflow.study import df_write
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     df_write(pandas.DataFrame({"a": [1, 2]}), f"{folder}/database.pk")
    ...     df_read(f"{folder}/database.pk")["a"].tolist()
    [1, 2]
    """
    if _known_format(fmt) == "json":
        return needed("pandas").read_json(fn, **{"orient": "split", **kwds})
    return read_frame(fn)


def df_write(*args: Any, fmt: str = "pickle", **kwds: Any) -> None:
    """Write a database: a file that is there whole, or not at all.

    Parameters
    ----------
    *args : DataFrame and path
        In any order: ``df_write(df, fn)`` or ``df_write(fn, df)``; also named `df` and `fn`.
    fmt : str
        ``"pickle"`` or ``"json"``.
    **kwds
        For `DataFrame.to_json`.

    Raises
    ------
    UsageError
        If they are not one frame and one path.
    NotWrittenError, MissingFileError
        If it cannot be written. What was there is as it was.

    Examples
    --------
    >>> import os, pandas, tempfile
    >>> frame = pandas.DataFrame({"a": [1, 2]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     df_write(f"{folder}/one.pk", frame)
    ...     df_write(frame, f"{folder}/two.pk")
    ...     sorted(os.listdir(folder))
    ['one.pk', 'two.pk']
    """
    given = [*args, *(kwds.pop(name) for name in ("df", "fn") if name in kwds)]
    frames = [thing for thing in given if isinstance(thing, needed("pandas").DataFrame)]
    paths = [thing for thing in given if isinstance(thing, str | os.PathLike)]
    if len(given) != 2 or len(frames) != 1 or len(paths) != 1:
        raise UsageError("df_write takes a data frame and a path: df_write(df, 'database.pk').")
    if _known_format(fmt) == "json":
        frames[0].to_json(paths[0], **{"orient": "split", **kwds})
    else:
        write_frame(paths[0], frames[0])


def _known_format(fmt: str) -> str:
    if fmt not in _FORMATS:
        raise UsageError(f"There is no format {fmt!r}. Known: {', '.join(_FORMATS)}.")
    return fmt


def df_print(
    df: pandas.DataFrame,
    index: bool = False,
    special_cols: Any = None,
    prefix_cols: bool = False,
    cols: Sequence[str] = (),
    skip_cols: Sequence[str] = (),
) -> None:
    """Print all rows and columns of a database.

    Parameters
    ----------
    df : DataFrame
    index : bool
        Whether the index is printed.
    special_cols : sequence of str or bool, optional
        Names with an underscore in front that are printed all the same; True for all.
    prefix_cols : bool
        Whether names with an underscore in front are printed. They are in ``df[cols]``, which has
        some of the bookkeeping only, and so was chosen.
    cols : sequence of str
        Names of the only columns to print.
    skip_cols : sequence of str
        Names of columns not to print.

    Examples
    --------
    >>> import pandas
    >>> df_print(pandas.DataFrame({"a": [1, 2], "_note": ["x", "y"]}))
     a
     1
     2
    """
    names = list(cols) or [
        name for name in df if prefix_cols or name[:1] != "_" or name in _special(df, special_cols)
    ]
    chosen = df[[name for name in names if name not in skip_cols]]
    print(chosen.to_string(index=index))


def _special(df: pandas.DataFrame, special_cols: Any) -> Collection[str]:
    """Return the names with an underscore in front that are to be printed."""
    if isinstance(special_cols, list | tuple | set):
        return special_cols
    is_selection = 0 < len(BOOKKEEPING & set(df)) < len(BOOKKEEPING)
    return list(df) if special_cols is True or is_selection else ()


def df_filter_conds(
    df: pandas.DataFrame, conds: Sequence[Any], op: str = "and"
) -> pandas.DataFrame:
    """Return the rows for which all conditions hold.

    Parameters
    ----------
    df : DataFrame
    conds : sequence of sequences of bool
        A flag for each row in each, such as ``df.a == 1``.
    op : str
        ``"and"``; ``"or"`` for rows for which any holds, ``"xor"`` for an odd number of them.

    Returns
    -------
    DataFrame

    Raises
    ------
    UsageError
        If a condition has another number of flags than there are rows.

    Examples
    --------
    >>> import pandas
    >>> df = pandas.DataFrame({"a": [1, 2, 3]})
    >>> df_filter_conds(df, [df.a > 1, df.a < 3])["a"].tolist()
    [2]
    """
    masks = [np.asarray(cond, dtype=bool) for cond in conds]
    for mask in masks:
        if mask.shape != (len(df),):
            raise UsageError(
                f"A condition has the shape {mask.shape}, and there are {len(df)} rows. "
                "Conditions are such as [df.a == 1, df.b > 0]."
            )
    if op not in _OPERATIONS:
        raise UsageError(f"There is no operation {op!r}. Known: {', '.join(_OPERATIONS)}.")
    return df[reduce(_OPERATIONS[op], masks)] if masks else df


_OPERATIONS = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}
