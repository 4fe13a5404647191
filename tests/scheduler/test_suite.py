"""The conformance suite finds what is broken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from psyflow.scheduler import ImmediateRun, JobId, JobStatus, Scheduler
from psyflow.scheduler.base import array_of
from psyflow.testing.schedulers import SchedulerTests


class ThroughAShell(ImmediateRun):
    def submit(self, args: Any, *more: Any) -> JobId:
        return super().submit(["sh", "-c", " ".join(f'"{arg}"' for arg in args)], *more)


class SaysAllIsWell(ImmediateRun):
    def get_status(self, jobid: JobId) -> JobStatus | None:
        status = super().get_status(jobid)
        return status and status._replace(status="D")


class TakesUnknownForDead(ImmediateRun):
    def get_statuses(self, jobids: Any) -> dict[JobId, JobStatus]:
        return {jobid: self.get_status(jobid) or JobStatus(jobid, "D", "") for jobid in jobids}


class LosesStderr(ImmediateRun):
    def submit(self, args: Any, *more: Any) -> JobId:
        return super().submit(["sh", "-c", 'exec "$@" 2>/dev/null', "sh", *args], *more)


class ForgetsTheIndex(ImmediateRun):
    def submit_array(self, n: int, args: Sequence[str], *more: Any) -> JobId:
        return super().submit_array(n, [arg.replace("%a", "0") for arg in args], *more)


class MixesUpMembers(ImmediateRun):
    def get_status(self, jobid: JobId) -> JobStatus | None:
        return super().get_status(array_of(jobid))


class TakesEmptyArrays(ImmediateRun):
    def submit_array(self, n: int, *more: Any) -> JobId:
        return super().submit_array(n or 1, *more)


class TellsNames(ImmediateRun):
    tells_names = True


class CutsNames(TellsNames):
    def submit(self, args: Any, log: Any, name: str | None = None, *more: Any) -> JobId:
        return super().submit(args, log, (name or "")[:40], *more)


class HasManyNames(ImmediateRun):
    def cluster_name(self) -> str:
        return str(len(self._statuses))


SUITE = SchedulerTests()
ARGS = SUITE.test_job_gets_its_arguments_exactly_and_logs_both_streams


@pytest.mark.parametrize(
    ("test", "broken"),
    [
        (ARGS, ThroughAShell()),
        (ARGS, LosesStderr()),
        (SUITE.test_failed_job_is_not_done, SaysAllIsWell()),
        (SUITE.test_array_waits_and_has_failed_if_a_member_has, SaysAllIsWell()),
        (SUITE.test_array_waits_and_has_failed_if_a_member_has, MixesUpMembers()),
        (SUITE.test_array_waits_and_has_failed_if_a_member_has, TakesEmptyArrays()),
        (SUITE.test_name_is_told_with_its_end, CutsNames()),
        (SUITE.test_cluster_is_called_the_same_again, HasManyNames()),
        (SUITE.test_array_runs_each_index_once, ForgetsTheIndex()),
        (SUITE.test_array_runs_each_index_once, MixesUpMembers()),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_broken_scheduler_is_found(
    test: Any, broken: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SchedulerTests, "patience", 0.3)
    test(ImmediateRun(), tmp_path)
    (folder := tmp_path / "broken").mkdir()
    with pytest.raises((AssertionError, FileNotFoundError)):
        test(broken, folder)


def test_names_that_are_told_are_seen(tmp_path: Path) -> None:
    SUITE.test_name_is_told_with_its_end(TellsNames(), tmp_path)


def test_unknown_taken_for_dead_is_found() -> None:
    with pytest.raises(AssertionError):
        SUITE.test_unknown_job_is_unknown_and_not_dead(TakesUnknownForDead())


def test_other_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SchedulerTests, "patience", 0.3)

    class ElsewhereOnly(ImmediateRun):
        def submit(self, args: Any, *more: Any) -> JobId:
            return super().submit(
                ["sh", "-c", f'cd {tmp_path}/bin && exec "$@"', "sh", *args], *more
            )

    (tmp_path / "bin").mkdir()
    with pytest.raises(AssertionError, match="the job has run here"):
        SUITE.test_job_runs_in_the_folder_of_the_submission(ElsewhereOnly(), tmp_path, monkeypatch)
