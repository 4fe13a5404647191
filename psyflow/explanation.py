"""Why a task is or is not up to date, and what a run would do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from psyflow.assess import Assessment, Choice
from psyflow.fingerprint import Change
from psyflow.preview import Preview, preview
from psyflow.pspace.keys import match
from psyflow.run import Run

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """Why a task is or is not up to date.

    Attributes
    ----------
    has_run : bool
        Whether there is a plan, so that anything can have changed.
    changes : list of Change
        What ``execute`` and ``setup`` depend on and has changed.
    n_done, n_failed, n_skipped, n_new, n_never_ran : int
        How many items have a result, failed, were skipped, were not in the space of the last run,
        and were there but have not run. Together they are all items.
    preview : Preview
        What ``psy run`` would do.
    """

    has_run: bool
    changes: list[Change]
    n_done: int
    n_failed: int
    n_skipped: int
    n_new: int
    n_never_ran: int
    preview: Preview

    @property
    def is_up_to_date(self) -> bool:
        """Whether ``psy run`` would do nothing."""
        return not self.preview.reasons


def explain(run: Run) -> Explanation:
    """Find out why a task is or is not up to date. Writes nothing."""
    assessment = run.assess()
    n_failed, n_skipped = len(assessment.failed), len(assessment.skipped)
    n_new = _n_new(assessment)
    return Explanation(
        has_run=assessment.plan is not None,
        changes=assessment.code_changes,
        n_done=assessment.n_done,
        n_failed=n_failed,
        n_skipped=n_skipped,
        n_new=n_new,
        n_never_ran=assessment.n_items - assessment.n_done - n_failed - n_skipped - n_new,
        preview=preview(run, assessment),
    )


def _n_new(assessment: Assessment) -> int:
    """Count the items without an outcome whose psets the last run did not ask for."""
    plan, frozen = assessment.plan, assessment.frozen
    if plan is None or plan.space_digest == frozen.digest:
        return 0
    unknown = assessment.pending(Choice.MISSING)
    # Whole spaces are matched, for psets may be repeated: the fourth of a kind may be new.
    planned = frozen.keys_of(plan.load_space().space)
    return int(np.count_nonzero(match(frozen.keys(), planned)[unknown] < 0))
