"""What the user hears while `psy` waits for jobs that run elsewhere."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence

from psyflow.cli.output import FAILED, INTERRUPTED, OK, TROUBLE, describe, say
from psyflow.cli.progress import Progress
from psyflow.cli.selection import suggestion
from psyflow.cli.telling import tell_undeclared
from psyflow.exceptions import SchedulerError
from psyflow.record.remedies import told_remedies
from psyflow.report.stillborn import about_stillborn, stillborn_of
from psyflow.runs.run import Run
from psyflow.runs.wait import wait
from psyflow.scheduler.remedies import Remedy
from psyflow.tasks import TaskDef

__all__ = ["wait_for_all"]

MOST_LOGS = 3


def wait_for_all(tasks: Sequence[TaskDef], arguments: Namespace) -> int:
    """Wait until no job of some tasks is at work, show how far each is, and say how it went.

    Returns
    -------
    int
        The exit code, the highest of all: `OK` if every item has a result, `FAILED` if some
        failed, `TROUBLE` if jobs did not get to some, `INTERRUPTED` if the waiting was: the jobs
        go on.
    """
    status = OK
    for number, task in enumerate(tasks):
        try:
            status = max(status, _wait_for(task, arguments))
        except KeyboardInterrupt:
            # One Ctrl-C is for all that is waited for, and would be for.
            for left in tasks[number:]:
                command = suggestion(arguments, left.name, command="watch")
                say(f"{left.name}: not waiting any more; its jobs go on. Follow with: {command}")
            return INTERRUPTED
    return status


def _wait_for(task: TaskDef, arguments: Namespace) -> int:
    """Wait until no job of a task is at work, and return its exit code."""
    run = Run(task)

    def tell_remedies(remedies: Mapping[str, Remedy]) -> None:
        for line in told_remedies(remedies, suggestion(arguments, task.name, command="kill")):
            say(f"{task.name}: {line}")

    told: list[str] = []

    def tell_silence(error: SchedulerError) -> None:
        # It may last for a night.
        if (text := describe(error)) not in told[-1:]:
            told.append(text)
            say(f"{task.name}: nobody knows what its jobs do, and it is asked again: {text}")

    are_over = wait(
        run,
        lambda plan: Progress(plan, only_looks=True),
        tell_silence,
        tell_remedies,
    )
    if not are_over:
        command = suggestion(arguments, task.name, command="kill")
        say(
            f"{task.name}: the scheduler knows nothing of its jobs any more, so nobody waits. "
            f"If you are sure that they are not at work, end them with: {command}"
        )
    return _verdict(run, arguments)


def _verdict(run: Run, arguments: Namespace) -> int:
    assessment = run.assess()
    tell_undeclared(assessment)
    if not assessment.reasons():
        say(f"{run.task.name}: up to date.")
        return OK
    command = suggestion(arguments, run.task.name, command="status")
    say(f"{run.task.name}: {'; '.join(assessment.reasons())}. See: {command}")
    for found in stillborn_of(assessment)[:MOST_LOGS]:
        told = "\n".join(about_stillborn(found))
        say(f"{run.task.name}: {told}")
    if len(assessment.failed):
        return FAILED
    return OK if assessment.tally.is_settled and not assessment.dirt else TROUBLE
