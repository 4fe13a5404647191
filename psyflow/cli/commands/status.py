"""``psy status``: how much is done, and why a task is not up to date. Writes nothing."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

from psyflow.cli.output import EMPTY_SPACE, MOST_LINES, first_lines, say, tell
from psyflow.cli.reading import report_each
from psyflow.cli.selection import suggestion
from psyflow.cli.wanted import part_of
from psyflow.messages import shortly
from psyflow.outcomes.states import WITHOUT_ROW, State
from psyflow.record.jobwords import STATE_WORDS
from psyflow.record.remedies import told_remedies
from psyflow.record.wanted import Wanted
from psyflow.report.asking import Asker
from psyflow.report.longrunning import seems_to_hang
from psyflow.report.psets import pset_text
from psyflow.report.status import Inquiry
from psyflow.report.stillborn import about_stillborn
from psyflow.reprs import pset_repr

__all__ = ["execute"]

MOST_SHOWN = 3
_LONGEST_EXCEPTION = 200


def execute(arguments: Namespace) -> int:
    """Print how much of the named tasks, or of all, is done."""
    askers: list[Asker] = []
    part = part_of(arguments)
    return report_each(
        arguments,
        lambda task: _print(
            Inquiry(task, asker=askers[0]),
            arguments.verbose,
            part,
            lambda command: suggestion(arguments, task.name, command=command),
        ),
        lambda task: _as_json(Inquiry(task, asker=askers[0]), arguments.verbose, part),
        # One question is for all tasks.
        lambda tasks: askers.append(Asker(tasks)),
    )


def _print(
    inquiry: Inquiry, verbose: bool, part: Wanted | None, to_type: Callable[[str], str]
) -> None:
    tally = inquiry.tally
    lines = [
        f"{inquiry.name}:",
        f"  {tally[State.DONE]} out of {tally.n_items} rows completed.",
        *([] if part is None else [_about_part(inquiry, part)]),
    ]
    # What is on the disk is shown before a scheduler is asked, which may hang.
    print("\n".join(lines), flush=True)
    for line in _details(inquiry) if verbose else ():
        tell(line)
    print()
    for note in (*_notes(inquiry, to_type), *told_remedies(inquiry.remedies, to_type("kill"))):
        say(f"{inquiry.name}: {note}")
    for line in inquiry.undeclared:
        say(line)


def _about_part(inquiry: Inquiry, part: Wanted) -> str:
    found, conditions = inquiry.part(part), " and ".join(part.where)
    told = found.told(*WITHOUT_ROW, State.TODO)
    done = f"  {found[State.DONE]} of {found.n_items} items with {conditions} {State.DONE.told}"
    return f"{done}{f'; {told}' if told else ''}."


def _notes(inquiry: Inquiry, to_type: Callable[[str], str]) -> Iterator[str]:
    # On stderr: what programs read on stdout stays as simple as it always was.
    if not inquiry.tally.n_items:
        yield EMPTY_SPACE
    if inquiry.reasons:
        yield f"not up to date: {'; '.join(inquiry.reasons)}."
    elif inquiry.doubt:
        yield f"up to date, but {inquiry.doubt}"
    else:
        yield "up to date."
    if inquiry.tally[State.FAILED]:
        yield f"see what failed: {to_type('failures')}"
    if inquiry.archived is not None:
        number = f"{inquiry.archived.n_rows} of {inquiry.tally.n_items}"
        yield f"{number} results of this code are in the archive, and psy run takes them up."
    if inquiry.jobs:
        yield f"at work: {', '.join(inquiry.jobs)}."
        yield from _about_long_runners(inquiry, MOST_SHOWN)
    elif inquiry.reasons and inquiry.failed_jobs:
        yield f"no job is at work. The last ones: {'; '.join(inquiry.failed_jobs[:MOST_SHOWN])}."
    for found in inquiry.stillborn[:MOST_SHOWN]:
        yield "\n".join(about_stillborn(found))


def _about_long_runners(inquiry: Inquiry, most: int) -> Iterator[str]:
    """Say which items have been running for long, and if they seem to hang, what to do."""
    runners = inquiry.long_runners
    if not runners:
        return
    median = inquiry.median_duration
    for runner, pset in runners[:most]:
        yield f"running: {runner} on {runner.host}, {pset_text(pset)}"
    if len(runners) > most:
        yield f"running: {len(runners) - most} more items for some seconds."
    if median is not None:
        yield f"half of the items that are done took less than {shortly(median)}."
    if seems_to_hang(runners[0][0], median):
        yield (
            f"what takes so much longer may hang. See where it is: psy log {inquiry.name} "
            f"{runners[0][0].item} --stack. `timeout = SECONDS` in the task file ends such items, "
            "and the others go on."
        )


def _details(inquiry: Inquiry) -> Iterator[str]:
    tally = inquiry.tally
    for state in WITHOUT_ROW:
        if tally[state]:
            yield f"  {tally[state]} of {tally.n_items} items {state.told}."
    at_work = (State.RUNNING, State.QUEUED)
    spaces = {"Missing": inquiry.missing}
    spaces |= {state.capitalize(): inquiry.in_state(state) for state in at_work}
    if len(inquiry.long_runners) > MOST_SHOWN:
        yield "  Items that have been running for some seconds:"
        shown = (f"{runner}, {pset_text(pset)}" for runner, pset in inquiry.long_runners)
        lines = islice(shown, MOST_LINES)
        yield from (f"    {line}" for line in first_lines(lines, len(inquiry.long_runners)))
    for title, space in spaces.items():
        if len(space):
            psets = map(pset_text, islice(space.iterate(), MOST_LINES))
            yield f"  {title} parameter sets:"
            yield from (f"    {line}" for line in first_lines(psets, len(space)))
    if tally[State.FAILED]:
        yield "  Failed parameter sets:"
        failures = (
            f"{pset_text(inquiry.space[failed.item])}: {_shortly(failed.failure.exception)}"
            for failed in inquiry.failures()
        )
        yield from (f"    {line}" for line in first_lines(failures, tally[State.FAILED]))
    yield "  Failed jobs:" if inquiry.failed_jobs else "  No failed jobs."
    jobs = (f"    {job}" for job in inquiry.failed_jobs)
    yield from first_lines(jobs, len(inquiry.failed_jobs))


def _shortly(exception: str) -> str:
    # The whole of it is shown by psy failures.
    return textwrap.shorten(exception, _LONGEST_EXCEPTION, placeholder=" …")


def _archived(inquiry: Inquiry) -> dict[str, object] | None:
    found = inquiry.archived
    return None if found is None else {"run": found.folder.name, "n_rows": found.n_rows}


def _as_json(inquiry: Inquiry, verbose: bool, part: Wanted | None) -> dict[str, object]:
    report: dict[str, object] = {
        **inquiry.tally.by_name(),
        "part": None if part is None else inquiry.part(part).by_name(),
        "states": {state.value: inquiry.states[state] for state in State},
        "up_to_date": not inquiry.reasons,
        "reasons": inquiry.reasons,
        "doubt": inquiry.doubt,
        "archived": _archived(inquiry),
        "jobs": inquiry.jobs,
        "failed_jobs": inquiry.failed_jobs,
        "ended_before_first_item": [
            {"jobs": found.jobs, "log": str(found.log), "last_words": found.words}
            for found in inquiry.stillborn
        ],
        "running_items": [
            {
                "item": runner.item,
                "pset": pset_repr(pset),
                "host": runner.host,
                "since": runner.since,
                "seconds": runner.seconds,
            }
            for runner, pset in inquiry.long_runners
        ],
        "median_duration": inquiry.median_duration if inquiry.long_runners else None,
        "job_states": dict(Counter(STATE_WORDS[s.status] for s in inquiry.job_statuses)),
        "job_details": [
            {"id": s.id, "name": s.name, "state": STATE_WORDS[s.status], "reason": s.reason}
            for s in inquiry.job_statuses
        ],
        "waiting_for_somebody": [
            {
                "job": job,
                "why": remedy.why,
                "command": remedy.command or f"psy kill {inquiry.name}",
            }
            for job, remedy in inquiry.remedies.items()
        ],
        "result": str(inquiry.result) if inquiry.result.exists() else None,
        "failed": [
            {
                "item": failed.item,
                # As text: not every value has a form in JSON.
                "pset": failed.failure.pset or pset_repr(inquiry.space[failed.item]),
                "kind": failed.failure.kind,
                "exception": failed.failure.exception,
            }
            for failed in inquiry.failures()
        ],
    }
    if verbose:
        report["missing"] = [pset_repr(pset) for pset in inquiry.missing.iterate()]
    return report
