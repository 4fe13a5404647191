"""Working out what is to be drawn: from a design and its values to marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from psyflow.exceptions import UsageError
from psyflow.results.plot.choose import Design
from psyflow.results.plot.kinds import Floats, Ints, as_numbers, kind_of
from psyflow.results.plot.levels import Levels, levels_of
from psyflow.results.plot.picture import (
    CODED,
    Chosen,
    Picture,
    grouped,
    scale_of_values,
)
from psyflow.results.statistics import GroupedValues, Groups

__all__ = ["work_out"]

_MOST_POINTS = 100_000
_BINS = 500
_CELLS = 400
_MOST_STRANDS = 3000
_MOST_BARS = 60
_MOST_AXES = 10


def work_out(design: Design) -> Picture:
    """Return what is to be drawn.

    Raises
    ------
    UsageError
        If none of the values can be drawn.
    """
    return _OF_KIND[design.kind](design)


def _points(design: Design) -> Picture:
    """Work out a point, and how far values spread around it, for each level along the axis."""
    chosen = Chosen(design)
    _require_values(chosen)
    roles = ("x", *CODED)
    if len(_groups(chosen, roles)[0]) > _MOST_POINTS:
        chosen.in_bins("x", _BINS)
    first, of_row = _groups(chosen, roles)
    values = Groups(of_row).of(chosen.values)
    centre, low, high = _spread(values, design.spread)
    places = chosen.levels["x"].places[chosen.codes("x")[first]]
    n = values.n()
    is_drawn = np.isfinite(centre)
    marks = {
        **chosen.coded(first),
        "x": places,
        "y": np.where(is_drawn, centre, np.nan),
        "low": np.where(np.isfinite(low), low, np.nan),
        "high": np.where(np.isfinite(high), high, np.nan),
        "n": n,
    }
    return Picture(
        design,
        chosen.levels,
        marks,
        x_scale=chosen.scale("x", "x"),
        y_scale=scale_of_values(centre, "y" in design.log),
        sizes=_sizes(n),
        notes=chosen.notes,
    )


def _scatter(design: Design) -> Picture:
    """Work out a point for each value."""
    chosen = Chosen(design)
    _require_values(chosen)
    x = chosen.levels["x"].places[chosen.codes("x")]
    rows = np.flatnonzero(np.isfinite(chosen.values))
    n_values = len(rows)
    if n_values > _MOST_POINTS:
        rows = rows[_one_in_each_cell(chosen, x, rows)]
        chosen.notes.append("of points that fall together, one is drawn")
    marks = {**chosen.coded(rows), "x": x[rows], "y": chosen.values[rows]}
    return Picture(
        design,
        chosen.levels,
        marks,
        x_scale=chosen.scale("x", "x"),
        y_scale=scale_of_values(chosen.values, "y" in design.log),
        sizes=(n_values, n_values),
        notes=chosen.notes,
    )


def _grid(design: Design) -> Picture:
    """Work out a value for each cell of a grid."""
    chosen = Chosen(design)
    _require_values(chosen)
    chosen.in_bins("x", _BINS)
    chosen.in_bins("vertical", _BINS)
    first, of_row = _groups(chosen, ("x", "vertical", *CODED))
    values = Groups(of_row).of(chosen.values)
    centre = values.median() if design.spread == "iqr" else values.mean()
    n = values.n()
    marks = {
        **chosen.coded(first),
        "x": chosen.codes("x")[first],
        "vertical": chosen.codes("vertical")[first],
        "y": np.where(np.isfinite(centre), centre, np.nan),
        "n": n,
    }
    return Picture(
        design,
        chosen.levels,
        marks,
        x_scale=chosen.scale("x", "x"),
        y_scale=chosen.scale("vertical", "y"),
        sizes=_sizes(n),
        notes=chosen.notes,
    )


def _boxes(design: Design) -> Picture:
    """Work out quartiles, and what lies far from them, for each level along the axis."""
    chosen = Chosen(design)
    _require_values(chosen)
    first, of_row = _groups(chosen, ("x", *CODED))
    values = Groups(of_row).of(np.where(np.isfinite(chosen.values), chosen.values, np.nan))
    low, middle, high = (values.quantile(q) for q in (0.25, 0.5, 0.75))
    reach = 1.5 * (high - low)
    is_far = (chosen.values < (low - reach)[of_row]) | (chosen.values > (high + reach)[of_row])
    is_far &= np.isfinite(chosen.values)
    within = np.where(is_far | ~np.isfinite(chosen.values), np.nan, chosen.values)
    whiskers = Groups(of_row).of(within)
    places = chosen.codes("x").astype(np.float64)
    marks = {
        **chosen.coded(first),
        "x": places[first],
        "whisker_low": whiskers.min(),
        "low": low,
        "y": middle,
        "high": high,
        "whisker_high": whiskers.max(),
        "n": values.n(),
    }
    far = np.flatnonzero(is_far)
    outliers = {**chosen.coded(far), "x": places[far], "y": chosen.values[far]}
    return Picture(
        design,
        chosen.levels,
        marks,
        outliers,
        y_scale=scale_of_values(chosen.values, "y" in design.log),
        sizes=_sizes(values.n()),
        notes=chosen.notes,
    )


def _bars(design: Design) -> Picture:
    """Work out how many values there are in each of some bins."""
    chosen = Chosen(design)
    _require_values(chosen)
    levels = chosen.levels
    is_number = kind_of(design.results[design.value]) in ("number", "array")
    scale = scale_of_values(chosen.values, "x" in design.log)
    if is_number:
        edges = _edges(chosen.values, scale == "log")
    else:
        levels["value"] = design.source.levels(design.value)
        edges = np.arange(len(levels["value"]) + 1, dtype=np.float64) - 0.5
    rows = np.flatnonzero(np.isfinite(chosen.values))
    coded = chosen.coded(rows)
    first, of_row = grouped([*coded.values()], [len(levels.get(role, ())) for role in CODED])
    parts = [np.histogram(chosen.values[rows][of_row == i], edges)[0] for i in range(len(first))]
    n_bins = len(edges) - 1
    marks = {
        **{role: np.repeat(codes[first], n_bins) for role, codes in coded.items()},
        "left": np.tile(edges[:-1], len(first)),
        "right": np.tile(edges[1:], len(first)),
        "count": np.concatenate(parts),
    }
    return Picture(
        design,
        levels,
        marks,
        x_scale="log" if is_number and scale == "log" else "linear",
        y_scale="symlog" if "y" in design.log else "linear",
        sizes=(len(rows), len(rows)),
        notes=chosen.notes,
    )


def _strands(design: Design) -> Picture:
    """Work out where each row crosses the axis of each column."""
    results, notes = design.results, list(design.notes)
    outputs = [n for n in results.outputs if n != design.value]
    numbers = [n for n in outputs if kind_of(results[n]) in ("number", "bool")]
    names = [n for n in [*results.parameters, *numbers] if len(levels_of(n, results[n])) > 1]
    if len(names) > _MOST_AXES:
        notes.append(f"{len(names) - _MOST_AXES:,} more columns have no axis")
        names = names[:_MOST_AXES]
    values = as_numbers(results[design.value])
    axes = {name: levels_of(name, results[name]) for name in names}
    is_there = np.logical_and.reduce([a.codes >= 0 for a in axes.values()] + [np.isfinite(values)])
    if not is_there.any():
        raise UsageError(f"No row has all of {', '.join([*names, design.value])}.")
    rows = np.flatnonzero(is_there)
    if len(rows) < len(values):
        notes.append(f"{len(values) - len(rows):,} rows lack a value, and are not drawn")
    axes[design.value] = levels_of(design.value, results[design.value])
    if len(rows) > _MOST_STRANDS:
        n_all = len(rows)
        rows = rows[:: -(-n_all // _MOST_STRANDS)]
        notes.append(f"of {n_all:,} rows, these are drawn")
    marks: dict[str, Floats | Ints] = {
        f"at {name}": levels.places[levels.codes[rows]] for name, levels in axes.items()
    }
    nothing = np.full(len(rows), -1)
    return Picture(
        design,
        {f"at {name}": levels for name, levels in axes.items()},
        {**dict.fromkeys(CODED, nothing), **marks},
        sizes=(1, 1),
        notes=notes,
    )


_OF_KIND: Mapping[str, Callable[[Design], Picture]] = {
    "line": _points,
    "scatter": _scatter,
    "heatmap": _grid,
    "box": _boxes,
    "hist": _bars,
    "parallel": _strands,
}


def _require_values(chosen: Chosen) -> None:
    if not np.isfinite(chosen.values).any():
        raise UsageError(
            f'No value of "{chosen.design.value}" can be drawn: '
            f"{'; '.join(chosen.notes) or 'there are none'}."
        )


def _groups(chosen: Chosen, roles: tuple[str, ...]) -> tuple[Ints, Ints]:
    nothing: tuple[Levels, ...] = ()
    sizes = [len(chosen.levels.get(role, nothing)) for role in roles]
    return grouped([chosen.codes(role) for role in roles], sizes)


def _spread(values: GroupedValues, spread: str) -> tuple[Floats, Floats, Floats]:
    """Return the middles of groups, and from where to where they spread."""
    if spread == "iqr":
        return values.median(), values.quantile(0.25), values.quantile(0.75)
    centre = values.mean()
    if spread == "range":
        return centre, values.min(), values.max()
    if spread == "none":
        return centre, np.full_like(centre, np.nan), np.full_like(centre, np.nan)
    width = {"ci95": values.ci95, "sem": values.sem, "std": values.std}[spread]()
    with np.errstate(invalid="ignore"):
        return centre, centre - width, centre + width


def _sizes(n: Ints) -> tuple[int, int]:
    return int(n.min()), int(n.max())


def _edges(values: Floats, is_log: bool) -> Floats:
    """Return the edges of bins: as wide as D. Freedman and P. Diaconis have it.

    Z. Wahrscheinlichkeitstheorie verw. Gebiete 57, 453–476 (1981); but 5 bins at least, and no
    more than can be seen.
    """
    finite = values[np.isfinite(values)]
    places = np.log(finite) if is_log else finite
    low, high = float(places.min()), float(places.max())
    if low == high:
        return np.array([low - 0.5, high + 0.5]) if not is_log else np.exp([low - 0.5, low + 0.5])
    # Of halves, for the distance of the largest numbers is none.
    lower, upper = (float(q) / 2 for q in np.quantile(places, [0.25, 0.75], method="nearest"))
    width = 2 * (upper - lower) / len(places) ** (1 / 3)
    share = (high / 2 - low / 2) / width if width > 0 else 0.0
    n_bins = int(np.clip(np.ceil(share), 5, _MOST_BARS))
    edges = np.linspace(low / 2, high / 2, n_bins + 1) * 2
    return np.exp(edges) if is_log else edges


def _one_in_each_cell(chosen: Chosen, x: Floats, rows: Ints) -> Ints:
    """Return the first of the points in each cell of a fine grid."""
    cells = [_cells(x[rows]), _cells(chosen.values[rows])]
    codes = [*cells, *chosen.coded(rows).values()]
    sizes = [_CELLS, _CELLS, *(len(chosen.levels.get(role, ())) for role in CODED)]
    return np.sort(grouped(codes, sizes)[0])


def _cells(places: Floats) -> Ints:
    low, high = places.min(), places.max()
    width = (high - low) / (_CELLS - 1)
    nothing = np.zeros(len(places), dtype=np.int64)
    return ((places - low) / width).astype(np.int64) if width > 0 else nothing
