"""Why a task is or is not up to date, and what a run would do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from psyflow.exceptions import StoreError
from psyflow.fingerprint import Change
from psyflow.outcomes.states import State, Tally
from psyflow.pspace.keys import match
from psyflow.record.assess import Assessment, Choice
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.nearmisses import NearMisses, near_misses
from psyflow.record.numbering import items_of_plan
from psyflow.runs.preview import Preview, preview
from psyflow.runs.run import Run

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
    dirt : list of str
        What makes the results others than those of the present code; see `Assessment.dirt`.
    tally : Tally
        How many items have a result, and how the others ended.
    n_lost, n_new, n_never_ran : int
        How many of those without an outcome had a result that is gone, were not in the space of
        the last run, and were there but have not run. With `n_changed`, they are all of those.
    preview : Preview
        What ``psy run`` would do.
    near_misses : NearMisses
        Which psets are computed only because of the last digits of a float, or an attribute.
    n_changed : int
        How many items have not run since a file that they name has changed.
    changed_files : sequence of str
        These files, as psets name them.
    left_behind : str
        How results of the task under an earlier name are taken up; empty if there are none.
    """

    has_run: bool
    changes: list[Change]
    dirt: list[str]
    tally: Tally
    n_lost: int
    n_new: int
    n_never_ran: int
    preview: Preview
    near_misses: NearMisses
    n_changed: int = 0
    changed_files: Sequence[str] = ()
    left_behind: str = ""

    @property
    def is_up_to_date(self) -> bool:
        """Whether ``psy run`` would do nothing."""
        return not self.preview.reasons


def explain(run: Run) -> Explanation:
    """Find out why a task is or is not up to date. Writes nothing."""
    assessment = run.assess()
    tally = assessment.tally
    n_lost, n_new = _n_lost(assessment), _n_new(assessment)
    n_changed = len(assessment.files.items_with_changed) if assessment.gone is None else 0
    return Explanation(
        has_run=assessment.plan is not None,
        changes=assessment.code_changes,
        dirt=assessment.dirt,
        tally=tally,
        n_lost=n_lost,
        n_new=n_new,
        n_never_ran=tally[State.TODO] - n_lost - n_new - n_changed,
        preview=preview(run, assessment),
        near_misses=_near_misses(assessment),
        n_changed=n_changed,
        changed_files=assessment.files.changed if n_changed else [],
        left_behind=assessment.left_behind,
    )


def _near_misses(assessment: Assessment) -> NearMisses:
    misses = near_misses(assessment)
    # If all runs again, it is not for the last digits; attributes do not end with keeping rows.
    return replace(misses, last_digits="") if assessment.dirt else misses


def _n_lost(assessment: Assessment) -> int:
    """Count the items without an outcome that had a row in a result which is gone."""
    if assessment.gone is None:
        return 0
    lost = match(ItemsFile(assessment.layout).keys_of_gone(), assessment.frozen.keys())
    return len(np.intersect1d(lost[lost >= 0], assessment.pending(Choice.TODO)))


def _n_new(assessment: Assessment) -> int:
    """Count the items without an outcome whose psets the last run did not ask for."""
    plan, frozen = assessment.plan, assessment.frozen
    if plan is None or plan.space_digest == frozen.digest:
        return 0
    is_new = np.zeros(len(frozen), dtype=bool)
    is_new[assessment.pending(Choice.TODO)] = True
    # Whole spaces are matched, for psets may be repeated: the fourth of a kind may be new.
    try:
        asked_for = items_of_plan(plan, frozen)
    except StoreError:
        return 0  # nobody can tell what it asked for
    is_new[slice(plan.n_items) if asked_for is None else asked_for[asked_for >= 0]] = False
    return int(np.count_nonzero(is_new))
