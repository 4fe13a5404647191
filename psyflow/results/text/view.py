"""What is shown of a table: which rows, in which texts, and what need be said only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, take
from psyflow.pspace.keys import column_keys
from psyflow.results.choice import Chosen
from psyflow.results.text.digits import Texts, texts_of, texts_with_spread

__all__ = ["Shown", "View"]


@dataclass(frozen=True)
class Shown:
    """A column to be shown.

    Parameters
    ----------
    name : str
        Of the column, or of the output that it has the mean of.
    title : str
        The same with its unit.
    is_parameter : bool
    """

    name: str
    title: str
    is_parameter: bool


class View:
    """A chosen table in texts, which are made when they are asked for.

    Parameters
    ----------
    chosen : Chosen
    rows : ndarray of int, optional
        Those that are shown; all if None.
    is_as_asked : bool
        Whether all columns are shown, also those in which all rows are the same.

    Examples
    --------
    >>> from psyflow.results import Results
    >>> results = Results({"a": [1, 2], "c": [3, 3], "y": [0.5, 0.25]}, parameters=["a", "c"])
    >>> view = View(Chosen(results))
    >>> [shown.title for shown in view.varying], view.constants
    (['a', 'y'], {'c': '3'})
    >>> view.texts("y").cells
    ['0.50', '0.25']
    """

    def __init__(
        self,
        chosen: Chosen,
        rows: npt.NDArray[np.int64] | None = None,
        *,
        is_as_asked: bool = False,
    ) -> None:
        self._chosen = chosen
        self._is_as_asked = is_as_asked
        self._table = chosen.table
        self._rows = rows
        self.n_rows = len(rows) if rows is not None else chosen.table.n_rows

    @cached_property
    def columns(self) -> list[Shown]:
        """All columns: of means and their spread, one for both, and one for all equal counts."""
        found: dict[str, Shown] = {}
        for name in self._table:
            plain = self._mean_of(name)
            is_parameter = name in self._parameters
            found.setdefault(plain, Shown(plain, self._title(plain), is_parameter))
        return list(found.values())

    @cached_property
    def constants(self) -> dict[str, str]:
        """The columns in which all rows are the same, with the text of that; none if all are."""
        if self._table.n_rows < 2 or self._is_as_asked:
            return {}
        found = {shown.name: self._whole(shown.name) for shown in self.columns}
        constant = {n: c for n, c in found.items() if c is not None and _is_constant(c)}
        if len(constant) == len(found):
            return {}
        return {
            name: texts_of(column[:1], is_exact=name in self._parameters).cells[0]
            for name, column in constant.items()
        }

    @property
    def varying(self) -> list[Shown]:
        """The columns that are not `constants`."""
        return [shown for shown in self.columns if shown.name not in self.constants]

    def texts(self, name: str, sign: str = "±") -> Texts:
        """Return the texts of one of the `columns`."""
        mean, spread = f"{name}_mean", f"{name}_ci95"
        if name in self._table:
            return texts_of(self._shown(name), is_exact=name in self._parameters)
        if name == _COUNT:
            count = next(name for name, part in self._parts.items() if part == _COUNT)
            return texts_of(_of_each_row(self._shown(count)))
        if mean not in self._table:
            return texts_of(
                self._shown(next(s for s in (spread, f"{name}_n") if s in self._table))
            )
        if spread not in self._table or self._table[mean].ndim > 1:  # type: ignore[union-attr]
            return texts_of(self._shown(mean))
        return texts_with_spread(self._shown(mean), self._shown(spread), sign)

    @cached_property
    def _parameters(self) -> frozenset[str]:
        return frozenset(self._table.parameters)

    @cached_property
    def _parts(self) -> dict[str, str]:
        """The output that a column is a statistic of, for those that are."""
        outputs = self._chosen.means
        parts = {f"{name}_{stat}": name for name in outputs for stat in ("mean", "ci95")}
        counts = [f"{name}_n" for name in outputs if f"{name}_n" in self._table]
        is_one = _COUNT not in self._table and _are_equal([self._table[name] for name in counts])
        return parts | {name: _COUNT if is_one else name for name in counts}

    def _whole(self, name: str) -> Column | None:
        """Return a column, also where it is one for all counts; None for means with a spread."""
        if name == _COUNT and name not in self._table:
            name = next(name for name, part in self._parts.items() if part == _COUNT)
            return _of_each_row(self._table[name])
        return self._table.get(name)

    def _mean_of(self, name: str) -> str:
        return self._parts.get(name, name)

    def _title(self, name: str) -> str:
        unit = self._table.units.get(name)
        return f"{name} ({unit})" if unit else name

    def _shown(self, name: str) -> Column:
        column = self._table[name]
        return column if self._rows is None else take(column, self._rows)


_COUNT = "n"


def _are_equal(columns: Sequence[Column]) -> bool:
    """Tell whether counts are the same for all outputs, and for all elements of arrays."""
    reduced = list(map(_of_each_row, columns))
    is_alike = all(
        np.array_equal(one.reshape(len(one), -1).max(axis=1, initial=0), first)
        for one, first in zip(map(np.asarray, columns), reduced, strict=True)
    )
    return is_alike and all(np.array_equal(reduced[0], one) for one in reduced[1:])


def _of_each_row(counts: Column) -> npt.NDArray[np.int64]:
    """Return the smallest count of each row."""
    numbers = np.asarray(counts).reshape(len(counts), -1)
    return numbers.min(axis=1) if numbers.shape[1] else np.zeros(len(numbers), np.int64)


def _is_constant(column: Column) -> bool:
    """Tell whether all values of a column are one, by the rules of psyflow."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "biufcUSmM":
        is_first = column == column[:1]
        if column.dtype.kind in "fc":
            is_first |= np.isnan(column) & np.isnan(column[:1])
        return bool(is_first.all())
    keys = column_keys({"": column[:2]}, 2)
    if (keys[0] != keys[1]).any():
        return False
    keys = column_keys({"": column}, len(column))
    return bool((keys == keys[0]).all())
