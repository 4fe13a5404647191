"""What is said below a plot: what a mark stands for, and which rows of which run they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psyflow.results.origins import run_and_commit
from psyflow.results.plot.picture import Picture
from psyflow.results.plot.wish import SPREADS
from psyflow.results.table import Results
from psyflow.texts import printable

__all__ = ["caption", "origin"]


def caption(picture: Picture, where: Sequence[str] = ()) -> str:
    """Return what is said below a plot.

    Parameters
    ----------
    picture : Picture
    where : sequence of str
        The conditions by which its rows were chosen.

    Returns
    -------
    str
        Sentences in one line: what a mark is and over what it is an average, what is not seen,
        and the items done, run and commit.
    """
    parts = "; ".join([_what(picture), *_chosen(where), *picture.notes])
    text = f"{parts[:1].upper()}{parts[1:]}. {origin(picture.design.results)}."
    return printable(" ".join(text.split()))


def origin(results: Results) -> str:
    """Return which rows of which run a table has.

    Examples
    --------
    >>> origin(Results({"a": [1, 2]}))
    '2 rows'
    """
    if results.task is None:
        return f"{results.n_rows:,} row{'s' * (results.n_rows != 1)}"
    done = f"{results.n_done:,} of {results.n_items:,} items of {results.task} done"
    return f"{done}, {run_and_commit(str(results.run), results.provenance)}"


def _what(picture: Picture) -> str:
    design = picture.design
    value = design.value
    over = f" over {_listed(design.over)}" if design.over else ""
    if design.kind == "hist":
        return f"counts of {value}{over} (n = {_n(picture)})"
    if design.kind == "parallel":
        return f"each line is one of {picture.n_marks:,} rows"
    if design.kind == "scatter":
        return f"each point is one value of {value}{over} (n = {_n(picture)})"
    if design.kind == "box":
        boxes = "quartiles, and what lies within 1.5 times their distance (Tukey)"
        return f"boxes of {value}{over} (n = {_n(picture)}): {boxes}"
    if picture.sizes[1] <= 1:
        return f"each {_mark(picture)} is one value of {value}"
    middle = "median" if design.spread == "iqr" else "mean"
    return f"{middle} of {value}{over} (n = {_n(picture)}){_bars(picture)}"


def _bars(picture: Picture) -> str:
    design = picture.design
    if design.kind == "heatmap" or design.spread == "none":
        return ""
    return f", with {SPREADS[design.spread]}"


def _mark(picture: Picture) -> str:
    return "cell" if picture.design.kind == "heatmap" else "point"


def _n(picture: Picture) -> str:
    least, most = picture.sizes
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:6]) + [f"{len(names) - 6:,} more"] * (len(names) > 6)
    return " and ".join([*[", ".join(shown[:-1])] * (len(shown) > 1), shown[-1]])


def _chosen(where: Sequence[str]) -> Iterator[str]:
    if where:
        yield f"only {', '.join(where)}"
