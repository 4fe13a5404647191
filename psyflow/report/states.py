"""The state of each item of a task, of those in `psyflow.outcomes.states`."""

from __future__ import annotations

import contextlib

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UnmakeableValuesError
from psyflow.outcomes.shard import ShardReader
from psyflow.outcomes.states import State, Tally
from psyflow.outcomes.table import Items
from psyflow.record.assess import Assessment
from psyflow.record.frozen import FrozenSpace
from psyflow.record.numbering import items_of_plan
from psyflow.record.plan import Plan
from psyflow.system.reading import no_pipe
from psyflow.work.claims import ClaimLog

__all__ = ["count_states", "states_of"]


def count_states(assessment: Assessment, *, is_at_work: bool) -> Tally:
    """Count the items in each state; together they are all items of the space.

    Parameters
    ----------
    assessment : Assessment
    is_at_work : bool
        Whether jobs of the run are alive. If not, nothing is queued or running.

    Returns
    -------
    Tally
        With every state.
    """
    if assessment.is_complete:
        counts = dict.fromkeys(State, 0) | {State.DONE: assessment.n_items}
    else:
        numbers = states_of(assessment, is_at_work=is_at_work)
        counted = np.bincount(numbers, minlength=len(State)).tolist()
        counts = dict(zip(State, counted, strict=True))
    return Tally(assessment.n_items, counts)


def states_of(assessment: Assessment, *, is_at_work: bool) -> npt.NDArray[np.int8]:
    """Return the `number` of the state of each item.

    Parameters
    ----------
    assessment, is_at_work
        As for `count_states`.
    """
    if assessment.is_complete:
        return np.full(assessment.n_items, State.DONE.number, dtype=np.int8)
    numbers = np.full(assessment.n_items, State.TODO.number, dtype=np.int8)
    for state, items in assessment.ended.items():
        numbers[items] = state.number
    if is_at_work and assessment.plan is not None:
        queued, running = _at_work(assessment.plan, assessment.frozen)
        numbers[queued] = State.QUEUED.number
        numbers[running] = State.RUNNING.number
    numbers[assessment.recovered.table.done()] = State.DONE.number
    return numbers


def _at_work(plan: Plan, frozen: FrozenSpace) -> tuple[Items, Items]:
    """Return the items that the jobs of a plan will come to, and those they are at."""
    is_pending = np.zeros(plan.n_items, dtype=np.bool_)
    is_pending[np.load(no_pipe(plan.frozen.pending))] = True
    is_claimed = _claimed(plan)
    has_outcome = _with_outcome(plan)
    queued = np.flatnonzero(is_pending & ~is_claimed & ~has_outcome)
    running = np.flatnonzero(is_claimed & ~has_outcome)
    if plan.space_digest == frozen.digest:
        return queued, running
    try:
        present = items_of_plan(plan, frozen)
    except UnmakeableValuesError:
        present = np.full(plan.n_items, -1, dtype=np.int64)  # they are at what nobody asks for now
    if present is None:
        return queued, running
    return _asked_for(present[queued]), _asked_for(present[running])


def _asked_for(items: Items) -> Items:
    return items[items >= 0]


def _claimed(plan: Plan) -> npt.NDArray[np.bool_]:
    is_claimed = np.zeros(plan.n_items, dtype=np.bool_)
    for batch in sorted(set(plan.batch_of_job)):
        path = plan.frozen.batch(batch)
        # The split step, which writes it, may not have run yet.
        if path.exists():
            items = np.load(no_pipe(path), mmap_mode="r")
            is_claimed[items[: ClaimLog(plan.frozen.claims(batch), len(items)).n_taken()]] = True
    return is_claimed


def _with_outcome(plan: Plan) -> npt.NDArray[np.bool_]:
    has_outcome = np.zeros(plan.n_items, dtype=np.bool_)
    for shard in plan.layout.shards(plan.run_id):
        # A merge may remove shards at any moment: then all of them are done.
        with contextlib.suppress(FileNotFoundError):
            for frame in ShardReader(shard).new_frames():
                has_outcome[frame.items] = True
    return has_outcome
