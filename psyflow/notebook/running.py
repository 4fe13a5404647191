"""`run`: a task brought up to date, and the table of its results."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping

from psyflow.exceptions import MapInterrupted, UsageError
from psyflow.mapper.shown import is_interactive
from psyflow.notebook.asked import max_failures_of, pool_size_of, task_of, wanted_of
from psyflow.notebook.hearing import Hearing
from psyflow.record.assess import Assessment
from psyflow.record.remedies import told_remedies
from psyflow.report.stillborn import about_stillborn, stillborn_of
from psyflow.results import Results, load
from psyflow.runs.bring import bring
from psyflow.runs.run import Run
from psyflow.runs.wait import wait as wait_for_jobs
from psyflow.scheduler import ImmediateRun
from psyflow.scheduler.immediate import Process
from psyflow.scheduler.remedies import Remedy
from psyflow.system.trust import is_trusting, trusting
from psyflow.tasks import TaskDef

__all__ = ["run"]

MOST_LOGS = 3


def run(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] | None = None,
    *,
    where: str | Iterable[str] | None = None,
    limit: int | None = None,
    again: int | Iterable[int] | bool | None = None,
    only: str | None = None,
    keep: bool = False,
    pool_size: int | str | None = None,
    max_failures: int | float | str | None = None,
    wait: bool = False,
    trust: bool = False,
    progress: bool = True,
) -> Results:
    r"""Bring a task up to date, as ``psy run`` does, and return the table of its results.

    What has a result is not computed again. An item that fails costs itself alone: it is in
    ``failures`` of what is returned.

    Parameters
    ----------
    task : str or path
        Name of a task, its task file, or the folder of its run, such as ``"psy-work/lif"``.
    taskdir : str or path, optional
        Where the task file is: ``psy-tasks``, here or in a folder above, if None.
    where : str or iterable of str, optional
        Conditions that the items fulfil which are evaluated, such as ``"a=2"`` or ``"b>0.5"``.
    limit : int, optional
        How many of these to evaluate at most: the first ones.
    again : int or iterable of int, or True, optional
        Items to compute anew although they have results, and no others; with True, all that fulfil
        `where`. The old results go to the archive.
    only : {"failed", "todo"}, optional
        Whether to evaluate only items that failed, or only those that have not run.
    keep : bool
        Keep existing results although the code has changed, and add what is missing.
    pool_size : int or "auto", optional
        Number of workers, instead of the task's.
    max_failures : int, float or str, optional
        With how many failures to stop, instead of the task's: a number, or a share, such as
        ``"10%"``.
    wait : bool
        Wait until the jobs that a scheduler runs are over. Otherwise they are submitted, and what
        is done by now is returned.
    trust : bool
        As for `load`.
    progress : bool
        Show how far it is, and say how many items failed.

    Returns
    -------
    Results
        What `load` returns. In a notebook or a console, Ctrl-C returns what is done until then.

    Raises
    ------
    UsageError
        If there is no such task, if something is wrong with what is asked for, or if nothing was
        asked for and there is no result.
    TaskFileError
        If the task file does not load; its traceback is in the message.
    RunHeldError
        If another process is at work on the task.
    PsyflowError
        Whatever else keeps it from being done, but for items that fail.
    MapInterrupted
        In a script, by Ctrl-C: a KeyboardInterrupt whose ``results`` has what is done.

    Warns
    -----
    TaskWarning
        If the run does not begin, as while jobs of it are at work.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "psy-tasks", "task_square.py")
    ...     file.parent.mkdir()
    ...     _ = file.write_text("pspace = {'x': [1, 2, 3]}\ndef execute(x): return {'y': x * x}\n")
    ...     some = run(file, limit=2, progress=False)
    ...     whole = run(file, progress=False)
    >>> some
    Results: 2 rows; 2 of 3 items of square are done; varied: x
    x  y
    1  1
    2  4
    >>> whole["y"]
    [1, 4, 9]
    """
    wanted = wanted_of(where, limit, again, only)
    n_workers, most = pool_size_of(pool_size), max_failures_of(max_failures)
    with trusting(trust or is_trusting()):
        found = task_of(task, taskdir)
        if most is not None:
            found.max_failures = most
        hearing = Hearing(found, wanted, is_shown=progress)
        with _interrupted(found, hearing), _heard_of_stopping(found, hearing):
            bring(found, hearing, keep=keep, pool_size=n_workers, wanted=wanted)
            if wait and not found.scheduler.runs_here:
                _wait_for(found, hearing)
        return _told(found, hearing)


def _told(task: TaskDef, hearing: Hearing) -> Results:
    if hearing.nothing and Assessment(task).plan is None:
        raise UsageError(hearing.nothing)
    results = _loaded(task)
    if hearing.nothing:
        hearing.say(hearing.nothing)
    hearing.tell_of(results)
    return results


def _loaded(task: TaskDef) -> Results:
    return load(task.name, task.path.parent, task.workdir)


@contextlib.contextmanager
def _interrupted(task: TaskDef, hearing: Hearing) -> Iterator[None]:
    """Have an interruption cost nothing: what is done is returned, or raised in a script."""
    try:
        yield
    except KeyboardInterrupt:
        if Assessment(task).plan is None:
            raise
        results = _loaded(task)
        if not is_interactive():
            raise MapInterrupted(results) from None
        what = (
            "interrupted" if task.scheduler.runs_here else "not waiting any more; its jobs go on"
        )
        n_left = results.n_items - results.n_done
        hearing.say(f"{what}: {results.n_done} items are done, and {n_left} in `missing`.")


@contextlib.contextmanager
def _heard_of_stopping(task: TaskDef, hearing: Hearing) -> Iterator[None]:
    """Have it said, while the job of a task is running here, that it was asked to stop."""
    scheduler = task.scheduler
    if not isinstance(scheduler, ImmediateRun):
        yield
        return
    start = scheduler.start
    scheduler.start = lambda args, output: _Told(start(args, output), hearing.stopping)
    try:
        yield
    finally:
        scheduler.start = start


class _Told:
    """A process of which somebody hears when it is asked to stop."""

    def __init__(self, process: Process, stopping: Callable[[], None]) -> None:
        self._process = process
        self._stopping = stopping
        self.wait = process.wait
        self.terminate = process.terminate
        self.kill = process.kill

    def send_signal(self, signum: int, /) -> None:
        """Send a signal; say it if that is the first request."""
        if signum == signal.SIGUSR1:
            self._stopping()
        self._process.send_signal(signum)


def _wait_for(task: TaskDef, hearing: Hearing) -> None:
    """Wait until no job of a task is at work; say what keeps them, and what became of them."""
    run_ = Run(task)

    def tell_remedies(remedies: Mapping[str, Remedy]) -> None:
        for line in told_remedies(remedies, f"psy kill {task.name}"):
            hearing.say(line)

    are_over = wait_for_jobs(
        run_,
        lambda plan: hearing.following(plan, joins=True),
        lambda error: hearing.say(str(error)),
        tell_remedies,
    )
    if not are_over:
        hearing.say("the scheduler knows nothing of its jobs any more, so nobody waits.")
    for found in stillborn_of(run_.assess())[:MOST_LOGS]:
        hearing.say("\n".join(about_stillborn(found)))
