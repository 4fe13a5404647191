"""Making psets: products, and further columns."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from typing import Any

import pandas

from psyflow.exceptions import AmbiguousOperationError
from psyflow.pspace import Param, ParameterSpace
from psyflow.reprs import safe_repr

__all__ = ["add_column", "product"]

_SHOWN = 60


def product(*factors: Any, infer_category: bool = True) -> pandas.DataFrame:
    """Return every combination of the rows of some tables; the last varies fastest.

    Parameters
    ----------
    *factors : dict, pandas.Series or pandas.DataFrame
        A dict has names, each with its values, and these are combined, too. A data frame, such
        as of earlier results, has rows that stay together.
    infer_category : bool
        Have columns of text as categories, which take little memory.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValueError
        If two have a name in common, one is something else, or the values of a name are no list.

    Examples
    --------
    >>> from psyflow.survey.params import product
    >>> product({"a": [1, 2]}, {"b": [3, 4]}).to_dict("list")
    {'a': [1, 1, 2, 2], 'b': [3, 4, 3, 4]}
    """
    if not factors:
        raise ValueError("product() needs something to combine, such as {'a': [1, 2]}.")
    names: dict[str, None] = {}
    spaces: list[ParameterSpace] = []
    for factor in factors:
        names |= dict.fromkeys(_names_in(factor))
        spaces += _spaces_in(factor)
    try:
        columns = functools.reduce(operator.mul, spaces).build()
    except AmbiguousOperationError as error:
        raise ValueError(str(error)) from error
    frame = pandas.DataFrame({name: columns.get(name, []) for name in names})
    return _categorized(frame, frame.columns) if infer_category else frame


def _names_in(factor: Any) -> list[str]:
    if isinstance(factor, pandas.Series):
        return [str(factor.name)]
    return [str(name) for name in factor]


def _spaces_in(factor: Any) -> list[ParameterSpace]:
    if isinstance(factor, pandas.Series):
        if factor.name is None:
            raise ValueError("A Series needs a name: Series([1, 2], name='a').")
        factor = factor.to_frame()
    if isinstance(factor, pandas.DataFrame):
        return [Param.from_psets(factor)]
    if not isinstance(factor, dict):
        raise ValueError(f"A factor is a dict, a Series or a DataFrame, not {factor!r:.60}.")
    return [Param(**{name: _listed(name, values)}) for name, values in factor.items()]


def _listed(name: str, values: Any) -> list[Any]:
    if not isinstance(values, Iterable):
        given = safe_repr(values, _SHOWN)
        raise ValueError(
            f"The values of {name!r} are a list, not {given}: {{{name!r}: [{given}]}}."
        )
    return list(values)


def _categorized(frame: pandas.DataFrame, names: Any) -> pandas.DataFrame:
    for name in names:
        if pandas.api.types.is_string_dtype(frame[name]):
            frame[name] = frame[name].astype("category")
    return frame


def add_column(
    df: pandas.DataFrame, name: str, func: Callable[[Any], Any], infer_category: bool = True
) -> pandas.DataFrame:
    """Return a data frame with a further column, worked out row by row.

    Parameters
    ----------
    df : pandas.DataFrame
    name : str
        Of the column.
    func : callable
        Given a row as a named tuple, returns its value.
    infer_category : bool
        As for `product`.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    TypeError
        If `df` is no data frame, or `func` cannot be called.

    Examples
    --------
    >>> from psyflow.survey.params import add_column, product
    >>> add_column(product({"a": [1, 2]}), "b", lambda row: row.a * 2).to_dict("list")
    {'a': [1, 2], 'b': [2, 4]}
    """
    if not isinstance(df, pandas.DataFrame):
        raise TypeError(
            f"add_column takes a data frame, as product() gives, not {safe_repr(df, _SHOWN)}."
        )
    if not callable(func):
        given = safe_repr(func, _SHOWN)
        raise TypeError(
            f"A column is worked out by a function of a row, not {given}. For a constant: "
            f"df.assign({name}={given})"
        )
    frame = df.assign(**{name: [func(row) for row in df.itertuples(index=False)]})
    return _categorized(frame, [name]) if infer_category else frame
