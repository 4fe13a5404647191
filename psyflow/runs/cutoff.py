"""Items that do not fit into the time that a job has: cut off twice, and not to be tried for ever.

That an item was at work when its job was ended may be chance, as it may have begun late. If it had
more than half of the time that the job had, and the same again in another job that had no more,
further jobs will do no better: it is recorded as a failure that says what to change. What keeps
something in its folder may need several jobs, and gets them.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from psyflow.messages import duration
from psyflow.outcomes.records import Attempt, Failure
from psyflow.outcomes.shard import ShardWriter
from psyflow.record.frozen import FrozenSpace
from psyflow.record.plan import Plan
from psyflow.runs.folders import Folders
from psyflow.scheduler.base import TIMEOUT
from psyflow.system.files import make_folder
from psyflow.system.owner import Owner
from psyflow.system.reading import is_there, read_whole
from psyflow.work.longrunning import MARK
from psyflow.work.takeover import finished_in

__all__ = ["cut_off", "give_up_misfits", "has_no_more_time"]

SHARE = 0.5
"""Which part of a job's time an item must have had."""
TIMES = 2


def cut_off(plan: Plan) -> list[int]:
    """Return the items that were cut off with a job of a plan, each as often as that happened.

    Those are among them that were cut off in earlier plans, and did not run in this one.
    """
    if not _has_end(plan):
        return []
    ended = set(finished_in(plan.layout.shards(plan.run_id)).tolist())
    found = [item for item, _, _ in _told_by(plan)]
    return [item for item in [*plan.cut_off, *found] if item not in ended]


def has_no_more_time(plan: Plan, new: Plan) -> bool:
    """Tell whether the jobs of a plan have no more time than those of the one before it had."""
    if plan.time_limit is None or new.time_limit is None:
        return False
    return new.time_limit <= plan.time_limit


def give_up_misfits(plan: Plan) -> None:
    """Record as failures the items that do not fit, when all process jobs of a plan are over."""
    if not _has_end(plan):
        return
    times = Counter(cut_off(plan))
    last = {item: (start, seconds) for item, start, seconds in _told_by(plan)}
    misfits = [item for item in last if times[item] >= TIMES]
    if not misfits:
        return
    frozen = plan.load_space()
    misfits = [item for item in sorted(misfits) if not _has_kept(plan, frozen, item)]
    prefix = f"{plan.layout.shard_prefix(plan.run_id, 0)}.{os.urandom(4).hex()}"
    make_folder(plan.layout.out)
    for item in misfits:
        start, seconds = last[item]
        tried = Attempt(item, frozen.space[item], start, seconds, times[item])
        with ShardWriter(plan.layout.out / f"{prefix}.merge.rows") as writer:
            writer.write_failure(Failure.of_death(tried, TIMEOUT, _about(plan, seconds)))


def _about(plan: Plan, seconds: float) -> str:
    assert plan.time_limit is not None
    return (
        f"It does not fit into the time limit of a job, {duration(plan.time_limit)}: for the "
        f"{TIMES}nd time, it had run for {duration(seconds)} when that was over. Ask for a longer "
        "`timelimit` in `scheduler_args`, set `timeout` to end it earlier, have it keep what it "
        "has in `ctx.dir`, or split it into several psets."
    )


def _has_end(plan: Plan) -> bool:
    return plan.time_limit is not None and math.isfinite(plan.time_limit)


def _told_by(plan: Plan) -> Iterator[tuple[int, float, float]]:
    """Yield items that had most of the time of a job, when they began, and how long they had."""
    assert plan.time_limit is not None
    for file in sorted(plan.frozen.leases.glob(f"{MARK}*")):
        # A job may have died while it wrote, and another psyflow may tell it otherwise.
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            told = json.loads(read_whole(file))
            if Owner.from_fields(told["owner"]).is_dead() is False:
                continue
            end = _last_sign(file)
            for item, start in told["items"]:
                if end - start > SHARE * plan.time_limit:
                    yield int(item), float(start), end - start


def _last_sign(file: Path) -> float:
    """Return when a job was last heard of, by what it has told, or by its lease."""
    lease = file.with_name(file.name.removeprefix(MARK))
    files = [file, *([lease] if is_there(lease) else [])]
    return max(path.stat().st_mtime for path in files)


def _has_kept(plan: Plan, frozen: FrozenSpace, item: int) -> bool:
    """Tell whether an item has put anything into its folder since the plan began."""
    began = plan.frozen.plan_file.stat().st_mtime
    (folder,) = Folders(plan.layout, frozen).of(np.array([item]))
    return any(path.is_file() and path.stat().st_mtime > began for path in folder.rglob("*"))
