"""Which space counts: that of the task file, or the one that was drawn for the present plan.

And which of its items that plan was to evaluate anew.
"""

from __future__ import annotations

import warnings

from psyflow.exceptions import PsyflowWarning, StoreError, UntrustedFileError
from psyflow.fingerprint import changes, parts_from_json
from psyflow.pspace.repeat import REPEAT
from psyflow.record.frozen import FrozenSpace
from psyflow.record.plan import Plan
from psyflow.record.renewals import Renewals
from psyflow.tasks import TaskDef

__all__ = ["chosen_space", "planned_renewals"]


def chosen_space(task: TaskDef, plan: Plan | None) -> FrozenSpace:
    """Return the space of a task, frozen; of one that is drawn at random, what was drawn once.

    Raises
    ------
    UntrustedFileError
        If the space of the plan is not known to be of this user's making.
    """
    present = _freeze(task)
    if plan is None or plan.space_digest == present.digest:
        return present
    if changes(parts_from_json(plan.space_code), task.space_fingerprint()):
        return present
    is_drawn = _freeze(task.reload()).digest != present.digest
    try:
        planned = plan.load_space()
    except UntrustedFileError:
        raise
    except StoreError as error:
        if is_drawn:
            message = f"{error} The space is drawn anew."
            warnings.warn(PsyflowWarning(message), stacklevel=2)
        return present
    # The same code gives another space each time: random numbers. They were drawn once. Or it
    # gives equal psets, which are only pickled in another way.
    if is_drawn:
        return _repeated_anew(task, planned)
    return planned if planned.is_equal(present) else present


def _repeated_anew(task: TaskDef, drawn: FrozenSpace) -> FrozenSpace:
    """Return a space that was drawn once, with as many repetitions as the task has now."""
    has_its_own = task.repeat is None and REPEAT in task.pspace.keys()  # noqa: SIM118
    if has_its_own:
        return drawn
    with task.importable():
        return drawn.repeating(task.repeat)


def planned_renewals(plan: Plan | None, chosen: FrozenSpace) -> Renewals:
    """Return when items of the space that counts were asked for anew, as its plan says.

    Raises
    ------
    UntrustedFileError
        If the space of the plan is another, and not known to be of this user's making.
    """
    if plan is None or not plan.renewals:
        return Renewals()
    planned = Renewals.from_json(plan.renewals)
    if plan.space_digest == chosen.digest:
        return planned
    from psyflow.record.numbering import items_of_plan  # seldom needed

    try:
        return planned.numbered(items_of_plan(plan, chosen))
    except UntrustedFileError:
        raise
    except StoreError:
        return Renewals()  # nor can anybody tell whose outcomes that plan's are


def _freeze(task: TaskDef) -> FrozenSpace:
    with task.importable():
        return FrozenSpace.of(task.pspace, task.defaults)
