"""How rows are printed: as a table for people, or in a form for programs."""

from __future__ import annotations

import sys

import numpy as np

from psyflow.cli.grid import grid_lines, terminal_width
from psyflow.cli.pager import page
from psyflow.results.choice import Chosen
from psyflow.results.text.view import View
from psyflow.results.text.written import written

__all__ = ["MOST_ROWS", "print_rows"]

MOST_ROWS = 40
"""A longer table is shown by its ends."""
_N_ENDS = 10


def print_rows(
    chosen: Chosen,
    form: str,
    *,
    is_whole: bool = False,
    is_as_asked: bool = False,
    n_rows: int | None = None,
) -> None:
    """Print a table on stdout.

    Parameters
    ----------
    chosen : Chosen
    form : str
        ``table``, or one of `psyflow.results.text.written.TEXT_FORMATS`.
    is_whole : bool
        Whether all rows are wanted, also of a long table.
    is_as_asked : bool
        Whether all columns are wanted, also those in which all rows are the same.
    n_rows : int, optional
        How many rows there are, if `chosen` has but the ends of a table.
    """
    if form == "table":
        page(_lines(chosen, is_whole, is_as_asked, n_rows))
        return
    for piece in written(chosen, form):
        sys.stdout.write(piece)


def _lines(chosen: Chosen, is_whole: bool, is_as_asked: bool, n_rows: int | None) -> list[str]:
    n_there = chosen.table.n_rows
    n_all = n_rows if n_rows is not None else n_there
    if is_whole or n_all <= MOST_ROWS:
        return grid_lines(View(chosen, is_as_asked=is_as_asked), terminal_width())
    ends = np.concatenate([np.arange(_N_ENDS), np.arange(n_there - _N_ENDS, n_there)])
    between = f"… {n_all - len(ends)} more rows: --all …"
    where = "in all rows" if n_rows is None else "in the rows that are shown"
    view = View(chosen, ends, is_as_asked=is_as_asked)
    return grid_lines(view, terminal_width(), _N_ENDS, between, where)
