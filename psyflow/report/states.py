"""The state of each item: done, running, queued, failed, skipped or todo."""

from __future__ import annotations

import contextlib

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UnmakeableValuesError
from psyflow.outcomes.shard import ShardReader
from psyflow.outcomes.table import Items
from psyflow.pspace.keys import match
from psyflow.record.assess import Assessment
from psyflow.record.frozen import FrozenSpace
from psyflow.record.plan import Plan
from psyflow.work.claims import ClaimLog

__all__ = ["STATES", "count_states", "states_of"]

STATES = ("todo", "queued", "running", "done", "failed", "skipped")


def count_states(assessment: Assessment, *, is_at_work: bool) -> dict[str, int]:
    """Count the items in each state; together they are all items of the space.

    Parameters
    ----------
    assessment : Assessment
    is_at_work : bool
        Whether jobs of the run are alive. If not, nothing is queued or running.

    Returns
    -------
    dict from str to int
        ``todo``: no job will come to it. ``queued``: a job will. ``running``: a worker has claimed
        it, and has not finished it. ``done``: it has a result. ``failed``: its last evaluation
        failed. ``skipped``: it wanted to be left out.
    """
    if assessment.is_complete:
        return dict.fromkeys(STATES, 0) | {"done": assessment.n_items}
    state = states_of(assessment, is_at_work=is_at_work)
    counts = np.bincount(state, minlength=len(STATES)).tolist()
    return dict(zip(STATES, counts, strict=True))


def states_of(assessment: Assessment, *, is_at_work: bool) -> npt.NDArray[np.int8]:
    """Return the state of each item, as its place in `STATES`.

    Parameters
    ----------
    assessment, is_at_work
        As for `count_states`.
    """
    if assessment.is_complete:
        return np.full(assessment.n_items, STATES.index("done"), dtype=np.int8)
    state = np.full(assessment.n_items, STATES.index("todo"), dtype=np.int8)
    state[assessment.failed] = STATES.index("failed")
    state[assessment.skipped] = STATES.index("skipped")
    if is_at_work and assessment.plan is not None:
        queued, running = _at_work(assessment.plan, assessment.frozen)
        state[queued] = STATES.index("queued")
        state[running] = STATES.index("running")
    state[assessment.recovered.table.done()] = STATES.index("done")
    return state


def _at_work(plan: Plan, frozen: FrozenSpace) -> tuple[Items, Items]:
    """Return the items that the jobs of a plan will come to, and those they are at."""
    is_pending = np.zeros(plan.n_items, dtype=np.bool_)
    is_pending[np.load(plan.frozen.pending)] = True
    is_claimed = _claimed(plan)
    has_outcome = _with_outcome(plan)
    queued = np.flatnonzero(is_pending & ~is_claimed & ~has_outcome)
    running = np.flatnonzero(is_claimed & ~has_outcome)
    if plan.space_digest == frozen.digest:
        return queued, running
    try:
        present = match(plan.keys(frozen), frozen.keys())
    except UnmakeableValuesError:
        present = np.full(plan.n_items, -1, dtype=np.int64)  # they are at what nobody asks for now
    return _asked_for(present[queued]), _asked_for(present[running])


def _asked_for(items: Items) -> Items:
    return items[items >= 0]


def _claimed(plan: Plan) -> npt.NDArray[np.bool_]:
    is_claimed = np.zeros(plan.n_items, dtype=np.bool_)
    for batch in sorted(set(plan.batch_of_job)):
        path = plan.frozen.batch(batch)
        # The split step, which writes it, may not have run yet.
        if path.exists():
            items = np.load(path, mmap_mode="r")
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
