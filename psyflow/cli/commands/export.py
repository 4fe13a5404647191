"""``psy export``: a result in a file for other programs."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from pathlib import Path

from psyflow.cli.choosing import (
    choice_of,
    loaded,
    tell_aggregated,
    tell_origin,
    tell_without_rows,
)
from psyflow.cli.output import OK, say
from psyflow.cli.selection import suggestion, take_task
from psyflow.conventions import WORKDIR
from psyflow.exceptions import StoreError, UsageError
from psyflow.messages import counted, shown_path
from psyflow.record.ownership import writable
from psyflow.record.plan import Plan
from psyflow.results.exports import check_format, export
from psyflow.store import known_extensions
from psyflow.system.place import is_same_file

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Write what is chosen of a result to a file."""
    _check_named(arguments)
    take_task(arguments)
    file = Path(arguments.file)
    check_format(file)
    _check_place(file, arguments)
    choice = choice_of(arguments)
    results = loaded(arguments, choice.needed)
    if not results.n_rows and (status := tell_without_rows(results, arguments)) != OK:
        return status
    chosen = choice.of(results)
    with writable(file.absolute().parent, "Name a file in a folder of your own."):
        export(chosen, file)
    if chosen.means:
        tell_aggregated(chosen, arguments)
    tell_origin(results, arguments)
    n_rows, n_columns = chosen.table.n_rows, len(chosen.table)
    size = f"{counted(n_rows, 'row')} of {counted(n_columns, 'column')}"
    say(f"{size} in {shown_path(file)}.")
    return OK


def _check_named(arguments: Namespace) -> None:
    """Raise UsageError if it is not clear which file is to be written."""
    word = arguments.task
    if arguments.file is not None:
        return
    if word is None or not Path(word).suffix:
        name = word or "TASK"
        example = suggestion(arguments, name, f"{Path(name).name}.csv")
        raise UsageError(
            "Which file is to be written? Its extension names the format. Type, for example: "
            f"{example}"
        )
    if Path(word).is_file() and Path(word).suffix in known_extensions():
        # It may be a result of which a copy is wanted, and would be replaced.
        raise UsageError(
            f"{shown_path(word)} exists, and may be what is to be exported or what is to be "
            f"written. Name both: {suggestion(arguments, 'TASK', word)}"
        )


def _check_place(file: Path, arguments: Namespace) -> None:
    """Raise UsageError if a file cannot be there, or would be among those of a run."""
    if file.is_dir():
        raise UsageError(f"{shown_path(file)} is a folder. Name a file in it.")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {shown_path(file.parent)} for {file.name}.")
    resolved = file.resolve()
    is_of_run = any(
        folder.name == WORKDIR or (folder / "plan.json").is_file() for folder in resolved.parents
    )
    if is_of_run or (file.exists() and _is_result(file, arguments)):
        raise UsageError(
            f"{shown_path(file)} is, or would be, among the files of a run, and these are "
            f"psyflow's own. Export to another place: psy export {arguments.task} {file.name}"
        )


def _is_result(file: Path, arguments: Namespace) -> bool:
    """Tell whether a file is a result, wherever it is that its task has it."""
    source = Path(arguments.task)
    if source.is_file() and is_same_file(source, file):
        return True
    study = Path(arguments.taskdir).absolute().parent
    for plan in (study / WORKDIR).glob("*/plan.json"):
        with contextlib.suppress(StoreError, OSError):
            known = Plan.read(plan)
            if known is not None and is_same_file(Path(known.result), file):
                return True
    return False
