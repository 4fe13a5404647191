"""What a process job does: it has the items of its batch evaluated."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from psyflow.command.call import last_words
from psyflow.exceptions import TaskFileError
from psyflow.pspace import ParameterSpace
from psyflow.pspace.streams import renew_global_states
from psyflow.record.jobs import Jobs
from psyflow.record.plan import Plan
from psyflow.record.reads import note_read, watch_study
from psyflow.reprs import safe_repr
from psyflow.runs.share import gpus_of_job, worker_stride, workers_of_job
from psyflow.store.holding import Holding
from psyflow.system.allotted import Gpus
from psyflow.system.files import make_within
from psyflow.system.limits import deadline
from psyflow.system.oserrors import is_full
from psyflow.system.reading import ask_again
from psyflow.tasks import TaskDef, streams_of, takes_context
from psyflow.tasks.programs import runs_programs, take_command
from psyflow.tasks.repeating import withheld
from psyflow.tasks.signature import takes_keyword
from psyflow.texts import exception_text, traceback_text, users_frames
from psyflow.work.capture import say
from psyflow.work.context import Contexts
from psyflow.work.failure_limit import n_unfit_in
from psyflow.work.prepared import Prepared, Retries
from psyflow.work.supervisor import Supervisor
from psyflow.work.worker import Items, Work

__all__ = ["process", "work_of"]

NO_BATCH = 3
"""Exit status of a job for which nothing was dealt out."""
OBSERVED = 3
"""After how many items nobody looks any more which files are used."""


def process(plan: Plan, job: int) -> int:
    """Evaluate the items of one process job, and return its exit status."""
    Jobs(plan.layout).record_process(plan.run_id, f"process:{job}")
    batch = plan.batch_of_job[job]
    # Not what is above: a folder that is gone was moved, perhaps.
    make_within(plan.frozen.folder, plan.frozen.leases.name)
    make_within(plan.frozen.folder, *plan.frozen.claims(batch).parts[-2:])
    make_within(plan.layout.root, plan.layout.out.name)
    batch_file = plan.frozen.batch(batch)
    try:
        # Another host has written it just now.
        items = ask_again(lambda: np.load(batch_file, mmap_mode="r"), batch_file)
    except FileNotFoundError:
        say(
            f"There is nothing to do: {batch_file} is not there, which the job {plan.task}:split "
            f"writes. That was ended too early. When no job is at work, type: psy run {plan.task}"
        )
        return NO_BATCH
    if plan.is_afar:
        from psyflow.runs.afar.driver import drive  # few tasks are evaluated by an engine

        return drive(plan, work_of(plan, job, items, plan.pool_size))
    gpus = gpus_of_job(plan)
    pool_size = workers_of_job(plan, gpus)
    return Supervisor(work_of(plan, job, items, pool_size, gpus), pool_size).run()


def work_of(
    plan: Plan,
    job: int,
    items: Items,
    pool_size: int,
    gpus: Gpus | None = None,
    *,
    worker: int | None = None,
) -> Work:
    """Return what the workers of a process job share.

    Parameters
    ----------
    plan : Plan
    job : int
    items : ndarray of int64
        Of the batch that it draws from.
    pool_size : int
        How many workers there are.
    gpus : Gpus, optional
        What they share; each sees what there is if None.
    worker : int, optional
        The number of its only worker, if that is no worker's of this job alone.
    """
    batch = plan.batch_of_job[job]
    log = functools.partial(plan.layout.worker_log, job)
    return Work(
        space=None if plan.needs_code else plan.load_space().space,
        items=items,
        claims=plan.frozen.claims(batch),
        out=plan.layout.out,
        prefix=plan.layout.shard_prefix(plan.run_id, job),
        prepare=lambda index: _prepare(
            plan, job, index if worker is None else worker, gpus, pool_size
        ),
        # Which GPUs there are is told by the environment, and each worker has its own.
        load=functools.partial(_load, plan, job) if plan.load_once and gpus is None else None,
        n_workers=plan.batch_of_job.count(batch) * pool_size,
        n_jobs=plan.n_jobs,
        timeout=plan.timeout,
        retries=Retries(plan.retries, plan.retry_on),
        max_failures=plan.max_failures,
        has_earlier=plan.has_earlier,
        max_tasks_per_child=plan.max_tasks_per_child,
        log=log if worker is None else lambda index: log(worker),
        leases=plan.frozen.leases,
        deadline=deadline(plan.time_limit, os.environ),
        last_words=_last_words(plan),
    )


def _last_words(plan: Plan) -> Callable[[int], str]:
    """Return what tells how the output of a program ends that was running when its worker died."""
    if plan.needs_code or not runs_programs(plan.fingerprint):
        return lambda item: ""
    frozen = plan.load_space()
    contexts = Contexts(plan.layout.psets, "", frozen.defaults)
    return lambda item: last_words(contexts.folder(frozen.space, item))


def _set_up(task: TaskDef, proc_id: int) -> Mapping[str, Any]:
    try:
        extra = task.setup(proc_id) if task.setup is not None else {}
    except Exception as error:
        if is_full(error):
            raise
        trace = traceback_text(error, users_frames(error.__traceback__))
        raise TaskFileError(f"{task.source}: `setup` failed.", trace) from error
    if extra is None:
        return {}
    if not isinstance(extra, Mapping):
        raise TaskFileError(
            f"{task.source}: `setup` returned {safe_repr(extra, 80)}. "
            f"It has to return a dict of arguments."
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


def _prepare(plan: Plan, job: int, worker: int, gpus: Gpus | None, pool_size: int) -> Prepared:
    if gpus is not None:
        os.environ |= gpus.of_worker(worker, pool_size)
    return _load(plan, job)(worker)


def _load(plan: Plan, job: int) -> Callable[[int], Prepared]:
    """Load the task, and return what prepares the worker of a number with it."""
    observer = _Observer(plan)
    task = plan.load_task()
    task.enter()
    space = plan.load_space().space if plan.needs_code else None
    return functools.partial(_prepared, plan, job, task, space, observer)


def _prepared(
    plan: Plan,
    job: int,
    task: TaskDef,
    space: ParameterSpace | None,
    observer: _Observer,
    worker: int,
) -> Prepared:
    # Whatever the task file has set them to, every process would begin with it.
    renew_global_states()
    proc_id = task.backend(task).proc_id(job, worker, worker_stride(plan))
    extra = _set_up(task, proc_id)
    holding = Holding(task.store, plan.exclude)
    contexts = None
    if takes_context(task):
        # What programs leave is written by them, and brought to the disk by nobody.
        is_durable = take_command(task.execute) is None
        where = plan.layout.psets
        contexts = Contexts(
            where,
            f"process:{job}",
            task.defaults,
            is_durable=is_durable,
            is_afar=plan.is_afar,
        )
    return Prepared(
        task.function,
        extra,
        holding.check,
        streams_of(task),
        contexts,
        observer,
        plan.exclude,
        space,
        store=holding.name,
        withheld=withheld(task),
        n_unfit=functools.partial(_n_unfit, plan) if plan.max_failures is None else lambda: 0,
    )


def _n_unfit(plan: Plan) -> int:
    """Count the items whose results could not be kept; 0 if a plan has any rows."""
    return 0 if plan.has_earlier else n_unfit_in(plan.layout.shards(plan.run_id))


class _Observer:
    """Notes which files a worker uses as it loads the task and evaluates its first items."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._used = watch_study(plan)
        self._left = OBSERVED
        self._noted: tuple[int, ...] = ()

    def __call__(self, n_items: int) -> bool:
        """Take note of what was used, and return whether to go on with that."""
        self._left -= n_items
        if self._left <= 0:
            self._used.end()
        if (self._used.read or self._used.made or self._used.error) and self._is_more():
            self._note()
        return self._left > 0

    def _is_more(self) -> bool:
        """Tell whether anything was seen since the last time that was noted."""
        noted, used = self._noted, self._used
        n_lines = sum(map(len, used.read.copy().values()))
        self._noted = n_lines, len(used.read), len(used.written), len(used.made)
        return self._noted != noted or used.error is not None

    def _note(self) -> None:
        try:
            note_read(self._plan, self._used)
            error = self._used.error
        except Exception as failure:
            # It is only a hint, and no reason for a run to end.
            error = failure
        if error is not None:
            say(f"Nobody can say which files are read: {exception_text(error)}")
