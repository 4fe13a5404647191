"""Declaring that results are of the files that count as these are now."""

from __future__ import annotations

from dataclasses import replace

from psyflow.exceptions import DamagedFileError, LaterFormatError
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.plan import Plan
from psyflow.record.reads import forget_edited

__all__ = ["accept_files", "with_files_of_now"]


def accept_files(assessment: Assessment) -> None:
    """Have all that is known of runs say that their files were as they are now.

    The run's present ``plan.json`` is left to whoever accepts, to be written last: as long as that
    says otherwise, what a crash has left undone can be accepted again.
    """
    layout, present = assessment.layout, assessment.frozen.contents
    for folder in layout.plan_folders():
        try:
            plan = Plan.read(layout.plan(folder.name).plan_file)
        except (DamagedFileError, LaterFormatError):
            continue  # so nobody knows what its shards hold, and whoever needs them is told
        if plan is not None:
            with_files_of_now(plan, assessment).write_for_jobs()
            forget_edited(plan.frozen)
    items_file = ItemsFile(layout)
    about = items_file.about()
    if about is not None and assessment.frozen.changed_since(about.contents):
        contents = {path: present.get(path, digest) for path, digest in about.contents.items()}
        items_file.rewrite(replace(about, contents=contents), assessment.task.base)


def with_files_of_now(plan: Plan, assessment: Assessment) -> Plan:
    """Return a plan as if it had been made with the files that are there now."""
    digests, folder = assessment.task.digests, assessment.task.path.parent
    contents, present = plan.contents, assessment.frozen.contents
    if contents is not None:
        contents = {path: present.get(plan.path_here(path), contents[path]) for path in contents}
    return replace(
        plan,
        contents=contents,
        hashed=digests.records(folder),
        unsettled=digests.unsettled(folder),
    )
