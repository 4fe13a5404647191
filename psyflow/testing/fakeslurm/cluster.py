"""`FakeSlurm`: starts and ends a fake Slurm."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from psyflow.exceptions import SchedulerError
from psyflow.testing.fakeslurm import client, server
from psyflow.testing.fakeslurm.request import RELIABLE
from psyflow.testing.fakeslurm.settings import Settings

__all__ = ["FakeSlurm"]

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sacct", "sinfo")
_FOREIGN = ("SLURM", "SQUEUE_", "SACCT_", "SCANCEL_", "SBATCH_", "SINFO_")
_LONGEST_TEMPORARY = 70
"""Bytes. The path of a socket has at most 107, 103 on macOS."""
_SECONDS_TO_END = 15.0
_STUCK = {("PENDING", "JobHeldUser"), ("PENDING", "DependencyNeverSatisfied")}


class FakeSlurm:
    """A Slurm for tests, whose programs really run jobs on this machine.

    It needs no Slurm, no rights and no network. A job takes one slot, whatever it asks for, and
    its time limit counts by the second. What is queued or runs ends with the ``with`` block, and
    with the process that it is in.

    Parameters
    ----------
    folder : str or path, optional
        For the programs, the scripts of jobs and ``controller.log``, and for nothing else; it is
        made. Not given: a temporary one, which is removed at the end.
    seed : int
        Decides what chance does to a job. It depends on the job's id and on how often it was
        started, and on nothing else.
    nodes, slots : int
        How many nodes there are, and how many jobs each runs at once.
    kill : float
        Chance that a start of a job, or of a member of an array, ends by a SIGKILL of all of its
        processes, in the states FAILED, OUT_OF_MEMORY or NODE_FAIL.
    preempt : float
        Chance that it is preempted: SIGTERM, SIGKILL after `kill_wait`, and the job is queued
        again under its id, with ``SLURM_RESTART_COUNT``. One with ``--no-requeue`` has ended.
    within : float
        Seconds after a start, at the most, at which it is killed or preempted. What ends before
        is spared.
    delay : float
        Seconds, at the most, that a job waits although it could start.
    flaky : float
        Chance that a call of one of the programs fails as if the controller was busy; half of them
        only after it did what it was asked for: a job may be submitted though ``sbatch`` says
        that it is not. What `client` and `wait` of this class call does not fail so.
    accounting : bool
        Whether there is a ``sacct`` that answers.
    max_array_size : int
        ``MaxArraySize``: what indices of arrays stay below.
    min_job_age : float
        Seconds after its end at which ``squeue`` and ``scontrol`` forget a job.
    kill_wait : float
        Seconds between SIGTERM and SIGKILL.
    tell_end : bool
        Whether jobs with a time limit get ``SLURM_JOB_START_TIME`` and ``SLURM_JOB_END_TIME``, as
        later Slurms than 22.05 have it.
    cluster : str
        ``ClusterName``.

    Raises
    ------
    UsageError
        At the beginning, if a setting makes no sense.
    SchedulerError
        At the beginning, if the controller does not start.

    Examples
    --------
    >>> with FakeSlurm(seed=1) as slurm:
    ...     print(slurm.client("sbatch", "--output=/dev/null", "--wrap=exit 3"), end="")
    ...     slurm.wait()
    ...     print(slurm.client("squeue", "--noheader", "--states=all", "--format=%i %T"), end="")
    Submitted batch job 1
    1 FAILED
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        seed: int = 0,
        nodes: int = 2,
        slots: int = 2,
        kill: float = 0.0,
        preempt: float = 0.0,
        within: float = 2.0,
        delay: float = 0.0,
        flaky: float = 0.0,
        accounting: bool = True,
        max_array_size: int = 1001,
        min_job_age: float = 300.0,
        kill_wait: float = 2.0,
        tell_end: bool = False,
        cluster: str = "fake",
    ) -> None:
        self.settings = Settings(
            seed=seed,
            nodes=nodes,
            slots=slots,
            kill=kill,
            preempt=preempt,
            within=within,
            delay=delay,
            flaky=flaky,
            accounting=accounting,
            max_array_size=max_array_size,
            min_job_age=min_job_age,
            kill_wait=kill_wait,
            tell_end=tell_end,
            cluster=cluster,
        )
        self._given_folder = folder
        self._stack = contextlib.ExitStack()
        self._programs: Path | None = None

    def __enter__(self) -> FakeSlurm:
        """Start it."""
        self.settings.check()
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, and all jobs."""
        self._programs = None
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """A copy of ``os.environ`` whose PATH begins with the programs of this Slurm.

        Without the variables of another Slurm that the calling process may be a job of.
        """
        own = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        return {**own, "PATH": f"{self._bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def client(self, *command: str) -> str:
        """Run one of Slurm's programs and return what it prints.

        Parameters
        ----------
        *command : str
            ``"squeue", "--me"``.

        Raises
        ------
        SchedulerError
            If it fails; with what it says.
        """
        answer = subprocess.run(
            [self._bin / command[0], *command[1:]],
            env={**self.environment, RELIABLE: "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            raise SchedulerError(f"{shlex.join(command)} failed: {answer.stderr.strip()}")
        return answer.stdout

    def wait(self, timeout: float = 300.0) -> None:
        """Wait until no job runs, and none is queued but those that are held or wait for ever.

        Parameters
        ----------
        timeout : float
            Seconds.

        Raises
        ------
        TimeoutError
            If that takes too long; it lists the jobs.
        """
        deadline = time.monotonic() + timeout
        while left := self._at_work():
            if time.monotonic() > deadline:
                listed = "\n".join(left)
                raise TimeoutError(f"After {timeout:g} s there are jobs at work:\n{listed}")
            time.sleep(0.05)

    def _at_work(self) -> list[str]:
        listed = self.client("squeue", "--noheader", "--format=%T %r %i %j").splitlines()
        return [line for line in listed if tuple(line.split()[:2]) not in _STUCK]

    @property
    def _bin(self) -> Path:
        if self._programs is None:
            raise SchedulerError("FakeSlurm is not running. Use it in a `with` statement.")
        return self._programs

    def _start(self) -> None:
        short = self._stack.enter_context(_short_folder())
        folder = short if self._given_folder is None else Path(self._given_folder).absolute()
        programs = folder / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        path = short / "socket"
        for name in PROGRAMS:
            _write_program(programs / name, path)
        self._stack.enter_context(_running_controller(folder, path, self.settings))
        self._programs = programs


@contextlib.contextmanager
def _short_folder() -> Iterator[Path]:
    """Make a temporary folder in which a socket has a path that the kernel takes."""
    is_long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST_TEMPORARY
    folder = Path(tempfile.mkdtemp(prefix="fakeslurm-", dir="/tmp" if is_long else None))
    try:
        yield folder
    finally:
        # The controller has removed it, if it ever began.
        if folder.exists():
            shutil.rmtree(folder)


def _write_program(program: Path, socket: Path) -> None:
    # Isolated (-I, -S): what is set for the user's Python is not for this one.
    words = [sys.executable, "-I", "-S", client.__file__, str(socket), program.name]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(stat.S_IRWXU)


@contextlib.contextmanager
def _running_controller(folder: Path, socket: Path, settings: Settings) -> Iterator[None]:
    """Run the controller, which ends when its standard input is closed."""
    told = json.dumps(dataclasses.asdict(settings))
    log = folder / "controller.log"
    with log.open("ab") as stderr:
        controller = subprocess.Popen(
            [sys.executable, "-m", __package__, str(folder), str(socket), told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which then end it
        )
    with controller:
        try:
            assert controller.stdout is not None
            if controller.stdout.readline().strip() != server.READY:
                raise SchedulerError(f"FakeSlurm did not start: {log.read_text()}")
            yield
        finally:
            _end(controller)


def _end(controller: subprocess.Popen[str]) -> None:
    assert controller.stdin is not None
    controller.stdin.close()
    try:
        controller.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        controller.kill()
        raise
