"""``psy failures``: what failed, where, and what it has in common. Writes nothing."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from psyflow.cli.output import say, tell
from psyflow.cli.reading import report_each
from psyflow.cli.selection import suggestion
from psyflow.cli.wanted import part_of
from psyflow.exceptions import SchedulerError
from psyflow.messages import shown_path
from psyflow.outcomes.states import State
from psyflow.record.assess import Assessment
from psyflow.record.attempts import FailedItem
from psyflow.record.joblogs import Stillborn
from psyflow.record.usersfiles import of_users_files
from psyflow.record.wanted import Wanted
from psyflow.report.failures import FailureGroup, groups
from psyflow.report.psets import pset_text
from psyflow.report.stillborn import about_stillborn, stillborn_of
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef
from psyflow.texts import cut

__all__ = ["execute"]

MOST_EXCEPTIONS = 3
MOST_CHARACTERS = 1000
SMALLEST_P = 1e-99


def execute(arguments: Namespace) -> int:
    """Print the failures of the named tasks, or of all."""
    part = part_of(arguments)
    return report_each(
        arguments, lambda task: _show(task, arguments, part), lambda task: _as_json(task, part)
    )


def _show(task: TaskDef, arguments: Namespace, part: Wanted | None) -> None:
    run = Run(task)
    assessment = run.assess()
    found = groups(assessment, part)
    stillborn = _stillborn(run, assessment)
    for words in map(about_stillborn, stillborn):
        print("\n".join((f"{task.name}: {next(words)}", *words, "")))
    if not found:
        if not stillborn:
            say(f"{task.name}: no failures.")
        return
    n_failed = sum(len(group.items) for group in found)
    n_items = assessment.n_items if part is None else len(part.of_all(assessment))
    print(f"{task.name}: {n_failed} of {n_items} items failed.")
    for group in found:
        print()
        for line in _lines(group):
            tell(line)
        example = group.items[0]
        for line in _example(example, assessment):
            tell(line)
        if example.failure.traceback:
            told = of_users_files(example.failure.traceback, assessment.layout, task.path.parent)
            print(textwrap.indent(told.rstrip(), "      "))
    print()
    first = str(found[0].items[0].item)
    command = suggestion(arguments, task.name, first, command="debug")
    say(f"{task.name}: try one in the debugger: {command}")


def _stillborn(run: Run, assessment: Assessment) -> list[Stillborn]:
    """Return the jobs that ended before their first item, unless others are still at work."""
    found = stillborn_of(assessment)
    try:
        return [] if found and run.alive(assessment) else found
    except SchedulerError:
        return found


def _lines(group: FailureGroup) -> Iterator[str]:
    kinds = ", ".join(f"{number} {kind}" for kind, number in group.kinds.items())
    yield f"  {group.place} ({kinds})"
    exceptions = list(group.exceptions.items())
    for text, number in exceptions[:MOST_EXCEPTIONS]:
        yield f"    {number} × {_one_line(text)}"
    if len(exceptions) > MOST_EXCEPTIONS:
        yield f"    … and {len(exceptions) - MOST_EXCEPTIONS} other messages"
    for suspect in group.suspects:
        p = f"= {suspect.p:.1g}" if suspect.p > SMALLEST_P else f"< {SMALLEST_P:g}"
        yield (
            f"    {suspect.name} = {suspect.value} in {suspect.n_group} of {len(group.items)} of "
            f"these, but in {suspect.n_ran} of all {group.n_ran} that ran (p {p})"
        )


def _example(example: FailedItem, assessment: Assessment) -> Iterator[str]:
    failure = example.failure
    pset = assessment.space[example.item]
    yield f"    for example item {example.item}: {pset_text(pset)}"
    yield (
        f"    attempt {failure.attempt}, process {failure.pid} on {failure.host}, "
        f"log {shown_path(example.log)}"
    )


def _one_line(text: str) -> str:
    # What says what to do is at the end.
    return cut(" ".join(text.split()), MOST_CHARACTERS)


def _as_json(task: TaskDef, part: Wanted | None) -> dict[str, object]:
    run = Run(task)
    assessment = run.assess()
    return {
        "n_items": assessment.n_items,
        "n_failed": assessment.tally[State.FAILED],
        "ended_before_first_item": [
            {"jobs": found.jobs, "log": str(found.log), "last_words": found.words}
            for found in _stillborn(run, assessment)
        ],
        "groups": [
            {
                "place": group.place,
                "n_failed": len(group.items),
                "kinds": group.kinds,
                "exceptions": group.exceptions,
                "suspects": [asdict(suspect) for suspect in group.suspects],
                "n_ran": group.n_ran,
                "failures": [_failure_as_json(failed) for failed in group.items],
            }
            for group in groups(assessment, part)
        ],
    }


def _failure_as_json(failed: FailedItem) -> dict[str, object]:
    return {**asdict(failed.failure), "item": failed.item, "log": str(failed.log)}
