"""Why a task may not be run, in words that say what to type instead."""

from __future__ import annotations

from collections.abc import Sequence

from psyflow.fingerprint import Change
from psyflow.hints import command_line
from psyflow.tasks import TaskDef

__all__ = ["choice_of_changed", "has_jobs", "has_orphan", "is_dirty", "never_run", "not_cleaned"]


def has_jobs(task: TaskDef, alive: Sequence[str]) -> str:
    """Say that jobs are at work on a task that is not up to date."""
    return (
        f'Task "{task.name}" is not up to date, but has jobs at work: '
        f"{', '.join(alive)}. Wait for them, or type: {_hint(task, 'kill')}"
    )


def has_orphan(task: TaskDef, owner: object) -> str:
    """Say that a process outlives the run that started it."""
    return (
        f'Task "{task.name}" still has {owner} at work, from a run that ended. '
        f"Wait for it, or type: {_hint(task, 'kill')}"
    )


def is_dirty(task: TaskDef, changes: Sequence[Change]) -> str:
    """Say that results of other code may not be replaced."""
    return (
        f'Task "{task.name}" has results of other code ({_in_words(changes)}), and '
        f"overwrite_dirty is False. To keep them: {_hint(task, 'run', '-c')}. To remove them: "
        f"{_hint(task, 'clean')}."
    )


def choice_of_changed(task: TaskDef, changes: Sequence[Change], option: str) -> str:
    """Say that no items can be chosen if the results they are told by are to be archived."""
    return (
        f'Task "{task.name}" has changed ({_in_words(changes)}), so all of its items are to be '
        f"computed anew, and {option} has nothing to choose from. To keep the results of the "
        f"other items: {_hint(task, 'run', '-c', option)}. To compute all: {_hint(task, 'run')}."
    )


def never_run(task: TaskDef) -> str:
    """Say that a task has no results that anything could be done with."""
    return f'Task "{task.name}" has not been run. Type: {_hint(task, "run")}'


def not_cleaned(task: TaskDef, alive: Sequence[str]) -> str:
    """Say that files are not removed while jobs may write them."""
    return (
        f'Task "{task.name}" has jobs at work: {", ".join(alive)}. '
        f"Wait for them, or type: {_hint(task, 'kill')}"
    )


def _hint(task: TaskDef, command: str, *options: str) -> str:
    return command_line(task.path.parent, command, *options, task.name)


def _in_words(changes: Sequence[Change]) -> str:
    return "; ".join(change.describe() for change in changes)
