"""What a plot shows, where it is not said: which column goes along which axis.

Nothing here knows how to draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psyflow.exceptions import UnknownColumnError, UsageError
from psyflow.results.plot.counted import Counted
from psyflow.results.plot.kinds import kind_of
from psyflow.results.plot.source import Source
from psyflow.results.plot.wish import Wish
from psyflow.results.table import Results

__all__ = ["MOST_COLOURS", "REPETITIONS", "Design", "choose"]

REPETITIONS = frozenset({"repeat", "repetition", "replicate", "rep", "trial", "seed", "fold"})
"""Parameters of these names tell repetitions apart: they are no axis unless somebody says so."""

MOST_COLOURS = 8
_MOST_HUES = 7
_MOST_ROWS = 4
_MOST_PANELS = 12
_MOST_STYLES = 4
_LEAST_OF_GRID = 8
_MOST_TOLD = 12
_MOST_CATEGORIES = 200
_MOST_LINES = 500


@dataclass(frozen=True)
class Design:
    """What a plot shows.

    Parameters
    ----------
    kind : str
        One of `psyflow.results.plot.wish.KINDS`.
    source : Source or Counted
        The values that are drawn, of the column `value`.
    x : str, optional
        The column, or the axis of arrays, along the horizontal axis. In a histogram, that is
        `value`, and this is None.
    vertical : str, optional
        The same of the vertical axis, in a heat map; in others, that is `value`.
    hue, style, row, col : str, optional
        What has colours, lines and markers, and panels of its own.
    over : sequence of str
        What varies besides these, and tells nothing apart.
    spread : str
        What bars and bands show.
    log : str
        One of `psyflow.results.plot.wish.LOGS`.
    notes : sequence of str
        What a reader has to know besides.
    """

    kind: str
    source: Source | Counted
    x: str | None = None
    vertical: str | None = None
    hue: str | None = None
    style: str | None = None
    row: str | None = None
    col: str | None = None
    over: Sequence[str] = ()
    spread: str = "ci95"
    log: str = "auto"
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def value(self) -> str:
        """Name of the column whose values are drawn."""
        return self.source.name

    @property
    def results(self) -> Results:
        """The table that is drawn."""
        return self.source.results

    def label(self, name: str) -> str:
        """Return what a column is called, with its unit."""
        return self.results.meaning.label(name)


def choose(results: Results, wish: Wish) -> Design:
    """Return what a plot shows.

    Raises
    ------
    UsageError
        If there is nothing to show, or several things, of which one has to be said.
    UnknownColumnError
        If there is no such column.

    Examples
    --------
    >>> columns = {"a": [1, 2, 4] * 2, "b": ["x"] * 3 + ["y"] * 3, "loss": [3.0, 2.0, 1.0] * 2}
    >>> design = choose(Results(columns, parameters=["a", "b"]), Wish())
    >>> design.kind, design.x, design.value, design.hue
    ('line', 'a', 'loss', 'b')
    """
    if not results.n_rows:
        raise UsageError("No row is left to be drawn. Choose others with --where.")
    if wish.kind == "hist":
        return _histogram(results, wish)
    roles = dict(wish.roles)
    vertical = _vertical(results, wish)
    value = roles.pop("y", None)
    if vertical is not None:
        value = roles.pop("hue", None)
    if wish.kind == "parallel":
        return _parallel(results, wish, value)
    source = Source(results, value if value is not None else _the_output(results))
    free = _Free(source, {*roles.values(), vertical})
    x = roles.get("x") or free.horizontal()
    if x is None:
        return _histogram(results, Wish({**wish.roles, "y": source.name}, "hist", log=wish.log))
    free.take(x)
    kind = wish.kind or _kind_for(wish, source, x, vertical, free)
    if kind == "heatmap" and vertical is None:
        vertical = free.vertical(x)
    chosen = _the_rest(kind, roles, free) | {"x": x}
    _require_sense(kind, source, chosen, vertical)
    return _design(wish, kind, source, chosen, vertical)


class _Free:
    """What varies and has no role yet."""

    def __init__(self, source: Source | Counted, taken: set[str | None]) -> None:
        self._source = source
        self.size = source.n_levels
        names = [*source.results.parameters, *source.dims]
        self._names = [
            name
            for name in dict.fromkeys(names)
            if name not in taken and name not in REPETITIONS and source.n_levels(name) > 1
        ]

    def take(self, name: str) -> None:
        self._names = [other for other in self._names if other != name]

    def by_size(self) -> list[str]:
        """Return them, those with most levels first."""
        return sorted(self._names, key=lambda name: -self.size(name))

    def horizontal(self) -> str | None:
        """Return what goes along the horizontal axis; None if nothing does."""
        if self._source.dims:
            return self._source.dims[-1]
        names = self.by_size()
        ordered = [n for n in names if self._source.levels_in_table(n).is_ordered]
        names = [n for n in names if self.size(n) <= _MOST_CATEGORIES]
        results = self._source.results
        alone = results.parameters[:1] if results.n_rows == 1 else []
        return next(iter([*ordered, *names, *alone]), None)

    def vertical(self, x: str) -> str:
        """Return what goes along the vertical axis of a heat map."""
        names = self.by_size()
        if not names:
            raise UsageError(
                f'A heat map has two axes, and besides "{x}" no parameter varies. '
                "Leave --kind heatmap out."
            )
        self.take(names[0])
        return names[0]

    def is_grid(self, x: str) -> bool:
        """Tell whether there are two axes of many levels, and nothing else."""
        names = self._names
        sizes = [self.size(name) for name in (x, *names)]
        return len(names) == 1 and min(sizes) >= _LEAST_OF_GRID

    def next_with(self, most: int) -> str | None:
        """Take what has most levels, but no more than so many."""
        for name in self.by_size():
            if self.size(name) <= most:
                self.take(name)
                return name
        return None


def _kind_for(wish: Wish, source: Source, x: str, vertical: str | None, free: _Free) -> str:
    results = source.results
    if vertical is not None:
        return "heatmap"
    if not set(wish.roles) - {"y"} and free.is_grid(x):
        return "heatmap"
    is_output = x not in source.dims and x not in results.parameters
    if is_output or (x in source.dims and source.is_each_row_its_own):
        return "scatter"
    return "line"


def _the_rest(kind: str, roles: Mapping[str, str], free: _Free) -> dict[str, str]:
    """Return what hue, style, row and col are, which are chosen unless one is said."""
    chosen = {role: name for role, name in roles.items() if role != "x"}
    if chosen or kind == "heatmap":
        return chosen
    picked = {"hue": free.next_with(_MOST_HUES), "col": free.next_with(_MOST_HUES)}
    col = picked["col"]
    if col is not None and free.size(col) <= _MOST_ROWS:
        picked["row"] = free.next_with(_MOST_ROWS)
    return {role: name for role, name in picked.items() if name is not None}


def _design(
    wish: Wish,
    kind: str,
    source: Source | Counted,
    roles: Mapping[str, str],
    vertical: str | None = None,
) -> Design:
    used = {*roles.values(), vertical, source.name}
    names = dict.fromkeys([*source.results.parameters, *source.dims])
    over = [name for name in names if name not in used and source.n_levels(name) > 1]
    return Design(
        kind,
        source,
        vertical=vertical,
        over=over,
        spread=wish.spread,
        log=wish.log,
        notes=source.notes,
        **roles,
    )


def _histogram(results: Results, wish: Wish) -> Design:
    roles = dict(wish.roles)
    given = [roles.pop(role) for role in ("x", "y") if role in roles]
    if len(given) > 1:
        raise UsageError("A histogram counts the values of one column: give x= or y=, not both.")
    name = given[0] if given else _the_output(results)
    is_number = kind_of(results[name]) in ("number", "array")
    source = Source(results, name) if is_number else Counted(results, name)
    free = _Free(source, {*roles.values(), name})
    chosen = _the_rest("hist", roles, free)
    _require_sense("hist", source, chosen, None)
    return _design(wish, "hist", source, chosen)


def _parallel(results: Results, wish: Wish, value: str | None) -> Design:
    extra = [f"{role}=" for role in wish.roles if role != "y"]
    if extra:
        raise UsageError(
            f"In parallel coordinates each column has an axis: leave out {', '.join(extra)}."
        )
    if value is None:
        value = next(reversed(_of_numbers(results, "number", "bool")), None)
    if value is None:
        raise UsageError("Parallel coordinates need an output that is a number.")
    source = Source(results, value)
    if source.dims:
        raise UsageError(f'"{value}" has arrays, which are no axis of parallel coordinates.')
    return _design(wish, "parallel", source, {})


def _vertical(results: Results, wish: Wish) -> str | None:
    """Return what goes along the vertical axis if that is no output, as in a heat map."""
    y = wish.roles.get("y")
    if y is None or wish.kind not in (None, "heatmap"):
        return None
    dims = {dim for names in results.dims.values() for dim in names}
    is_axis = y in results.parameters or (y in dims and y not in results)
    return y if is_axis else None


def _of_numbers(results: Results, *kinds: str) -> list[str]:
    return [name for name in results.outputs if kind_of(results[name]) in kinds]


def _the_output(results: Results) -> str:
    """Return the one output of numbers; without any, the one of arrays."""
    scalars, arrays = _of_numbers(results, "number", "bool"), _of_numbers(results, "array")
    found = scalars or arrays
    if len(found) == 1 and results.parameters:
        return found[0]
    task = results.task or "TASK"
    if not found:
        names = ", ".join(_first(results.outputs)) or "none"
        raise UsageError(
            f"No output of {task} is a number or an array of numbers (there are: {names}). "
            "Have execute return one."
        )
    roles = f"y={found[0]}" if results.parameters else f"x=… y={found[0]}"
    raise UsageError(
        f"{task} has several outputs: {', '.join(_first([*scalars, *arrays]))}. "
        f"Say which: psy plot {task} {roles}"
    )


def _first(names: Sequence[str]) -> Iterator[str]:
    yield from names[:_MOST_TOLD]
    if len(names) > _MOST_TOLD:
        yield f"… and {len(names) - _MOST_TOLD} more"


def _require_sense(
    kind: str, source: Source | Counted, roles: Mapping[str, str], vertical: str | None
) -> None:
    """Raise an error unless each role is for a column that can have it."""
    for name in (*roles.values(), vertical):
        if name is not None and name not in source.dims and name not in source.results:
            raise UnknownColumnError(name, [*source.dims, *source.results])
    x = roles.get("x")
    if x is not None and x in (vertical, source.name):
        raise UsageError(f'Both axes would be "{x}". Give another one: x=… or y=….')
    row, col = roles.get("row"), roles.get("col")
    if row is not None and row == col:
        raise UsageError(f'Rows and columns would both be "{row}". Leave row= or col= out.')
    for role, most in (("row", _MOST_PANELS), ("col", _MOST_PANELS), ("style", _MOST_STYLES)):
        if role in roles:
            _require_few(source, role, roles[role], most)
    if x is not None and (kind == "box" or not source.levels(x).is_ordered):
        _require_few(source, "x", x, _MOST_CATEGORIES)
    hue = roles.get("hue")
    if hue is not None:
        _require_few(source, "hue", hue, _most_hues(kind, source.levels(hue).is_ordered))


def _most_hues(kind: str, is_ordered: bool) -> float:
    """Return how many levels may have colours: of numbers, there is a colour bar for them."""
    if kind in ("box", "hist") or not is_ordered:
        return MOST_COLOURS
    return math.inf if kind == "scatter" else _MOST_LINES


def _require_few(source: Source | Counted, role: str, name: str, most: float) -> None:
    n = source.n_levels(name)
    if n > most:
        raise UsageError(
            f'{role}={name}: "{name}" has {n:,} levels, of which {most} at most can be told apart.'
            f" Choose some of them with --where, or give {role}= another column."
        )
