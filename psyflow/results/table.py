"""The table of a task's results: columns that know what they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, concatenate, table_length, take
from psyflow.exceptions import UnknownColumnError, UnknownNameError, UsageError
from psyflow.pspace.keys import column_keys
from psyflow.reprs import safe_repr
from psyflow.results.meaning import Meaning
from psyflow.results.statistics import STATISTICS, Groups
from psyflow.store.comparing import comparable
from psyflow.texts import printable

if TYPE_CHECKING:
    import pandas

    from psyflow.results.glance import Glance

__all__ = ["Results"]

Rows = npt.NDArray[np.int64]

_SHOWN_ROWS = 6
_SHOWN_TEXT = 24


class Results(dict[str, Column]):
    """A table of results: a dict of columns, parameters first, with what is known of them.

    It goes wherever a dict of columns does, as into ``pandas.DataFrame(results)``.

    Parameters
    ----------
    columns : mapping from str to list or ndarray
        All of one length.
    parameters : sequence of str
        Which of the columns are parameters; the others are outputs.
    glance : Glance, optional
        At the run that they are of.
    meaning : Meaning, optional
        What the task file says of the columns.

    Attributes
    ----------
    parameters, outputs : list of str
        Names of the columns.
    dims, coords, units, labels : mapping
        What the task file says of the columns: see `psyflow.results.meaning.Meaning`.

    Examples
    --------
    >>> results = Results({"a": [1, 1, 2], "y": np.array([2.0, 4.0, 5.0])}, parameters=["a"])
    >>> results.where(a=1)["y"]
    array([2., 4.])
    >>> results.where(lambda y: y > 3).n_rows
    2
    >>> results.item(a=2)
    {'a': 2, 'y': np.float64(5.0)}
    >>> results
    Results: 3 rows
    a  y
    1  2.0
    1  4.0
    2  5.0
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        parameters: Sequence[str] = (),
        glance: Glance | None = None,
        meaning: Meaning | None = None,
    ) -> None:
        first = [name for name in parameters if name in columns]
        super().__init__({name: columns[name] for name in dict.fromkeys([*first, *columns])})
        self.parameters = first
        self._glance = glance
        self.meaning = meaning if meaning is not None else Meaning()

    def __missing__(self, name: str) -> Column:
        raise UnknownColumnError(str(name), self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (dict(self), self.parameters, self.meaning)

    def copy(self) -> Results:
        """Return a table of the same columns."""
        return self._with(dict(self))

    @property
    def outputs(self) -> list[str]:
        """Names of the columns that the function returned."""
        return [name for name in self if name not in self.parameters]

    @property
    def n_rows(self) -> int:
        """Number of rows of this table."""
        return table_length(self)

    @property
    def dims(self) -> Mapping[str, Sequence[str]]:
        """The names of the axes of outputs that are arrays."""
        return self.meaning.dims

    @property
    def coords(self) -> Mapping[str, Any]:
        """The places along these axes: values, or the name of a column that has them."""
        return self.meaning.coords

    @property
    def units(self) -> Mapping[str, str]:
        """The units of columns and axes."""
        return self.meaning.units

    @property
    def labels(self) -> Mapping[str, str]:
        """What columns and axes are called in plots."""
        return self.meaning.labels

    # -- the run ----------------------------------------------------------------------------------

    @property
    def task(self) -> str | None:
        """Name of the task; None if nobody knows, as of a bare file."""
        return self._glance.task if self._glance is not None else None

    @property
    def run(self) -> str | None:
        """Id of the run; None if nobody knows."""
        return self._glance.run_id if self._glance is not None else None

    @property
    def n_items(self) -> int:
        """Number of psets that the run asks for, whatever rows this table has."""
        return self._glance.n_items if self._glance is not None else self.n_rows

    @property
    def n_done(self) -> int:
        """Number of psets of the run with a result, whatever rows this table has."""
        return self._glance.n_done if self._glance is not None else self.n_rows

    @property
    def is_complete(self) -> bool:
        """Whether every pset of the run has a result."""
        return self.n_done == self.n_items

    @property
    def missing(self) -> Results:
        """The psets of the run without a result, for whatever reason."""
        return self._of_psets(self._known().missing())

    @property
    def failures(self) -> Results:
        """The psets that failed and have no result, with what is known of their last attempts.

        Columns ``kind``, ``exception``, ``traceback``, ``attempt``, ``host``, ``start`` (seconds
        since 1970), ``duration`` (seconds), ``log``, ``log_start`` and ``log_stop``, from which
        byte to which of the log the pset printed (−1: nothing).
        """
        return self._of_psets(self._known().failures())

    @property
    def skipped(self) -> Results:
        """The psets that were skipped and have no result, with the ``reason``."""
        return self._of_psets(self._known().skipped())

    @property
    def bookkeeping(self) -> Results:
        """How each row of the run came about, in the order of its rows.

        ``item`` (number in the space), ``start`` (seconds since 1970), ``duration`` (seconds),
        ``attempt``, ``host``, ``pid``.
        """
        return Results(self._known().bookkeeping(), glance=self._glance)

    @property
    def provenance(self) -> dict[str, Any]:
        """When, where and with which Python, packages and commit the run was made."""
        return self._known().provenance()

    def _of_psets(self, columns: Mapping[str, Column]) -> Results:
        names = [name for name in columns if name in self._known().parameters]
        return Results(columns, parameters=names, glance=self._glance)

    def _known(self) -> Glance:
        if self._glance is None:
            raise UsageError(
                "These columns do not say which run they are of. Load them by the name of the "
                "task, or by the folder of its run."
            )
        return self._glance

    # -- rows -------------------------------------------------------------------------------------

    def where(self, predicate: Callable[..., Any] | None = None, /, **values: Any) -> Results:
        """Return the rows for which all of this is true.

        Parameters
        ----------
        predicate : callable, optional
            Called with keyword arguments, row by row; it may take some of the names only.
        **values
            What columns have to be, by the rules of psyflow: 1 is 1.0, and NaN is NaN.

        Raises
        ------
        UnknownColumnError
            If there is no such column.
        """
        rows = np.arange(self.n_rows)
        for name, value in values.items():
            column = take(self[name], rows)
            wanted = column_keys({name: [value]}, 1)
            rows = rows[(column_keys({name: column}, len(rows)) == wanted).all(axis=1)]
        if predicate is not None:
            names = self._names_taken_by(predicate)
            columns = [take(self[name], rows) for name in names]
            if not names:
                raise UsageError("The function that `where` was given takes no column.")
            is_kept = [
                bool(predicate(**dict(zip(names, row, strict=True))))
                for row in zip(*columns, strict=True)
            ]
            rows = rows[np.array(is_kept, dtype=bool)]
        return self.at(rows)

    def at(self, rows: Rows) -> Results:
        """Return the rows at some places, counted from 0."""
        return self._with({name: take(column, rows) for name, column in self.items()})

    def sort_by(self, *names: str) -> Results:
        """Return the rows in the order of some columns; ``"-y"`` for a descending one.

        Rows that are equal there stay in their order, and absent values come last.

        Examples
        --------
        >>> table = Results({"a": [1, 2, 3], "y": [0.5, 0.1, 0.3]}, parameters=["a"])
        >>> table.sort_by("y")["a"], table.sort_by("-y")["a"]
        ([2, 3, 1], [1, 3, 2])
        """
        rows = np.arange(self.n_rows)
        for name in reversed(names):
            plain = name if name in self else name.removeprefix("-")
            ranks = _ranks(take(self[plain], rows))
            is_absent = ranks < 0
            signed = -ranks if plain != name else ranks
            rows = rows[np.lexsort((signed, is_absent))]
        return self.at(rows)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict."""
        for values in zip(*self.values(), strict=True):
            yield dict(zip(self, values, strict=True))

    def item(self, **pset: Any) -> dict[str, Any]:
        """Return the one row with these values.

        Raises
        ------
        UsageError
            If there is none, or more than one.
        """
        found = self.where(**pset)
        if found.n_rows != 1:
            said = ", ".join(f"{name}={safe_repr(value, 40)}" for name, value in pset.items())
            more = " Give more names, or use `where`." if found.n_rows else ""
            raise UsageError(f"{found.n_rows or 'No'} rows have {said or 'no values'}.{more}")
        return next(found.rows())

    def concat(self, *others: Mapping[str, Column]) -> Results:
        """Return a table of these rows and those of others; what a table lacks is NaN in it.

        Examples
        --------
        >>> one, two = Results({"a": [1], "y": [2.0]}), Results({"a": [2], "y": [4.0]})
        >>> one.concat(two)["a"]
        [1, 2]
        """
        parameters = [*self.parameters]
        for other in others:
            parameters += getattr(other, "parameters", [])
        columns = concatenate([dict(self), *map(dict, others)])
        table = {name: comparable(column) for name, column in columns.items()}
        return Results(table, parameters=list(dict.fromkeys(parameters)), meaning=self.meaning)

    def summary(
        self, over: str | Sequence[str] = "repeat", stats: Sequence[str] = ("mean", "ci95", "n")
    ) -> Results:
        """Return statistics of the outputs for each group of rows that agree in their parameters.

        Parameters
        ----------
        over : str or sequence of str
            The parameters over which is aggregated; the others tell groups apart. ``"repeat"`` may
            be named though there is none.
        stats : sequence of str
            Of `mean`, `median`, `std` (of samples: ``ddof=1``), `sem`, `ci95` (half the width of
            the confidence interval of the mean by Student's t), `iqr`, `min`, `max`, `n` and
            `n_missing`; see `psyflow.results.statistics`.

        Returns
        -------
        Results
            The parameters that were not named, and columns such as ``y_mean``, for each output of
            numbers, or arrays of numbers of one shape. Absent values (None, NaN) do not count.

        Raises
        ------
        UnknownNameError
            If there is no such parameter or statistic.

        Examples
        --------
        >>> trials = Results(
        ...     {"a": [1, 1, 2, 2], "trial": [0, 1, 0, 1], "y": [1.0, 3.0, 5.0, 5.0]},
        ...     parameters=["a", "trial"],
        ... )
        >>> trials.summary(over="trial", stats=["mean", "std", "n"])
        Results: 2 rows
        a  y_mean  y_std    y_n
        1  2.0     1.41421  2
        2  5.0     0.0      2
        """
        names = [over] if isinstance(over, str) else list(over)
        for name in names:
            if name not in self.parameters and name != "repeat":
                raise UnknownNameError("parameter", name, self.parameters)
        for stat in stats:
            if stat not in STATISTICS:
                raise UnknownNameError("statistic", stat, STATISTICS)
        kept = [name for name in self.parameters if name not in names]
        first, codes = self._groups(kept)
        groups = Groups(codes)
        columns = {name: take(self[name], first) for name in kept}
        for name in self.outputs:
            numbers = _numbers(self[name])
            if numbers is not None:
                values = groups.of(numbers)
                columns |= {f"{name}_{stat}": STATISTICS[stat](values) for stat in stats}
        return Results(columns, parameters=kept, glance=self._glance, meaning=self.meaning)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with a row for each row; an array is one object in it.

        Raises
        ------
        UsageError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError(
                "pandas is not installed. Type: pip install 'psyflow[pandas]'"
            ) from error
        return pandas.DataFrame({name: _as_series(column) for name, column in self.items()})

    # -- how it is shown --------------------------------------------------------------------------

    def __repr__(self) -> str:
        return "\n".join([f"Results: {self._counts()}", *self._lines()])

    def _counts(self) -> str:
        rows = f"{self.n_rows} row{'s' * (self.n_rows != 1)}"
        if self._glance is None:
            return rows
        return f"{rows}; {self.n_done} of {self.n_items} psets of {self.task} are done"

    def _lines(self) -> Iterator[str]:
        n = self.n_rows
        is_cut = n > 2 * _SHOWN_ROWS
        shown = [*range(_SHOWN_ROWS), *range(n - _SHOWN_ROWS, n)] if is_cut else list(range(n))
        texts = [[name, *(_text(column[row]) for row in shown)] for name, column in self.items()]
        widths = [max(map(len, column)) for column in texts]
        for number, cells in enumerate(zip(*texts, strict=True)):
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            yield "  ".join(padded).rstrip()
            if is_cut and number == _SHOWN_ROWS:
                yield "…"

    # -- parts ------------------------------------------------------------------------------------

    def _with(self, columns: Mapping[str, Column]) -> Results:
        return Results(
            columns, parameters=self.parameters, glance=self._glance, meaning=self.meaning
        )

    def _groups(self, names: Sequence[str]) -> tuple[Rows, npt.NDArray[np.intp]]:
        """Return the first row of each group, and the group of each row, by columns."""
        if not names:
            return np.arange(min(1, self.n_rows)), np.zeros(self.n_rows, dtype=np.intp)
        keys = np.ascontiguousarray(column_keys({n: self[n] for n in names}, self.n_rows))
        whole = keys.view([("low", np.uint64), ("high", np.uint64)]).reshape(-1)
        _, first, codes = np.unique(whole, return_index=True, return_inverse=True)
        # In the order of their first rows, not of their keys.
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return first[order], place[codes.reshape(-1)]

    def _names_taken_by(self, predicate: Callable[..., Any]) -> list[str]:
        parameters = inspect.signature(predicate).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return list(self)
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for parameter in named:
            if parameter.name not in self and parameter.default is parameter.empty:
                raise UnknownColumnError(parameter.name, self)
        return [parameter.name for parameter in named if parameter.name in self]


def _made(
    columns: dict[str, Column], parameters: list[str], meaning: Meaning | None = None
) -> Results:
    return Results(columns, parameters=parameters, meaning=meaning)


def _numbers(column: Column) -> npt.NDArray[np.number] | None:
    """Return a column of numbers as an array; None if it is of anything else."""
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return column if column.dtype.kind in "biuf" else None
    try:
        return _numbers_in(list(column))
    except ValueError:
        return None  # lists of different lengths in a list


def _numbers_in(values: Sequence[Any]) -> npt.NDArray[np.number] | None:
    is_absent = [value is None or not _is_itself(value) for value in values]
    there = [value for value, is_none in zip(values, is_absent, strict=True) if not is_none]
    shapes = set(map(np.shape, there))
    if len(shapes) > 1 or any(isinstance(value, str | bytes) for value in there):
        return None
    shape = shapes.pop() if shapes else ()
    nothing = np.full(shape, np.nan)
    filled = zip(values, is_absent, strict=True)
    numbers = np.array([nothing if is_none else value for value, is_none in filled])
    return numbers if numbers.dtype.kind in "biuf" else None


def _ranks(column: Column) -> npt.NDArray[np.int64]:
    """Return where each value comes in ascending order; −1 for what is absent."""
    values = list(column)
    is_there = np.array([value is not None and _is_itself(value) for value in values], dtype=bool)
    there = [value for value, is_one in zip(values, is_there, strict=True) if is_one]
    try:
        distinct = sorted(set(there))
        places = {value: place for place, value in enumerate(distinct)}
    except TypeError as error:
        raise UsageError(f"Rows cannot be sorted by these values: {error}.") from error
    ranks = np.full(len(values), -1, dtype=np.int64)
    ranks[is_there] = [places[value] for value in there]
    return ranks


def _is_itself(value: Any) -> bool:
    return not (isinstance(value, float | np.floating) and np.isnan(value))


def _as_series(column: Column) -> Column:
    """Return a column as a data frame holds it: arrays and lists as objects."""
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return column
    values = list(column)
    if not any(isinstance(value, list | tuple | np.ndarray) for value in values):
        return values
    objects = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        objects[row] = value
    return objects


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return _number_text(float(value))
    plain = value.item() if isinstance(value, np.generic) else value
    text = plain if isinstance(plain, str) else safe_repr(plain, 200)
    text = printable(" ".join(text.split()))
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"


def _number_text(value: float) -> str:
    short = f"{value:.6g}"
    return f"{short}.0" if short.lstrip("-").isdigit() else short
