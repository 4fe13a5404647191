"""Who hears how a task is brought up to date."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psyflow.record.assess import Assessment
    from psyflow.record.plan import Plan
    from psyflow.runs.merge import Merged

__all__ = ["Observer"]


class Observer:
    """Hears how a task is brought up to date; what it wants to know, a subclass overrides.

    What goes wrong is raised, and not told here.
    """

    def looked(self, assessment: Assessment, reasons: list[str]) -> None:
        """Hear what there is, before anything is done about it.

        Parameters
        ----------
        assessment : Assessment
        reasons : list of str
            Why the task is not up to date; empty if it is.
        """

    def nothing_wanted(self, assessment: Assessment) -> None:
        """Hear that items have no result, but that none of them is to be evaluated."""

    def refused(self) -> None:
        """Hear that the run may not begin, as while its jobs are at work; a warning says why."""

    def made_way(self, said: str) -> None:
        """Hear what became of results, of this code or not, and of a plan that was broken off."""

    def begun(self, plan: Plan, n_left_out: int) -> None:
        """Hear what is evaluated now, and how many more items without a result are not."""

    def evaluating(self, plan: Plan) -> contextlib.AbstractContextManager[object]:
        """Return what is entered while items are evaluated here, to follow how far they are."""
        return contextlib.nullcontext()

    def stopped_early(self, plan: Plan, status: int) -> None:
        """Hear that not all was evaluated: `status` is one of `psyflow.system.exits.ENDED_EARLY`.

        What there is gets merged, and the merge tells what is missing.
        """

    def submitted(self, plan: Plan) -> None:
        """Hear that all steps are submitted, so that others do them."""

    def merged(self, merged: Merged) -> None:
        """Hear what the merge came to."""
