"""Declaring that results are of the files that count as these are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.plan import Plan
from psyflow.record.reads import forget_edited

__all__ = ["accept_files", "with_files_of_now"]


def accept_files(assessment: Assessment) -> None:
    """Have all that is known of earlier runs say that their files were as they are now.

    The present plan itself is left to whoever accepts: as long as it says otherwise, what a crash
    has left undone can be accepted again.
    """
    layout, present = assessment.layout, assessment.frozen.contents
    for folder in layout.plan_folders():
        plan = Plan.read(layout.plan(folder.name).plan_file)
        if plan is not None:
            with_files_of_now(plan, assessment).write_for_jobs()
            forget_edited(plan.frozen)
    items_file = ItemsFile(layout)
    about = items_file.about()
    if about is not None and assessment.frozen.changed_since(about.contents):
        now = replace(about, contents=_as_now(about.contents, present))
        items_file.rewrite(now, assessment.task.base)


def with_files_of_now(plan: Plan, assessment: Assessment) -> Plan:
    """Return a plan as if it had been made with the files that are there now."""
    digests, folder = assessment.task.digests, assessment.task.path.parent
    by_path = {path: assessment.frozen.contents.get(here) for path, here in plan.files_here()}
    known = {path: digest for path, digest in by_path.items() if digest is not None}
    return replace(
        plan,
        contents=None if plan.contents is None else _as_now(plan.contents, known),
        hashed=digests.records(folder),
        unsettled=digests.unsettled(folder),
    )


def _as_now(contents: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    return {path: present.get(path, digest) for path, digest in contents.items()}
