"""Columns that a task file derives from those that were kept, and which columns are wanted."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from psyflow.columns import Column, Numbers, pack, pack_numbers, table_length
from psyflow.exceptions import (
    PsyflowError,
    PsyflowWarning,
    UnknownColumnError,
    UsageError,
    did_you_mean,
)
from psyflow.reprs import safe_repr
from psyflow.results.table import Results
from psyflow.results.told import Told
from psyflow.store.comparing import comparable
from psyflow.tasks.signature import Takes
from psyflow.texts import message_of, users_frames

__all__ = ["Wanted"]


@dataclass(frozen=True)
class Wanted:
    """Which columns of a run are wanted, those that are derived among them.

    Parameters
    ----------
    told : Told
        What is known of the columns.
    columns : sequence of str, optional
        Their names; all if None.
    """

    told: Told
    columns: Sequence[str] | None = None

    def __call__(self, names: Collection[str]) -> list[str]:
        """Return which of the columns that were kept have to be read."""
        if self.columns is None:
            return list(names)
        needed: set[str] = set()
        pending = [*self.columns]
        while pending:
            name = pending.pop()
            takes = self._derived.get(name)
            if name in names or takes is None:
                needed.add(name)
            else:
                known = [*names, *self._derived]
                pending += [n for n in _taken(takes, names, known) if n not in needed]
                needed.add(name)
        chosen = [name for name in names if name in needed]
        # Without any, nobody would know how many rows there are.
        return chosen or list(names)[:1]

    def complete(self, table: Results, names: Collection[str]) -> Results:
        """Return a table with what is derived, and without what is not wanted.

        Parameters
        ----------
        table : Results
            With the columns that were read.
        names : collection of str
            Of all columns that were kept.

        Raises
        ------
        UnknownColumnError
            If a column that is wanted neither was kept nor is derived.
        UsageError, UntrustedFileError
            If one that is wanted by its name cannot be derived.
        """
        table.meaning = self.told.meaning
        for name in self.columns or ():
            if name not in names and name not in self._derived:
                raise UnknownColumnError(name, [*names, *self._derived])
        asked = self._derived if self.columns is None else self.columns
        derived = [name for name in asked if name in self._derived and name not in names]
        if self.columns is None:
            for name in self._derived.keys() & set(names):
                _warn(table, f'what `derive` has for "{name}" is left out: it is a column already')
        if derived:
            table.update(self._values(table, derived))
        if self.columns is None:
            return table
        chosen = {name: table[name] for name in dict.fromkeys(self.columns)}
        return table.with_columns(chosen)

    @property
    def _derived(self) -> Mapping[str, Takes]:
        return self.told.said.derived

    def _values(self, table: Results, derived: Sequence[str]) -> dict[str, Column]:
        try:
            with self.told.functions() as functions:
                return dict(self._each(table, derived, functions))
        except (PsyflowError, OSError) as error:
            # What was asked for by name is not left out without an error.
            if self.columns is not None:
                raise
            _warn(table, f"{_listed(derived)} cannot be derived: {error}")
            return {}

    def _each(
        self, table: Results, derived: Sequence[str], functions: Mapping[str, Any]
    ) -> Iterator[tuple[str, Column]]:
        makers = _Makers(dict(table), self._derived, functions, table)
        for name in derived:
            try:
                yield name, makers.column(name)
            except UsageError as error:
                if self.columns is not None:
                    raise
                _warn(table, str(error))


class _Makers:
    """Derives columns, each once, those that others are derived from first."""

    def __init__(
        self,
        columns: dict[str, Column],
        derived: Mapping[str, Takes],
        functions: Mapping[str, Any],
        table: Results,
    ) -> None:
        self._columns = columns
        self._derived = derived
        self._functions = functions
        self._table = table
        self._n_rows = table_length(columns)
        self._under_way: list[str] = []

    def column(self, name: str) -> Column:
        """Return a column, derived if need be."""
        if name not in self._columns:
            if name in self._under_way:
                raise UsageError(f'"{name}" cannot be derived: it would be derived from itself')
            self._under_way.append(name)
            try:
                self._columns[name] = self._made(name)
            finally:
                self._under_way.remove(name)
        return self._columns[name]

    def _made(self, name: str) -> Column:
        takes, known = self._derived[name], [*self._columns, *self._derived]
        if name not in self._functions:
            raise UsageError(f'"{name}" cannot be derived: the code does not have it any more')
        missing = [n for n in takes.required if n not in known]
        if missing and not self._n_rows:
            return []  # Which outputs there are is known when there are rows.
        if missing:
            close = did_you_mean(missing[0], known)
            raise UsageError(
                f'"{name}" cannot be derived: it takes "{missing[0]}", which is no column.{close}'
            )
        columns = {n: self.column(n) for n in _taken(takes, self._columns, known) if n != name}
        return self._called(name, columns)

    def _called(self, name: str, columns: Mapping[str, Column]) -> Column:
        """Call a function row by row; NaN is what it gives where it raises."""
        function, names = self._functions[name], tuple(columns)
        values, failed, first = [], 0, ""
        rows = zip(*columns.values(), strict=True) if columns else [()] * self._n_rows
        # As with whole arrays, to divide by zero is no exception.
        with np.errstate(all="ignore"):
            for number, row in enumerate(rows):
                try:
                    values.append(function(**dict(zip(names, row, strict=True))))
                except Exception as error:
                    values.append(float("nan"))
                    if any(map(_is_absent, row)):
                        continue
                    first = first or f"{self._pset(number)}: {_told(error)}"
                    failed += 1
        if failed:
            rows_are = "1 row is" if failed == 1 else f"{failed} of {self._n_rows} rows are"
            _warn(self._table, f'{rows_are} NaN in "{name}", the first for {first}')
        return _as_column(values)

    def _pset(self, row: int) -> str:
        told = {n: self._table[n][row] for n in self._table.parameters}
        pset = ", ".join(f"{name}={_shown(value)}" for name, value in told.items())
        return f"row {row} ({pset})" if pset else f"row {row}"


def _told(error: Exception) -> str:
    """Return what a function of the user's raised, and in which line of its file."""
    frames = users_frames(error.__traceback__)
    text = f"{type(error).__name__}: {message_of(error)}"
    if frames is None:
        return text
    file, line = frames.tb_frame.f_code.co_filename, frames.tb_lineno
    while frames is not None:
        # Where a helper beside it raised, that line says more.
        if frames.tb_frame.f_code.co_filename == file:
            line = frames.tb_lineno
        frames = frames.tb_next
    return f"{text.rstrip('.')} ({os.path.basename(file)}, line {line})"  # noqa: PTH119


def _shown(value: Any) -> str:
    return safe_repr(value.item() if isinstance(value, np.generic) else value, 30)


def _taken(takes: Takes, names: Collection[str], known: Collection[str]) -> list[str]:
    """Return the columns that a function is given."""
    optional = [name for name in takes.optional if name in known]
    rest = names if takes.is_any else ()
    return list(dict.fromkeys([*takes.required, *optional, *rest]))


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and np.isnan(value))


def _as_column(values: list[Any]) -> Column:
    """Return values as a column: numbers as an array, whatever of them is missing."""
    types = set(map(type, values))
    if types == {int, float} and all(abs(v) < 1 << 53 for v in values if type(v) is int):
        return np.array(values, dtype=float)
    if any(issubclass(kind, np.generic) for kind in types) and float in types:
        values = _with_missing(values)
    column = pack_numbers(pack(values))
    return column.array if isinstance(column, Numbers) else comparable(column)


def _with_missing(values: list[Any]) -> list[Any]:
    """Return NumPy's floats with NaN of their own kind where a row has none."""
    kinds = {type(value) for value in values} - {float}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None or not issubclass(kind, np.floating):
        return values
    return [kind(value) for value in values]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in itertools.islice(names, 5))
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _warn(table: Results, message: str) -> None:
    of_task = f"{table.task}: " if table.task else ""
    warnings.warn(PsyflowWarning(f"{of_task}{message.rstrip('.')}."), stacklevel=2)
