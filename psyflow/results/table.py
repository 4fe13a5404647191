"""The table of a task's results: columns that know what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, concatenate, take
from psyflow.exceptions import UnknownColumnError, UnknownNameError, UsageError
from psyflow.reprs import safe_repr
from psyflow.results.convert.axes import Places
from psyflow.results.meaning import Meaning
from psyflow.results.ofrun import OfRun
from psyflow.results.selecting import rows_at, rows_sorted, rows_where
from psyflow.results.summaries import meaning_of, summarized
from psyflow.results.text.shown import as_html, as_text
from psyflow.store.comparing import comparable

if TYPE_CHECKING:
    from psyflow.results.glance import Glance

__all__ = ["Results"]


class Results(OfRun):
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
    places : Places, optional
        Which psets of the run the rows are, if that is known.

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
    Results: 3 rows; varied: a
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
        places: Places | None = None,
    ) -> None:
        first = [name for name in parameters if name in columns]
        super().__init__({name: columns[name] for name in dict.fromkeys([*first, *columns])})
        self.parameters = first
        self._glance = glance
        self._places = places if places is not None else Places()
        self.meaning = meaning if meaning is not None else Meaning()

    def __missing__(self, name: str) -> Column:
        raise UnknownColumnError(str(name), self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (dict(self), self.parameters, self.meaning)

    def with_columns(self, columns: Mapping[str, Column]) -> Results:
        """Return a table of other columns, of which the same is known."""
        return self._with(columns)

    def copy(self) -> Results:
        """Return a table of the same columns."""
        return self._with(dict(self))

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
    def missing(self) -> Results:
        """The psets of the run without a result, for whatever reason."""
        return self._of_psets(self._known().missing())

    @property
    def failures(self) -> Results:
        """The psets that failed and have no result, with what is known of their last attempts.

        Columns ``kind``, ``exception``, ``traceback``, ``attempt``, ``host``, ``start`` (seconds
        since 1970), ``duration`` (seconds), ``log``, ``log_start`` and ``log_stop``, from which
        byte to which of the log the pset printed (−1: nothing). Of a `Command`, also those that
        `bookkeeping` has for that.
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
        ``attempt``, ``key`` (of the pset, as its folder is named), ``host``, ``pid``, ``job`` (the
        number of the process job) and ``worker`` (its number in that); −1 where one is not
        recorded. Of a `Command` also ``exit_code`` and ``signal`` of its last program (such as
        ``"SIGKILL"``; −1 and "" if there is none), ``cpu`` (seconds, of all of them), and as
        ``peak_memory`` (bytes), which is that of the worker otherwise, that of the largest.
        """
        return Results(self._known().bookkeeping(), glance=self._glance)

    def _of_psets(self, columns: Mapping[str, Column]) -> Results:
        names = [name for name in columns if name in self._known().parameters]
        places = Places(is_part=True)
        return Results(columns, parameters=names, glance=self._glance, places=places)

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
        return self.at(rows_where(self, predicate, values))

    def at(self, rows: npt.ArrayLike) -> Results:
        """Return the rows at some places, counted from 0, or those for which a flag is True."""
        there = rows_at(np.asarray(rows), self.n_rows)
        columns = {name: take(column, there) for name, column in self.items()}
        return self._with(columns, self._places.at(there, self.n_rows))

    def sort_by(self, *names: str) -> Results:
        """Return the rows in the order of some columns; ``"-y"`` for a descending one.

        Rows that are equal there stay in their order, and absent values come last.

        Examples
        --------
        >>> table = Results({"a": [1, 2, 3], "y": [0.5, 0.1, 0.3]}, parameters=["a"])
        >>> table.sort_by("y")["a"], table.sort_by("-y")["a"]
        ([2, 3, 1], [1, 3, 2])
        """
        return self.at(rows_sorted(self, names))

    def select(self, *outputs: str) -> Results:
        """Return the table of some outputs, with all parameters.

        Raises
        ------
        UnknownColumnError
            If there is no such column.

        Examples
        --------
        >>> list(Results({"a": [1], "y": [2.0], "z": [3.0]}, parameters=["a"]).select("z"))
        ['a', 'z']
        """
        names = dict.fromkeys([*self.parameters, *outputs])
        return self._with({name: self[name] for name in names})

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict."""
        for values in zip(*self.values(), strict=True):
            yield dict(zip(self, values, strict=True))

    def to_psets(self) -> list[dict[str, Any]]:
        """Return the parameters of each row as a dict, such as `psyflow.map` takes them.

        Examples
        --------
        >>> Results({"a": [1, 2], "y": [2.0, 4.0]}, parameters=["a"]).to_psets()
        [{'a': 1}, {'a': 2}]
        """
        columns = (_as_given(self[name]) for name in self.parameters)
        return [dict(zip(self.parameters, row, strict=True)) for row in zip(*columns, strict=True)]

    def item(self, /, **pset: Any) -> dict[str, Any]:
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
        self,
        over: str | Sequence[str] = "repeat",
        stats: str | Sequence[str] = ("mean", "ci95", "n"),
    ) -> Results:
        """Return statistics of the outputs for each group of rows that agree in their parameters.

        Parameters
        ----------
        over : str or sequence of str
            The parameters over which is aggregated; the others tell groups apart. ``"repeat"`` may
            be named though there is none.
        stats : str or sequence of str
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
        UsageError
            If a statistic would have the name of a parameter.

        Examples
        --------
        >>> trials = Results(
        ...     {"a": [1, 1, 2, 2], "trial": [0, 1, 0, 1], "y": [1.0, 3.0, 5.0, 5.0]},
        ...     parameters=["a", "trial"],
        ... )
        >>> trials.summary(over="trial", stats=["mean", "std", "n"])
        Results: 2 rows; varied: a
        a  y_mean  y_std    y_n
        1  2.0     1.41421  2
        2  5.0     0.0      2
        """
        names = [over] if isinstance(over, str) else list(over)
        for name in names:
            if name not in self.parameters and name != "repeat":
                raise UnknownNameError("parameter", name, self.parameters)
        kept = [name for name in self.parameters if name not in names]
        stats = [stats] if isinstance(stats, str) else list(stats)
        columns = summarized(self, kept, self.outputs, stats)
        return Results(
            columns,
            parameters=kept,
            glance=self._glance,
            meaning=meaning_of(self, self.outputs, stats, self.meaning),
            places=Places(is_part=self._places.is_part),
        )

    # -- how it is shown --------------------------------------------------------------------------

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    # -- parts ------------------------------------------------------------------------------------

    def _with(self, columns: Mapping[str, Column], places: Places | None = None) -> Results:
        return Results(
            columns,
            parameters=self.parameters,
            glance=self._glance,
            meaning=self.meaning,
            places=self._places if places is None else places,
        )


def _as_given(column: Column) -> Column:
    """Return a column with text as Python's, which tables for comparing have as NumPy's."""
    is_text = isinstance(column, np.ndarray) and column.dtype.kind in "US"
    return column.tolist() if is_text and isinstance(column, np.ndarray) else column


def _made(
    columns: dict[str, Column], parameters: list[str], meaning: Meaning | None = None
) -> Results:
    return Results(columns, parameters=parameters, meaning=meaning)
