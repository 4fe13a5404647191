"""Attempts that gave no row: failures and skips, as shards have them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from psyflow.outcomes.records import Failure
from psyflow.outcomes.table import FailureRecord, Items
from psyflow.record.layout import Layout

__all__ = ["FailedItem", "last_of", "read"]


@dataclass(frozen=True)
class FailedItem:
    """A failure of an item.

    Attributes
    ----------
    item : int
        Number in the present space. `failure` has the one in the space of its own plan.
    failure : Failure
    log : Path
        Of the worker, if it kept one, or of its process job.
    """

    item: int
    failure: Failure
    log: Path


def last_of(layout: Layout, items: Items, records: Iterable[FailureRecord]) -> list[FailedItem]:
    """Return the latest of the records of each of some items, in the order of the items."""
    latest: dict[int, FailedItem] = {}
    for found in read(layout, set(items.tolist()), records):
        before = latest.get(found.item)
        if before is None or found.failure.start >= before.failure.start:
            latest[found.item] = found
    return [latest[item] for item in sorted(latest)]


def read(
    layout: Layout, items: Collection[int], records: Iterable[FailureRecord]
) -> Iterator[FailedItem]:
    """Yield what the records of some items say, each with the log that it printed to."""
    for record in records:
        if record.item in items:
            failure = record.read()
            own = layout.root / failure.log if failure.log else None
            yield FailedItem(record.item, failure, own or layout.log_of(record.reader.path))
