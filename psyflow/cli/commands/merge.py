"""``psy merge``: put result files, or what is done of a run, into one file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from psyflow.cli.output import OK, say
from psyflow.exceptions import UsageError
from psyflow.messages import shown_path
from psyflow.results.so_far import code_for, gather, rows_of
from psyflow.store import Store, store_for
from psyflow.store.base import appending, write_packed

__all__ = ["execute"]

ATTEMPTS = 5


def execute(arguments: Namespace) -> int:
    """Put all rows of a folder into a file, beside those of other psets."""
    source, target = Path(arguments.directory), Path(arguments.merged)
    store = store_for(target)
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent} to put {target.name} in.")
    with appending(target), code_for(source):
        before = store.length(target) if target.exists() and not arguments.replace else 0
        if before:
            say(f"{shown_path(target)} exists; rows are appended to its {before}.")
        _put(source, store, target, is_new=not before)
        n_rows = store.length(target)
    say(f"{shown_path(target)} has {n_rows} rows.")
    return OK


def _put(source: Path, store: Store, target: Path, *, is_new: bool) -> None:
    for _ in range(ATTEMPTS):
        try:
            rows = rows_of(source, store, target)
            blocks = rows.blocks() if is_new else gather(rows, store, target)
            write_packed(store, target, blocks)
            return
        except FileNotFoundError as error:
            # The run has ended meanwhile: its shards are in its result now.
            missing = error
    raise missing
