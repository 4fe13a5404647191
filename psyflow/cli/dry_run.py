"""``psy run -n``: what a run would do. Writes nothing."""

from __future__ import annotations

import shlex
import textwrap
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from psyflow.cli.output import MOST_LINES, tell
from psyflow.cli.reading import report_each
from psyflow.cli.wanted import about_unfulfilled, wanted_of
from psyflow.messages import shown_path
from psyflow.record.assess import Assessment
from psyflow.record.wanted import Wanted
from psyflow.runs.preview import JobPreview, Preview, preview
from psyflow.runs.run import Run
from psyflow.scheduler.timelimit import duration_text
from psyflow.tasks import TaskDef

__all__ = ["dry_run"]


def dry_run(arguments: Namespace) -> int:
    """Print what `psy run` would do with the named tasks, or with all."""
    wanted = wanted_of(arguments)

    def ask(task: TaskDef) -> tuple[Preview, Assessment]:
        run = Run(task)
        assessment = run.assess(verify=True, again=wanted.renewing)
        found = preview(
            run, assessment, keep=arguments.keep, pool_size=arguments.pool_size, wanted=wanted
        )
        return found, assessment

    return report_each(
        arguments,
        lambda task: _show(_lines(task.name, *ask(task), wanted)),
        lambda task: _as_json(ask(task)[0]),
    )


def _show(lines: Iterator[str]) -> None:
    for line in lines:
        # Command lines and scripts are to be seen as they are.
        print(line) if line.startswith("    ") else tell(line)


def _lines(name: str, found: Preview, assessment: Assessment, wanted: Wanted) -> Iterator[str]:
    nothing = _why_nothing(found, assessment, wanted)
    if nothing:
        yield f"{name}: {nothing}"
        yield from _limit_lines(found)
        return
    yield f"{name}: {_what(found)}"
    if not wanted.is_everything:
        chosen = f"{found.n_pending} of the {found.n_missing} items that have no result"
        if found.n_missing == found.n_items:
            chosen = f"{found.n_pending} of all {found.n_items} items"
        yield f"  chosen by {shlex.join(wanted.all_options())}: {chosen}"
    yield from (f"  because: {reason}" for reason in found.reasons)
    if found.archived:
        names = ", ".join(path.name for path in found.archived)
        yield f"  to the archive {shown_path(found.archive or '')}: {names}"
    if found.taken_up is not None:
        yield f"  from the archive {shown_path(found.taken_up)}: {_taken_up(found)}"
    if found.preparation is not None:
        yield "  job.sh, in which each job begins:"
        yield textwrap.indent(found.preparation.rstrip(), "    | ")
    yield from _limit_lines(found)
    for job in found.jobs[:MOST_LINES]:
        yield from _job_lines(job)
    if len(found.jobs) > MOST_LINES:
        yield f"  … and {len(found.jobs) - MOST_LINES} more jobs"


def _limit_lines(found: Preview) -> Iterator[str]:
    if found.limits:
        yield f"  limits here: {'; '.join(found.limits)}"


def _why_nothing(found: Preview, assessment: Assessment, wanted: Wanted) -> str:
    """Say why nothing would run; nothing if something would."""
    if not found.reasons:
        unfulfilled = about_unfulfilled(wanted, assessment)
        return f"up to date; nothing would run.{f' {unfulfilled}' if unfulfilled else ''}"
    if found.refusal is not None:
        return f"nothing would run. {found.refusal}"
    if found.n_pending or wanted.is_everything or found.taken_up is not None:
        return ""
    return (
        f"nothing would run, because {wanted.about_nothing}. "
        f"{found.n_missing} of {found.n_items} items have no result."
    )


def _taken_up(found: Preview) -> str:
    return f"{found.n_taken_up} of {found.n_items} results of this code"


def _what(found: Preview) -> str:
    if found.n_taken_up == found.n_items:
        return f"0 of {found.n_items} items would run; the results are in the archive."
    if not found.n_pending:
        return f"0 of {found.n_items} items would run; the result would be merged."
    jobs = "1 process job" if found.n_jobs == 1 else f"{found.n_jobs} process jobs"
    workers = "1 worker" if found.pool_size == 1 else f"{found.pool_size} workers"
    if found.counts_cpus:
        workers = "as many workers as a job has CPUs"
    return f"{found.n_pending} of {found.n_items} items would run, in {jobs} of {workers}."


def _job_lines(job: JobPreview) -> Iterator[str]:
    array = f", an array of {job.n_members}" if job.n_members > 1 else ""
    limit = "" if job.time_limit is None else f", at most {duration_text(job.time_limit)}"
    yield f"  job {job.name}{array}{limit}, log {shown_path(job.log)}:"
    yield f"    $ {shlex.join(job.command)}"
    if job.script:
        yield textwrap.indent(job.script.rstrip(), "    | ")


def _as_json(found: Preview) -> dict[str, object]:
    return {
        **asdict(found),
        "archive": str(found.archive) if found.archived else None,
        "archived": [str(path) for path in found.archived],
        "taken_up": None if found.taken_up is None else str(found.taken_up),
    }
