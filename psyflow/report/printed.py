"""What an item printed, found again in the log of its worker."""

from __future__ import annotations

from pathlib import Path

from psyflow.outcomes.records import OF_RESULT, SKIPPED, Failure
from psyflow.outcomes.table import LOG_POSITIONS
from psyflow.record.layout import Layout
from psyflow.record.recover import Recovered

__all__ = ["printed_by_failure", "printed_by_item"]


def printed_by_item(layout: Layout, recovered: Recovered, item: int) -> str | None:
    """Return what an item with a result printed; None if it has none, or its log is gone.

    Parameters
    ----------
    layout : Layout
    recovered : Recovered
    item : int
        Number in the present space.
    """
    table = recovered.table
    number, row = int(table.piece_of[item]), int(table.row_of[item])
    if number < 0:
        return None
    bookkeeping = table.pieces[number].load().bookkeeping
    worker = recovered.outcomes.workers.names[int(bookkeeping["worker"][row])]
    log = worker.split(" ", 2)[-1] if worker.count(" ") == 2 else ""
    # They are left out where no item of the piece printed.
    positions = [bookkeeping[name][row] for name in LOG_POSITIONS if name in bookkeeping]
    start, stop = map(int, positions or (-1, -1))
    return _cut(layout, log, start, stop)


def printed_by_failure(layout: Layout, failure: Failure) -> str | None:
    """Return what an item printed before it failed or was skipped; None if its log is gone."""
    if failure.printed is None and failure.kind not in ("error", OF_RESULT, SKIPPED):
        # Its process died before anybody looked how far the log had come.
        return None
    start, stop = failure.printed or (-1, -1)
    return _cut(layout, failure.log, start, stop)


def _cut(layout: Layout, log: str, start: int, stop: int) -> str | None:
    path: Path = layout.root / log
    if start < 0:
        return ""
    if not log or not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start).decode(errors="replace")
