"""What a process job does: it has the items of its batch evaluated."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from psyflow.context import Contexts
from psyflow.exceptions import TaskFileError
from psyflow.files import is_full, make_folder
from psyflow.jobs import Jobs
from psyflow.limits import GPUS, deadline, own_gpus
from psyflow.plan import Plan
from psyflow.prepared import Prepared, Retries
from psyflow.supervisor import Supervisor
from psyflow.tasks import TaskDef, streams_of, takes_context
from psyflow.tasks.signature import takes_keyword
from psyflow.worker import Work

__all__ = ["process"]


def process(plan: Plan, job: int) -> int:
    """Evaluate the items of one process job, and return its exit status."""
    Jobs(plan.layout).record_process(plan.run_id, f"process:{job}")
    batch = plan.batch_of_job[job]
    make_folder(plan.frozen.leases)
    work = Work(
        space=plan.load_space().space,
        items=np.load(plan.frozen.batch(batch), mmap_mode="r"),
        claims=plan.frozen.claims(batch),
        out=plan.layout.out,
        prefix=plan.layout.shard_prefix(plan.run_id, job),
        prepare=lambda worker: _prepare(plan, job, worker),
        n_workers=plan.batch_of_job.count(batch) * plan.pool_size,
        timeout=plan.timeout,
        retries=Retries(plan.retries, plan.retry_on),
        max_failures=plan.max_failures,
        max_tasks_per_child=plan.max_tasks_per_child,
        log=functools.partial(plan.layout.worker_log, job),
        leases=plan.frozen.leases,
        deadline=deadline(plan.time_limit, os.environ),
    )
    return Supervisor(work, plan.pool_size).run()


def _set_up(task: TaskDef, proc_id: int) -> Mapping[str, Any]:
    try:
        extra = task.setup(proc_id) if task.setup is not None else {}
    except Exception as error:
        if is_full(error):
            raise
        # The first frame is this one, which is of no interest to the user.
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        trace = "".join(traceback.format_exception(type(error), error, frames))
        raise TaskFileError(f"{task.source}: `setup` failed.", trace) from error
    if not isinstance(extra, Mapping):
        raise TaskFileError(
            f"{task.source}: `setup` returned {extra!r:.80}. It has to return a dict of arguments."
        )
    if both := sorted(extra.keys() & set(task.pspace.keys())):
        raise TaskFileError(
            f"{task.source}: `setup` returned `{both[0]}`, which the parameter space gives, too."
        )
    if odd := [name for name in extra if not takes_keyword(task.execute, name)]:
        raise TaskFileError(
            f"{task.source}: `setup` returned `{odd[0]}`, which `execute` does not take."
        )
    return extra


def _prepare(plan: Plan, job: int, worker: int) -> Prepared:
    if plan.n_gpus is not None:
        os.environ[GPUS] = own_gpus(os.environ.get(GPUS), plan.n_gpus, worker, plan.pool_size)
    task = plan.load_task()
    task.enter()
    proc_id = task.backend(task).proc_id(job, worker, plan.pool_size)
    extra = _set_up(task, proc_id)

    def check(row: Mapping[str, Any]) -> None:
        task.store.check({name: row[name] for name in row if name not in plan.exclude})

    contexts = None
    if takes_context(task):
        contexts = Contexts(plan.layout.psets, f"process:{job}", task.defaults)
    return Prepared(task.execute, extra, check, streams_of(task), contexts)
