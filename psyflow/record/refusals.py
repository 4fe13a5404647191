"""Why a task may not be run, in words that say what to type instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from psyflow.messages import command_line
from psyflow.record.remedies import told_remedies
from psyflow.scheduler.remedies import Remedy
from psyflow.tasks import TaskDef

__all__ = [
    "choice_of_archived",
    "choice_of_dirty",
    "has_jobs",
    "has_orphan",
    "is_dirty",
    "never_run",
    "not_replaced",
    "unknown_code",
]


_NONE: Mapping[str, Remedy] = MappingProxyType({})


def has_jobs(task: TaskDef, alive: Sequence[str], remedies: Mapping[str, Remedy] = _NONE) -> str:
    """Say that jobs are at work on a task that is not up to date, and which wait for a person."""
    kill = _hint(task, "kill")
    said = (
        f'Task "{task.name}" is not up to date, but has jobs at work: '
        f"{', '.join(alive)}. {_wait_or_kill(task)}"
    )
    return "\n".join([said, *told_remedies(remedies, kill)])


def has_orphan(task: TaskDef, owner: object) -> str:
    """Say that a process outlives the run that started it."""
    return (
        f'Task "{task.name}" still has {owner} at work, from a run that ended. '
        f"Wait for it, or type: {_hint(task, 'kill')}"
    )


def is_dirty(task: TaskDef, dirt: Sequence[str]) -> str:
    """Say that results that are not of the present code may not be replaced."""
    return (
        f'Task "{task.name}" has results of other code ({"; ".join(dirt)}), and '
        f"overwrite_dirty is False. To keep them: {_hint(task, 'run', '-c')}. To remove them: "
        f"{_hint(task, 'clean')}."
    )


def choice_of_dirty(task: TaskDef, dirt: Sequence[str], options: Sequence[str]) -> str:
    """Say that no items can be chosen if the results they are told by are to be archived."""
    return (
        f'Task "{task.name}" has changed ({"; ".join(dirt)}), so all of its items are to be '
        f"computed anew, and {' '.join(options)} has nothing to choose from. To keep the results "
        f"of the other items: {_hint(task, 'run', *options, '-c')}. "
        f"To compute all: {_hint(task, 'run')}."
    )


def choice_of_archived(
    task: TaskDef, dirt: Sequence[str], options: Sequence[str], folder: Path
) -> str:
    """Say that no items can be chosen before results of the present code are taken up."""
    return (
        f'Task "{task.name}" has changed ({"; ".join(dirt)}), but results of the present code are '
        f"in {folder}. Before they are taken up, {' '.join(options)} has nothing to choose from. "
        f"To take them up, and compute what they lack: {_hint(task, 'run')}."
    )


def unknown_code(task: TaskDef, dirt: Sequence[str]) -> str:
    """Say that a complete result may be of any code, and what can be said or done about it."""
    return (
        f"{'; '.join(dirt)}. If they are the present code's: {_hint(task, 'accept')}. "
        f"To compute them anew, move the file away and type: {_hint(task, 'run')}"
    )


def never_run(task: TaskDef) -> str:
    """Say that a task has no results that anything could be done with."""
    return f'Task "{task.name}" has not been run. Type: {_hint(task, "run")}'


def not_replaced(task: TaskDef, alive: Sequence[str]) -> str:
    """Say that files are not removed or replaced while jobs may write them."""
    return f'Task "{task.name}" has jobs at work: {", ".join(alive)}. {_wait_or_kill(task)}'


def _wait_or_kill(task: TaskDef) -> str:
    # What watches them also says what somebody has to do so that they go on.
    return f"Wait for them: {_hint(task, 'watch')}. Or end them: {_hint(task, 'kill')}"


def _hint(task: TaskDef, command: str, *options: str) -> str:
    return command_line(task.path.parent, command, *options, task.name)
