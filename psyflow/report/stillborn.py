"""Jobs that ended before their first item, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import replace

from psyflow.messages import shown_path
from psyflow.record.assess import Assessment
from psyflow.record.joblogs import Stillborn, stillborn
from psyflow.record.usersfiles import of_users_files

__all__ = ["about_stillborn", "stillborn_of"]


def stillborn_of(assessment: Assessment) -> list[Stillborn]:
    """Return the jobs that ended before their first item, if no job of the run is at work."""
    plan = assessment.plan
    if plan is None or assessment.is_complete or not len(assessment.recovered.never_ran()):
        return []
    layout, folder = plan.layout, assessment.task.path.parent
    found = stillborn(plan)
    return [replace(one, words=of_users_files(one.words, layout, folder)) for one in found]


def about_stillborn(found: Stillborn) -> Iterator[str]:
    """Yield lines that say which jobs these are, and with what their log ends."""
    what = (
        "ended before its first item" if len(found.jobs) == 1 else "ended before their first items"
    )
    yield f"{found.name} {what}; {shown_path(found.log)} ends with:"
    yield textwrap.indent(found.words, "  ")
