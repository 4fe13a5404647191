"""How a table of results becomes one of another library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from psyflow.columns import Column, take
from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.results.convert.arrow import arrow_table
from psyflow.results.convert.axes import Grid, Places, SparseError, grid_of, items_of, listed
from psyflow.results.convert.datasets import dataset
from psyflow.results.convert.frames import elements, pandas_frame
from psyflow.results.extras import needed
from psyflow.results.meaning import Meaning

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    import xarray

    from psyflow.results.glance import Glance

__all__ = ["Conversions"]


class Conversions(dict[str, Column]):
    """A dict of columns that becomes tables of other libraries: what `Results` is based on.

    Attributes
    ----------
    parameters, outputs : list of str
        Names of the columns.
    meaning : Meaning
        What they mean.
    """

    parameters: list[str]
    meaning: Meaning
    _glance: Glance | None
    _places: Places

    @property
    def outputs(self) -> list[str]:
        """Names of the columns that the function returned."""
        return [name for name in self if name not in self.parameters]

    def _known(self) -> Glance:
        """Return what is known of the run."""
        if self._glance is None:
            raise UsageError(
                "These columns do not say which run they are of. Load them by the name of the "
                "task, or by the folder of its run."
            )
        return self._glance

    def to_pandas(self, arrays: str = "object", bookkeeping: bool = False) -> pandas.DataFrame:
        """Return a data frame of pandas.

        Parameters
        ----------
        arrays : {"object", "long"}
            Have an array as one object in its row, or a row for each of its elements, with columns
            for where that is along each axis (as `dims` and `coords` say, else counted from 0).
        bookkeeping : bool
            Add how each row came about: the columns of `bookkeeping`. Those of which there is one
            of that name have ``bookkeeping_`` before it.

        Raises
        ------
        UsageError
            If pandas is not installed, or arrays in one long table had different axes.
        UnknownNameError
            If `arrays` is none of these.

        Examples
        --------
        >>> from psyflow.results import Results
        >>> table = Results({"a": [1, 2], "y": np.eye(2)}, parameters=["a"])
        >>> table.to_pandas(arrays="long")
           a  y_0    y
        0  1    0  1.0
        1  1    1  0.0
        2  2    0  0.0
        3  2    1  1.0
        """
        if arrays not in ("object", "long"):
            raise UnknownNameError("form of arrays", arrays, ["object", "long"])
        table = dict(self) | (self._told_of_rows() if bookkeeping else {})
        return pandas_frame(table if arrays == "object" else elements(table, self.meaning))

    def to_arrow(self) -> pyarrow.Table:
        """Return a table of Arrow, which DuckDB, polars and Parquet files take.

        Arrays of one shape are lists of fixed size, ragged ones lists, dicts with the same names
        structs. None is null, and so is NaN in a column that is not of numbers.

        Raises
        ------
        UsageError
            If pyarrow is not installed.
        UnsupportedDataError
            If Arrow cannot hold a column exactly.

        Examples
        --------
        >>> from psyflow.results import Results
        >>> Results({"a": [1, 2], "y": ["x", None]}).to_arrow().to_pylist()
        [{'a': 1, 'y': 'x'}, {'a': 2, 'y': None}]
        """
        return arrow_table(self)

    def to_polars(self) -> polars.DataFrame:
        """Return a data frame of polars, with the types of `to_arrow`.

        Raises
        ------
        UsageError
            If polars or pyarrow is not installed.
        UnsupportedDataError
            If a column cannot be held exactly.

        Examples
        --------
        >>> from psyflow.results import Results
        >>> Results({"a": [1, 2], "y": ["x", None]}).to_polars().rows()
        [(1, 'x'), (2, None)]
        """
        frame: polars.DataFrame = needed("polars").from_arrow(self.to_arrow())
        frame.columns = list(self)  # It calls one without a name by a name of its own.
        return frame

    def to_xarray(self, dense: bool | None = True) -> xarray.Dataset:
        """Return a dataset of xarray, along the axes of the parameter space.

        The factors of the space are the dimensions. Parameters that were put side by side in one
        factor are coordinates of one dimension. Of what is only a part of a product, as by
        ``where``, and where psets have no result, the coordinate ``done`` is False, and outputs
        are NaN. A sum of spaces has the dimension ``item``. The axes of outputs that are arrays
        come after these, named as `dims` says, else ``trace_0``, …; arrays of different shapes
        are objects. After `where`, the dimensions are as long as needed for the rows.

        Where no run is known, or the rows are not of it, each parameter is a dimension if there
        is one row for each combination of their values; else there is one dimension, ``item``.

        Parameters
        ----------
        dense : bool or None
            If False, there is one dimension, ``item``, with the parameters as its coordinates; if
            None, only where more than nine in ten cells would be empty otherwise.

        Raises
        ------
        UsageError
            If xarray is not installed; if more than nine in ten cells would be empty; or if axes
            of outputs contradict each other.

        Examples
        --------
        >>> from psyflow.results import Results
        >>> table = Results(
        ...     {"a": [1, 1, 2, 2], "b": [5, 6, 5, 6], "y": [0.1, 0.2, 0.3, 0.4]},
        ...     parameters=["a", "b"],
        ... )
        >>> float(table.to_xarray()["y"].sel(a=2, b=5))
        0.3
        """
        about = self._glance.attributes() if self._glance is not None else {}
        return dataset(self, self.outputs, self._grid(dense), self.meaning, about)

    def _grid(self, dense: bool | None) -> Grid:
        if dense is not False:
            space = self._glance.space if self._glance is not None else None
            try:
                return grid_of(self, self.parameters, space, self._places)
            except SparseError:
                if dense:
                    raise
        return listed(self, self.parameters, self._places)

    def _told_of_rows(self) -> dict[str, Column]:
        """Return the bookkeeping of the rows of this table, by names that it does not have."""
        known = self._known()
        told = known.bookkeeping()
        items = items_of(self, self.parameters, known.space, self._places)
        order = np.argsort(told["item"])
        places = np.searchsorted(told["item"], items, sorter=order) if items is not None else None
        if places is None or (places >= len(order)).any():
            raise UsageError("Not every row here is that of one pset of the run.")
        rows = order[places]
        return {
            f"bookkeeping_{name}" if name in self else name: take(column, rows)
            for name, column in told.items()
        }
