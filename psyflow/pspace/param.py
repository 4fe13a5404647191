"""`Param`: a parameter space given by its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypeAlias

import numpy as np

from psyflow.columns import Column, Numbers, from_rows, pack, take
from psyflow.pspace.keys import Keys, add_keys, column_keys
from psyflow.pspace.show import values_text
from psyflow.pspace.space import NAN, ParameterSpace
from psyflow.pspace.table import Items, LazyTable
from psyflow.repeats import is_large_array, is_repeated, repeated

__all__ = ["Param", "as_space", "check_names", "dict_concat"]

Levels: TypeAlias = "Column | range"

# Up to this many psets, a space keeps its keys: as a factor it is asked again and again.
_KEPT_KEYS = 1 << 16
# Of these, nobody has to ask NumPy, which may not be there yet.
_PYTHONS = frozenset({bool, int, float, complex, str, bytes, type(None)})


class Param(ParameterSpace):
    """A parameter space given by the values of each parameter.

    Parameters
    ----------
    **params : sequence or single value
        The values of each parameter. Sequences (lists, tuples, arrays, ranges, generators, …) must
        be of equal length n, and give n psets. What is no sequence, and text, bytes, dicts and
        None, is a single value, which all psets share; with single values only, there is one
        pset. The rows of an array with more dimensions are array-valued parameters. Sets are
        sorted. Names that are no identifiers are given as ``Param(**{"learning rate": [0.1]})``.
    *unnamed
        Nothing: each parameter has a name.

    Raises
    ------
    ValueError
        If the sequences differ in length.
    TypeError
        If a set cannot be sorted, or values have no name.

    Examples
    --------
    >>> Param(a=[1, 2, 3], b=[4, 5, 6], c=7).build()
    {'a': [1, 2, 3], 'b': [4, 5, 6], 'c': [7, 7, 7]}
    >>> len(Param(mode="fast")), len(Param())
    (1, 0)
    """

    _levels: dict[str, Levels]
    _fixed: dict[str, Column]
    _length: int

    def __init__(self, /, *unnamed: Any, **params: Any) -> None:
        if unnamed:
            raise TypeError(_why_named(unnamed[0]))
        levels: dict[str, Levels] = {}
        fixed: dict[str, Column] = {}
        for name in sorted(params):
            found = _as_levels(name, params[name])
            if found is None:
                fixed[name] = _column_of_one(params[name])
            else:
                levels[name] = found
        self.__setstate__((levels, fixed, _common_length(levels, bool(fixed))))

    @classmethod
    def from_psets(cls, rows: Any) -> Param:
        """Return the space of the psets given as rows, or as a table.

        Parameters
        ----------
        rows : iterable of dict-likes, mapping from str to column, or pandas.DataFrame
            A name that a row lacks is NaN in its pset. In rows, lists are values as they are.

        Raises
        ------
        TypeError
            If `rows` is no table, or a name is not a string.
        ValueError
            If columns differ in length, or two have one name.

        Examples
        --------
        >>> Param.from_psets([{"a": 1}, {"a": 2, "b": "x"}]).build()
        {'a': [1, 2], 'b': [nan, 'x']}
        """
        if hasattr(rows, "iloc") and hasattr(rows, "columns"):
            return cls._of(frame_columns(rows), len(rows))
        if isinstance(rows, Mapping):
            check_names(rows)
            return cls(**rows)
        if not isinstance(rows, Iterable):
            raise _no_table(rows)
        psets = list(rows)
        if set(map(type, psets)) != {dict}:
            psets = [_as_pset(row) for row in psets]
        return cls._of(from_rows(psets, absent=NAN), len(psets))

    @classmethod
    def _of(cls, columns: Mapping[str, Column], length: int) -> Param:
        check_names(columns)
        space = cls.__new__(cls)
        space.__setstate__(({name: columns[name] for name in sorted(columns)}, {}, length))
        return space

    def __getstate__(self) -> tuple[dict[str, Levels], dict[str, Column], int]:
        return self._levels, self._fixed, self._length

    def __setstate__(self, state: tuple[dict[str, Levels], dict[str, Column], int]) -> None:
        self._levels, self._fixed, self._length = state
        self._names = tuple(sorted([*self._levels, *self._fixed]))
        self._kept_keys: dict[frozenset[str] | None, Keys] = {}

    def _text(self, show: Callable[[object], str]) -> str:
        values = {name: self._shown(name) for name in self._names}
        if show is repr:
            return f"Param(**{{{', '.join(f'{name!r}: {v}' for name, v in values.items())}}})"
        return f"Param({', '.join(f'{name}={v}' for name, v in values.items())})"

    def _shown(self, name: str) -> str:
        if name in self._fixed:
            return repr(self._fixed[name][0])
        return values_text(self._levels[name])

    def __len__(self) -> int:
        return self._length

    def _sorted_names(self) -> tuple[str, ...]:
        return self._names

    def _take(self, items: Items) -> dict[str, Column]:
        return {name: self._column(name, items) for name in self._names}

    def _column(self, name: str, items: Items) -> Column:
        if name in self._fixed:
            return _repeated(self._fixed[name], len(items))
        levels = self._levels[name]
        if isinstance(levels, range):
            return _take_range(levels, items)
        if len(levels) == 1:
            return _repeated(levels, len(items))
        return take(levels, items)

    def _key_take(self, items: Items, names: frozenset[str] | None) -> Keys:
        if names is not None and names.issuperset(self._names):
            names = None
        if names not in self._kept_keys and self._should_keep_keys(len(items)):
            self._kept_keys[names] = self._computed_keys(np.arange(self._length), names)
        if names in self._kept_keys:
            return self._kept_keys[names][items]
        first, last = (int(items.min()), int(items.max())) if len(items) else (0, -1)
        if 2 * (last - first) < len(items):
            return self._computed_keys(np.arange(first, last + 1), names)[items - first]
        return self._computed_keys(items, names)

    def _should_keep_keys(self, asked: int) -> bool:
        return self._length <= min(_KEPT_KEYS, 16 * asked)

    def _computed_keys(self, items: Items, names: frozenset[str] | None) -> Keys:
        wanted = self._names if names is None else names
        columns = {name: self._column(name, items) for name in self._levels if name in wanted}
        fixed = {name: value for name, value in self._fixed.items() if name in wanted}
        keys = column_keys(columns, len(items))
        return add_keys(keys, column_keys(fixed, 1)) if fixed else keys


LazyTable.of_columns = Param._of


def _as_levels(name: str, value: Any) -> Levels | None:
    """Return the values of a sequence; None if `value` is a single one."""
    if isinstance(value, range):
        return value
    if type(value) in (list, tuple):
        return list(value)
    if type(value) in _PYTHONS:
        return None
    if isinstance(value, str | bytes | bytearray | Mapping | np.generic):
        return None
    if isinstance(value, Set) and not isinstance(value, Sequence):
        return _sorted_set(name, value)
    if getattr(value, "shape", None) == () or not isinstance(value, Iterable):
        return None
    return _column_of(value)


def _sorted_set(name: str, values: Set[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError as error:
        raise TypeError(
            f"Parameter `{name}` is a set whose elements cannot be sorted ({error}). "
            "Give a list, which has an order."
        ) from error


def _column_of(values: Iterable[Any]) -> Column:
    if isinstance(values, np.ndarray) and is_repeated(values):
        return values
    # Other arrays of NumPy types too (of pandas or h5py), but neither masked ones nor matrices.
    dtype = getattr(values, "dtype", None)
    is_plain = type(values) is np.ndarray or not isinstance(values, np.ndarray)
    if isinstance(dtype, np.dtype) and dtype.kind != "O" and is_plain:
        return np.array(values)
    return list(values)


def _column_of_one(value: Any) -> Column:
    if type(value) in _PYTHONS:
        return [value]
    return pack([value[()] if isinstance(value, np.ndarray) else value])


def _why_named(unnamed: object) -> str:
    """Say what to write in place of `Param(unnamed)`."""
    if isinstance(unnamed, Mapping):
        return "Param takes each parameter by its name: for a dict of them, write Param(**{...})."
    if isinstance(unnamed, str | bytes) or not isinstance(unnamed, Iterable):
        return "Param takes values by the names of parameters, such as Param(a=1)."
    return (
        "Param takes values by the names of parameters, such as Param(a=[1, 2]); for rows, or a "
        "data frame, write Param.from_psets(...)."
    )


def _common_length(levels: Mapping[str, Levels], has_fixed: bool) -> int:
    lengths = {name: len(values) for name, values in levels.items()}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
        raise ValueError(
            f"Parameter lists differ in length. Values: {listing}. Give as many of each, or "
            "multiply two spaces to combine each value with each: Param(a=…) * Param(b=…)."
        )
    return next(iter(lengths.values()), int(has_fixed))


def _repeated(values: Column, n: int) -> Column:
    """Return `n` times the only one of `values`: of a large array, a view."""
    if is_large_array(values[0]):
        return repeated(values[0], n)
    return values * n if isinstance(values, list) else take(values, np.zeros(n, np.int64))


def _take_range(levels: range, items: Items) -> Column:
    if max(abs(levels.start), abs(levels.stop)) < 2**62:
        return Numbers(levels.start + levels.step * items)
    return [levels[i] for i in items.tolist()]


def _as_pset(row: Any) -> Mapping[str, Any]:
    try:
        return row if isinstance(row, Mapping) else dict(row)
    except (TypeError, ValueError):
        raise _no_table(row) from None


def _no_table(value: Any) -> TypeError:
    return TypeError(
        f"A space is made from dicts, a dict of columns or a data frame, not from {value!r:.60}."
    )


def as_space(table: Any) -> ParameterSpace:
    """Return `table` if it is a space already, else the space of its psets."""
    return table if isinstance(table, ParameterSpace) else Param.from_psets(table)


def check_names(names: Iterable[Any]) -> None:
    """Raise TypeError if any of `names` is not a string."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"A parameter's name must be a string, not {name!r}.")


def frame_columns(frame: Any) -> dict[str, Column]:
    """Return the columns of a data frame, without its index; what is absent is NaN."""
    columns: dict[str, Column] = {}
    for name, series in frame.items():
        if name in columns:
            raise ValueError(f"Two columns are called `{name}`. Rename one.")
        columns[name] = _series_column(series)
    return columns


def _series_column(series: Any) -> Column:
    if isinstance(series.dtype, np.dtype):
        return _column_of(series)
    absent = series.isna()
    return [NAN if is_absent else value for value, is_absent in zip(series, absent, strict=True)]


def dict_concat(dicts: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns; a name that a row lacks gets None.

    Parameters
    ----------
    dicts : iterable of n mappings from str to value

    Returns
    -------
    dict from str to list
        Lists of n values.

    Examples
    --------
    >>> dict_concat([{"a": 1}, {"a": 2, "b": 3}])
    {'a': [1, 2], 'b': [None, 3]}
    """
    rows = list(dicts)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
