"""``psy why``: why a task is or is not up to date, and what to do about it. Writes nothing."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from psyflow.cli.output import first_lines, tell
from psyflow.cli.reading import report_each
from psyflow.cli.selection import suggestion
from psyflow.fingerprint import Change
from psyflow.fingerprint.watched import Watched
from psyflow.messages import shown_path
from psyflow.outcomes.states import OUTCOMES, State
from psyflow.runs.preview import Preview
from psyflow.runs.run import Run
from psyflow.runs.why import Explanation, explain
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Print why the named tasks, or all, are or are not up to date."""
    return report_each(
        arguments,
        functools.partial(_show, arguments),
        lambda task: _as_json(task, arguments),
    )


def _show(arguments: Namespace, task: TaskDef) -> None:
    explanation = explain(Run(task))
    tell(f"{task.name}: {'' if explanation.is_up_to_date else 'not '}up to date.")
    for change in explanation.changes:
        for line in _change_lines(change):
            tell(f"  {line}")
    changed = [f"{file}: the content changed" for file in explanation.changed_files]
    for line in first_lines(changed, len(changed)):
        tell(f"  {line}")
    unknown = explanation.dirt[len(explanation.changes) :]
    left = [f"{explanation.left_behind}."] if explanation.left_behind else []
    for sentence in (*unknown, _about_items(explanation), *left, *_about_run(explanation)):
        tell(f"  {sentence}")
    for sentence in explanation.near_misses.sentences():
        tell(f"  {sentence}")
    for line in _about_code(task.watched()) if arguments.verbose else ():
        tell(f"  {line}")
    for meaning, command in _what_to_type(explanation, task, arguments):
        tell(f"  {meaning}: {command}")


def _about_code(watched: Watched) -> Iterator[str]:
    """Say which code counts, in a line for each file."""
    for file, names in watched.files.items():
        yield f"Watched: {file}: {', '.join(names)}"
    if watched.distributions:
        versions = ", ".join(f"{name} {v}" for name, v in watched.distributions.items())
        yield f"Not watched, because it is installed: {versions}"
    for place in watched.unfollowed:
        yield f"Cannot be followed: {place.file}, line {place.line}: {place.what}"


def _change_lines(change: Change) -> Iterator[str]:
    lines = change.lines()
    if not lines:
        files = (change, *change.also)
        told = (f"{file.name}: the content {_what_happened(file)}" for file in files)
        yield from first_lines(told, len(files))
        return
    yield f"{change.name} {_what_happened(change)}:"
    shown = [
        f"  {sign} {line.file}{f', line {line.number}' if line.number else ''}: {line.text}"
        for pair in lines
        for sign, line in (("-", pair.old), ("+", pair.new))
        if line is not None
    ]
    yield from first_lines(shown, len(shown))


def _what_happened(change: Change) -> str:
    return "is new" if change.old is None else "is gone" if change.new is None else "changed"


def _about_items(explanation: Explanation) -> str:
    n_items = explanation.preview.n_items
    # While jobs are at work, some of these are running.
    is_refused = explanation.preview.refusal is not None
    numbers = (
        *((explanation.tally[state], state) for state in OUTCOMES),
        (explanation.n_lost, "lost with the result"),
        (explanation.n_new, "new"),
        (explanation.n_changed, "with a changed file"),
        (explanation.n_never_ran, "have no result yet" if is_refused else "have not run"),
    )
    parts = ", ".join(f"{number} {what}" for number, what in numbers if number)
    return f"Of {n_items} items: {parts}." if n_items else "Its parameter space is empty."


def _about_run(explanation: Explanation) -> Iterator[str]:
    preview = explanation.preview
    if explanation.is_up_to_date:
        return
    if preview.refusal is not None:
        yield f"psy run would do nothing now. {preview.refusal}"
        return
    if preview.archived:
        names = ", ".join(path.name for path in preview.archived)
        yield f"psy run would put {names} into {shown_path(preview.archive or '')}."
    if preview.taken_up is not None:
        number = f"{preview.n_taken_up} of {preview.n_items} results of this code"
        yield f"psy run would take up {number} from {shown_path(preview.taken_up)}."
    if preview.n_pending:
        yield f"psy run would compute {preview.n_pending} of {preview.n_items} items."
    elif preview.n_taken_up < preview.n_items:
        yield "psy run would compute nothing, and merge the result anew."


def _what_to_type(
    explanation: Explanation, task: TaskDef, arguments: Namespace
) -> Iterator[tuple[str, str]]:
    command = functools.partial(suggestion, arguments)
    if explanation.dirt and explanation.is_up_to_date:
        yield "If the present code has made them", command(task.name, command="accept")
    if explanation.is_up_to_date or explanation.preview.refusal is not None:
        return  # what is in the way has been said, and what to type then
    if explanation.dirt and explanation.tally[State.DONE]:
        yield "The old results are still good", command(task.name, command="accept")
        yield "Keep them, compute what is missing", command("-c", task.name, command="run")
    elif explanation.n_changed:
        yield "Its results are still good", command(task.name, command="accept")
    if explanation.tally[State.FAILED]:
        yield "See what failed", command(task.name, command="failures")
    yield "See the jobs first", command("-n", task.name, command="run")
    yield "Bring it up to date", command(task.name, command="run")


def _taken_up(preview: Preview) -> dict[str, object] | None:
    if preview.taken_up is None:
        return None
    return {"archive": str(preview.taken_up), "n_rows": preview.n_taken_up}


def _as_json(task: TaskDef, arguments: Namespace) -> dict[str, object]:
    explanation = explain(Run(task))
    preview = explanation.preview
    code = {"watched": asdict(task.watched())} if arguments.verbose else {}
    return code | {
        "up_to_date": explanation.is_up_to_date,
        "has_run": explanation.has_run,
        "reasons": preview.reasons,
        "dirt": explanation.dirt,
        "changes": [
            {
                "name": change.name,
                "summary": change.describe(),
                "lines": [asdict(line) for line in change.lines()],
                "also": [other.name for other in change.also],
            }
            for change in explanation.changes
        ],
        **explanation.tally.by_name(),
        "n_lost": explanation.n_lost,
        "n_new": explanation.n_new,
        "n_never_ran": explanation.n_never_ran,
        "n_changed": explanation.n_changed,
        "changed_files": [*explanation.changed_files],
        "n_to_run": preview.n_pending,
        **asdict(explanation.near_misses),
        "refusal": preview.refusal,
        "archive": str(preview.archive) if preview.archived else None,
        "archived": [str(path) for path in preview.archived],
        "taken_up": _taken_up(preview),
        "commands": [
            {"meaning": meaning, "command": command}
            for meaning, command in _what_to_type(explanation, task, arguments)
        ],
    }
