"""The conformance suite for schedulers.

Inherit it in a test module and say how to make yours::

    class TestMyScheduler(SchedulerTests):
        @pytest.fixture
        def scheduler(self, tmp_path):
            return MyScheduler(tmp_path)
"""

# The names of tests say what they test.
# ruff: noqa: D102

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import JobId, Scheduler

__all__ = ["SchedulerTests"]

STATES = {"Q", "*Q", "R", "Z", "D", "F", "C", "?"}
GONE = {"?", None}

NASTY_ARGS = [
    *("two words", "", "'", '"', 'it\'s "quoted"', "$HOME", "${HOME}", "`id`", "$(id)"),
    *("line\nbreak", "\n#SBATCH --no-such-option", "tab\t", "back\\slash", "trailing\\", "*", "~"),
    *("a;b", "a&b", "a|b", "a>b", "#a", "!a", "%", "%%", "%j", "-n", "--", "é ü 漢 🙂", "=x"),
]

TELL_ARGS = (
    "import json, sys; "
    "print('to stderr', file=sys.stderr); "
    "open(sys.argv[1], 'w', encoding='utf-8').write(json.dumps(sys.argv[2:]))"
)
"""Python program: write the arguments that arrived, as JSON, to the first of them."""

BEGIN_AND_WAIT = (
    "import os, sys, time; "
    "open(sys.argv[1], 'w').close(); "
    "time.sleep(600); "
    "open(sys.argv[2], 'w').close()"
)
"""Python program: make one file at once and another after ten minutes."""


def until(true: Callable[[], object], what: str, seconds: float) -> None:
    """Wait until `true` returns something true; fail, saying `what`, after `seconds`.

    It is asked ever less often: each time may start the programs of a cluster.
    """
    begin = time.monotonic()
    while not true():
        waited = time.monotonic() - begin
        assert waited < seconds, f"waited {seconds:g} s until {what}"
        time.sleep(min(max(0.05, waited / 10), 0.25))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


class SchedulerTests:
    """What every scheduler must do. Jobs are small Python programs.

    Attributes
    ----------
    patience : float
        Seconds within which a job must have begun and ended.
    scheduler_args : mapping
        What has to be said in every submission.
    unknown_id : str
        Something that looks like an id and is nobody's.

    Examples
    --------
    In a test file; `pytest` runs what it inherits:

    >>> import pytest
    >>> from psyflow.scheduler import ImmediateRun
    >>> class TestMyScheduler(SchedulerTests):
    ...     patience = 10.0
    ...     @pytest.fixture
    ...     def scheduler(self):
    ...         return ImmediateRun()
    """

    patience: ClassVar[float] = 180.0
    scheduler_args: ClassVar[Mapping[str, object]] = {}
    unknown_id: ClassVar[str] = "987654"

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """Return a new scheduler; override this."""
        raise NotImplementedError("Override the fixture `scheduler`.")

    def submit(
        self,
        scheduler: Scheduler,
        program: str,
        *args: str,
        log: Path,
        name: str = "suite:job",
        depends_on: list[JobId] | None = None,
    ) -> JobId:
        """Submit a Python program."""
        words = [sys.executable, "-c", program, *args]
        jobid = scheduler.submit(words, str(log), name, depends_on, self.scheduler_args)
        assert isinstance(jobid, str)
        return jobid

    def wait(self, scheduler: Scheduler, *jobids: JobId) -> None:
        """Wait until none of `jobids` is queued or running."""

        def all_over() -> bool:
            statuses = scheduler.get_statuses(jobids).values()
            return not any(status.status in {"Q", "*Q", "R", "Z"} for status in statuses)

        until(all_over, f"{jobids} are over", self.patience)

    def state(self, scheduler: Scheduler, jobid: JobId) -> str | None:
        """Return the state of a job, None if it is not known."""
        status = scheduler.get_status(jobid)
        assert status is None or (status.id == jobid and status.status in STATES)
        return status and status.status

    def test_job_gets_its_arguments_exactly_and_logs_both_streams(
        self, scheduler: Scheduler, tmp_path: Path
    ) -> None:
        told, log = tmp_path / "told.json", tmp_path / "job.log"
        job = self.submit(scheduler, TELL_ARGS, str(told), *NASTY_ARGS, log=log)
        self.wait(scheduler, job)
        until(lambda: _text(told) and _text(log), "the job has told its arguments", self.patience)
        assert json.loads(told.read_text(encoding="utf-8")) == NASTY_ARGS
        assert "to stderr" in log.read_text()
        assert self.state(scheduler, job) in {"D"} | GONE
        assert job not in scheduler.get_jobs() or self.state(scheduler, job) in GONE

    def test_job_runs_in_the_folder_of_the_submission(
        self, scheduler: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        job = self.submit(scheduler, "open('here', 'w').close()", log=Path("relative.log"))
        self.wait(scheduler, job)
        until((tmp_path / "here").exists, "the job has run here", self.patience)
        assert (tmp_path / "relative.log").exists()

    def test_log_may_have_any_name(self, scheduler: Scheduler, tmp_path: Path) -> None:
        log = tmp_path / 'täsk 100%j %a:process $HOME "it\'s".log'
        job = self.submit(scheduler, "print('hello')", log=log)
        self.wait(scheduler, job)
        until(lambda: _text(log), f"there is something in {log}", self.patience)
        assert log.read_text() == "hello\n"

    def test_log_in_a_folder_that_does_not_exist_is_an_error(
        self, scheduler: Scheduler, tmp_path: Path
    ) -> None:
        with pytest.raises(SchedulerError, match="nosuch"):
            self.submit(scheduler, "pass", log=tmp_path / "nosuch" / "job.log")

    def test_failed_job_is_not_done(self, scheduler: Scheduler, tmp_path: Path) -> None:
        job = self.submit(scheduler, "raise SystemExit(3)", log=tmp_path / "log")
        self.wait(scheduler, job)
        assert self.state(scheduler, job) in {"F"} | GONE

    def test_job_waits_for_those_it_depends_on(self, scheduler: Scheduler, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        make = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w').close()"
        look = "import os, sys; os.rename(sys.argv[1], sys.argv[2])"
        before = [self.submit(scheduler, make, str(first), log=tmp_path / "1.log")]
        before += [self.submit(scheduler, "import time; time.sleep(0.3)", log=tmp_path / "2.log")]
        after = self.submit(
            scheduler, look, str(first), str(second), log=tmp_path / "3.log", depends_on=before
        )
        assert self.state(scheduler, after) in {"*Q", "Q", "R", "D"} | GONE
        self.wait(scheduler, *before, after)
        until(second.exists, "the dependent job has found what the first made", self.patience)

    def test_running_job_is_seen_and_killed_and_no_other(
        self, scheduler: Scheduler, tmp_path: Path
    ) -> None:
        if scheduler.runs_here:
            pytest.skip("jobs are over when they have an id")
        begun, ended = tmp_path / "begun", tmp_path / "ended"
        words = (str(begun), str(ended))
        job = self.submit(scheduler, BEGIN_AND_WAIT, *words, log=tmp_path / "1.log")
        other = self.submit(scheduler, BEGIN_AND_WAIT, *words, log=tmp_path / "2.log")
        until(begun.exists, "a job has begun", self.patience)
        assert {self.state(scheduler, job), self.state(scheduler, other)} <= {"Q", "R"}
        assert set(scheduler.get_jobs()) == {job, other}
        scheduler.kill(job)
        self.wait(scheduler, job)
        assert self.state(scheduler, job) in {"C"} | GONE
        assert self.state(scheduler, other) in {"Q", "R"}, (
            "a job that nobody asked to kill is dead"
        )
        scheduler.kill_jobs([job, other])
        self.wait(scheduler, job, other)
        assert not ended.exists()

    def test_killing_what_is_over_is_no_error(self, scheduler: Scheduler, tmp_path: Path) -> None:
        job = self.submit(scheduler, "pass", log=tmp_path / "log")
        self.wait(scheduler, job)
        before = self.state(scheduler, job)
        scheduler.kill(job)
        scheduler.kill_jobs([job, job])
        assert self.state(scheduler, job) in {before} | GONE

    def test_unknown_job_is_unknown_and_not_dead(self, scheduler: Scheduler) -> None:
        assert scheduler.get_status(self.unknown_id) is None
        assert scheduler.get_statuses([self.unknown_id])[self.unknown_id].status == "?"
        assert scheduler.get_statuses([]) == {}

    def test_name_is_told_with_its_end(self, scheduler: Scheduler, tmp_path: Path) -> None:
        if not scheduler.tells_names:
            pytest.skip("tells no names")
        program = "pass" if scheduler.runs_here else BEGIN_AND_WAIT
        words = [sys.executable, "-c", program, str(tmp_path / "begun"), str(tmp_path / "ended")]
        name, log = f"{'long' * 60}:job.k7fq2a", str(tmp_path / "log")
        jobs = [scheduler.submit(words, log, name, None, self.scheduler_args)]
        if not self._refuses_arrays(scheduler):
            array = scheduler.submit_array(2, words, log, name, None, self.scheduler_args)
            jobs += [array, f"{array}_1"]
        try:
            for status in scheduler.get_statuses(jobs).values():
                assert ".k7fq2a" in status.name, "the end tells the job from all others"
            found = scheduler.find_marked(["k7fq2a", "zzzzzz"])
            assert set(found) <= {"k7fq2a"} and set(found.values()) <= set(jobs)
        finally:
            scheduler.kill_jobs(jobs[:2])
        self.wait(scheduler, *jobs)

    def test_cluster_is_called_the_same_again(self, scheduler: Scheduler, tmp_path: Path) -> None:
        before = scheduler.cluster_name()
        self.wait(scheduler, self.submit(scheduler, "pass", log=tmp_path / "log"))
        after = scheduler.cluster_name()
        assert before in (None, after), "its jobs would be taken for those of another one"
        assert after is None or (after.isprintable() and after.strip() == after != "")

    def test_misspelt_argument_is_refused_before_anything_is_submitted(
        self, scheduler: Scheduler, tmp_path: Path
    ) -> None:
        if type(scheduler).check_args is Scheduler.check_args:
            pytest.skip("takes any argument")
        wrong = {**self.scheduler_args, "no such argument": 1}
        with pytest.raises(UsageError, match="no such argument"):
            scheduler.check_args(wrong)
        with pytest.raises(UsageError, match="no such argument"):
            scheduler.submit(["true"], str(tmp_path / "log"), "suite:job", None, wrong)
        assert list(scheduler.get_jobs()) == []

    def test_array_runs_each_index_once(self, scheduler: Scheduler, tmp_path: Path) -> None:
        words = [
            sys.executable,
            "-c",
            TELL_ARGS,
            f"{tmp_path}/told %a.json",
            "%a",
            "<%a-%a>",
            "$a",
        ]
        log = f"{tmp_path}/100% %a.log"
        if self._refuses_arrays(scheduler):
            pytest.skip("has no job arrays")
        array = scheduler.submit_array(3, words, log, "suite:array", None, self.scheduler_args)
        members = [f"{array}_{i}" for i in range(3)]
        self.wait(scheduler, array, *members)
        for i, member in enumerate(members):
            told = tmp_path / f"told {i}.json"
            until(lambda told=told: _text(told), f"member {i} has run", self.patience)  # type: ignore[misc]
            assert json.loads(told.read_text()) == [f"{i}", f"<{i}-{i}>", "$a"]
            assert (tmp_path / f"100% {i}.log").read_text() == "to stderr\n"
            assert self.state(scheduler, member) in {"D"} | GONE
            status = scheduler.get_status(member)
            assert status is None or status.name == f"suite:array:{i}"
        assert self.state(scheduler, array) in {"D"} | GONE

    def test_array_waits_and_has_failed_if_a_member_has(
        self, scheduler: Scheduler, tmp_path: Path
    ) -> None:
        if self._refuses_arrays(scheduler):
            pytest.skip("has no job arrays")
        # A member that does not wait fails, too.
        first = tmp_path / "first"
        make = "import sys, time; time.sleep(1); open(sys.argv[1], 'w').close()"
        program = "import os, sys; os.stat(sys.argv[2]); sys.exit(int(sys.argv[1]) == 1)"
        words = [sys.executable, "-c", program, "%a", str(first)]
        before = [self.submit(scheduler, make, str(first), log=tmp_path / "1.log")]
        args = ("suite:array", before, self.scheduler_args)
        array = scheduler.submit_array(2, words, f"{tmp_path}/%a.log", *args)
        self.wait(scheduler, array)
        assert self.state(scheduler, f"{array}_0") in {"D"} | GONE
        assert self.state(scheduler, f"{array}_1") in {"F"} | GONE
        assert self.state(scheduler, array) in {"F"} | GONE

    def _refuses_arrays(self, scheduler: Scheduler) -> bool:
        try:
            scheduler.submit_array(0, ["true"], os.devnull, None, None, self.scheduler_args)
        except NotImplementedError:
            return True
        except UsageError:
            return False
        raise AssertionError("an array of no members was accepted")
