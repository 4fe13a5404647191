"""Reading results anew from what is in the folders of psets, without evaluating anything."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psyflow.columns import Columns, from_rows, unpacked
from psyflow.exceptions import PsyflowError, RunHeldError, UsageError
from psyflow.messages import shown_path
from psyflow.outcomes.norows import drop_rows
from psyflow.outcomes.table import Items, merged_blocks
from psyflow.pspace.streams import RandomStreams
from psyflow.record import refusals
from psyflow.record.arraysfile import Arrays
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.layout import Layout
from psyflow.record.merged import MergedTable
from psyflow.record.recover import Recovered, recover
from psyflow.runs.folders import Folders
from psyflow.runs.merge import remove_shards, write_result
from psyflow.runs.run import Run
from psyflow.system.files import make_folder, move
from psyflow.tasks import streams_of
from psyflow.texts import exception_text
from psyflow.work.rows import beside

__all__ = ["Reparsed", "reparse"]

_MOST_FRAMES = 1000
Read = Callable[[Path], Mapping[str, Any]]


@dataclass
class Reparsed:
    """What became of it.

    Attributes
    ----------
    n_rows : int
        How many rows the result has.
    n_gone : int
        How many of them are as they were, for nothing is kept of what they are from.
    troubles : dict from int to str
        Why rows of some items could not be read anew, and are as they were.
    """

    n_rows: int = 0
    n_gone: int = 0
    troubles: dict[int, str] = field(default_factory=dict)


def reparse(run: Run, read: Read, wanted: Collection[str] | None = None) -> Reparsed:
    """Replace what the results are by what `read` makes of the folders of the psets.

    Parameters
    ----------
    run : Run
    read : callable
        Called with the folder of a pset; returns its result.
    wanted : collection of str, optional
        The files that it reads, if it reads no others.

    Raises
    ------
    UsageError
        If the task has never run.
    RunHeldError
        If somebody else works on the run, or its jobs are not over.
    """
    run.take_hold()
    try:
        assessment = run.assess()
        plan = assessment.plan
        if plan is None:
            raise UsageError(refusals.never_run(run.task))
        if alive := run.alive(assessment):
            raise RunHeldError(refusals.has_jobs(run.task, alive))
        recovered = recover(plan, run.task.store)
        table = _ReparsedTable(
            recovered, streams_of(run.task), read, wanted, plan.layout, run.task.path.parent
        )
        items_file = ItemsFile(plan.layout)
        staged = plan.layout.staged_result
        make_folder(staged.parent)
        write_result(plan, run.task.store, staged, items_file, table)
        move(staged, plan.layout.result)
        items_file.commit()
        if recovered.n_done == len(recovered.frozen):
            remove_shards(plan.layout, plan.run_id)
        else:
            # What is in shards counts more than the result, and some tell what has failed.
            for shard in plan.layout.shards():
                drop_rows(shard)
        table.said.n_rows = recovered.n_done
        return table.said
    finally:
        run.release()


class _ReparsedTable(MergedTable):
    """The table of a run with other results."""

    def __init__(
        self,
        recovered: Recovered,
        streams: RandomStreams | None,
        read: Read,
        wanted: Collection[str] | None,
        layout: Layout,
        home: Path,
    ) -> None:
        super().__init__(recovered, streams)
        self._home = home
        self.said = Reparsed()
        self._read = read
        self._wanted = wanted
        self._folders = Folders(layout, recovered.frozen)

    def results(self) -> Iterator[tuple[Items, Columns, Sequence[Arrays]]]:
        """Yield items, what they have for results now, and their bookkeeping."""
        for items, block in merged_blocks(self._recovered.table):
            before = unpacked(block.columns)
            folders = self._folders.of(items.tolist())
            rows = [
                self._row(item, folder, {name: before[name][place] for name in before})
                for place, (item, folder) in enumerate(zip(items.tolist(), folders, strict=True))
            ]
            yield items, from_rows(rows), block.parts

    def _row(self, item: int, folder: Path, before: dict[str, Any]) -> Mapping[str, Any]:
        with self._folders.outputs(folder, self._wanted) as found:
            if found is None:
                self.said.n_gone += 1
                return before
            try:
                return beside(self._recovered.frozen.space[item], self._read(found))
            except Exception as error:
                # A function of the user's may raise anything; it costs no row.
                self.said.troubles[item] = _in_words(error, self._home)
                return before


def _in_words(error: Exception, home: Path) -> str:
    """Say what was raised, and in which line of the user's; in which of a library, if in none."""
    if isinstance(error, PsyflowError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(home)]
    last = (own or frames)[-1]
    line = f": {last.line}" if own else ""
    return (
        f"{exception_text(error)} ({shown_path(last.filename)}, line {last.lineno}, "
        f"in {last.name}{line})"
    )
