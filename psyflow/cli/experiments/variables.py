"""The variables of a grid, and how their values stand in a task file."""

from __future__ import annotations

import csv
import keyword
import math
import pprint
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psyflow.exceptions import UsageError
from psyflow.pspace.builders import geom, igeom
from psyflow.pspace.grids import arange

__all__ = ["Variable", "arithmetic", "geometric", "listed", "of_table", "space_text", "typed"]

MOST_VALUES = 1_000_000
_WIDTH = 95
_RESERVED = ("ctx", "rng")


@dataclass(frozen=True)
class Variable:
    """A parameter and its values.

    Attributes
    ----------
    name : str
    values : sequence
    made_by : str
        The call in a task file that gives the values, such as ``arange(0, 1, 0.1)``; ``""`` where
        they are listed.
    """

    name: str
    values: Sequence[Any]
    made_by: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if not len(self.values):
            raise UsageError(f"{self.name} has no values.")

    @property
    def text(self) -> str:
        """How the values stand in a task file."""
        return self.made_by or pprint.pformat(list(self.values), width=_WIDTH - 8, compact=True)


def check_name(name: str) -> None:
    """Raise `UsageError` if nothing can have this name in a command line with ``{fields}``."""
    if not name.isidentifier() or name in _RESERVED:
        what = "has a meaning of its own" if name in _RESERVED else "is none"
        raise UsageError(
            f'A variable is named by letters, digits and _, as for its field {{name}}; "{name}" '
            f"{what}."
        )


def typed(text: str) -> Any:
    """Return a value of a command line as a number, if the program would be given it as it was.

    ``1e-3`` is a number all the same; ``007`` and ``3.10`` stay texts, and so do ``nan`` and
    ``inf``, for no number in a task file is written so.

    Examples
    --------
    >>> [typed(text) for text in ("10", "0.5", "1e-3", "007", "3.10", "relu", "nan")]
    [10, 0.5, 0.001, '007', '3.10', 'relu', 'nan']
    """
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if not math.isfinite(number):
            return text
        is_scientific = kind is float and "e" in text.lower() and text.strip() == text
        if str(number) == text or (is_scientific and "_" not in text):
            return number
    return text


def listed(words: Sequence[str]) -> Variable:
    """Return the variable of ``--vl NAME VALUE …``."""
    if len(words) < 2:
        raise UsageError(f"--vl {words[0]}: give it values, such as: --vl {words[0]} 10 20 30")
    return Variable(words[0], [typed(word) for word in words[1:]])


def arithmetic(name: str, low: Any, high: Any, step: Any) -> Variable:
    """Return the variable of ``--va NAME MIN MAX STEP``: from MIN on, below MAX.

    Examples
    --------
    >>> arithmetic("x", 0, 0.4, 0.1).values, arithmetic("n", 1, 10, 3).text
    ([0.0, 0.1, 0.2, 0.3], 'arange(1, 10, 3)')
    """
    numbers = [_number(name, what) for what in (low, high, step)]
    if not numbers[2]:
        raise UsageError(f"{name}: with steps of 0, {high} is never reached.")
    if (numbers[1] - numbers[0]) / numbers[2] > MOST_VALUES:
        raise UsageError(f"{name}: from {low} to {high} in steps of {step} are too many values.")
    values = arange(*numbers)
    if not values:
        raise UsageError(f"{name}: there are no values from {low} to below {high} by {step}.")
    return Variable(name, values, f"arange({', '.join(map(repr, numbers))})")


def geometric(name: str, low: Any, high: Any, n_values: Any) -> Variable:
    """Return the variable of ``--vg NAME MIN MAX STEPS``: so many values, both ends included.

    Between whole numbers they are whole numbers, if each of them is one.

    Examples
    --------
    >>> geometric("n", 1, 1000, 4).values, geometric("x", 0.1, 10, 3).text
    ([1, 10, 100, 1000], 'geom(0.1, 10, 3)')
    """
    first, last, n = (_number(name, what) for what in (low, high, n_values))
    if not isinstance(n, int) or not 0 < n <= MOST_VALUES:
        raise UsageError(
            f"{name}: the number of values is a whole number above 0, not {n_values}."
        )
    try:
        values = geom(first, last, n)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    arguments = f"({first!r}, {last!r}, {n})"
    if isinstance(first, int) and isinstance(last, int) and all(v.is_integer() for v in values):
        return Variable(name, igeom(first, last, n), f"igeom{arguments}")
    return Variable(name, values, f"geom{arguments}")


def multiplied(name: str, low: Any, high: Any, factor: Any) -> Variable:
    """Return a variable that is multiplied again and again, from `low` to below `high`.

    Examples
    --------
    >>> multiplied("n", 1, 17, 2).values
    [1, 2, 4, 8, 16]
    """
    first, last, by = (_number(name, what) for what in (low, high, factor))
    if not (first > 0 and by > 1):
        raise UsageError(f"{name}: `min` has to be above 0, and `factor` above 1.")
    values: list[int | float] = []
    while first < last and len(values) < MOST_VALUES:
        values.append(first)
        first *= by
    return Variable(name, values)


def _number(name: str, given: Any) -> Any:
    number = typed(given) if isinstance(given, str) else given
    if isinstance(number, str):
        try:
            number = float(number)
        except ValueError:
            number = None
    if not isinstance(number, int | float) or isinstance(number, bool) or number - number != 0:
        raise UsageError(f"{name}: {given!r} is no number.")
    return number


def of_table(path: Path) -> list[Variable]:
    """Return the columns of a CSV file, each row of which is a combination.

    Raises
    ------
    UsageError
        If it has no rows, or rows of different lengths.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            sign = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
            # Strictly, or a quote that is left open would take up all rows after it.
            reader = csv.reader(file, delimiter=sign, strict=True)
            names, *rows = [row for row in reader if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not rows:
        raise UsageError(f"{path} has no rows. Its first line names the columns.")
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise UsageError(f"{path}: row {number} has {len(row)} of {len(names)} values.")
    names = [name.strip() for name in names]
    columns = [*zip(*rows, strict=True)]
    while not names[-1] and not any(columns[-1]):  # as spreadsheets leave them
        del names[-1], columns[-1]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f'{path} has two columns named "{twice}".')
    try:
        return [
            Variable(name, [typed(value) for value in column])
            for name, column in zip(names, columns, strict=True)
        ]
    except UsageError as error:
        raise UsageError(f"{path}, the names of the columns: {error}") from None


def space_text(variables: Sequence[Variable], *, is_table: bool) -> str:
    """Return the parameter space as it stands in a task file: of all combinations, or of rows.

    Examples
    --------
    >>> print(space_text([Variable("n", [1, 2])], is_table=False))
    Param(n=[1, 2])
    """
    if is_table:
        return _param({variable.name: variable.text for variable in variables})
    if not variables:
        return "Param.from_psets([{}])"
    factors = [_param({variable.name: variable.text}) for variable in variables]
    if len(factors) == 1:
        return factors[0]
    product = "\n* ".join(factors)
    return f"(\n{textwrap.indent(product, '    ')}\n)"


def _param(texts: Mapping[str, str]) -> str:
    is_plain = not any(keyword.iskeyword(name) for name in texts)
    signs = "{}=" if is_plain else "{!r}: "
    arguments = [signs.format(name) + text for name, text in texts.items()]
    opened, closed = ("Param(", ")") if is_plain else ("Param(**{", "})")
    line = f"{opened}{', '.join(arguments)}{closed}"
    if "\n" not in line and len(line) < _WIDTH:
        return line
    lines = "".join(f"    {textwrap.indent(text, '    ').lstrip()},\n" for text in arguments)
    return f"{opened}\n{lines}{closed}"
