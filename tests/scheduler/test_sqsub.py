"""Sqsub, which is not to be had any more, by programs on PATH that answer as it did."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import Sqsub
from psyflow.testing.schedulers import SchedulerTests, until
from tests.support.place import Place

from .fake_programs import FakePrograms, failing
from .page_runs import check_task_file

ARGS = {"timelimit": "15m", "memory": "1G"}


@pytest.fixture
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sqsub")
    (folder / "queue").mkdir()
    program = shutil.copy(Path(__file__).parent / "fake_sqsub.py", folder)
    for name in ("sqsub", "sqjobs", "sqkill"):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} -S {program} {name} "$@"\n')
        (folder / name).chmod(0o755)
    yield folder
    stop_what_is_left(folder / "queue")


class TestSqsubThatRunsJobs(SchedulerTests):
    scheduler_args: ClassVar[Mapping[str, object]] = ARGS

    @pytest.fixture
    def scheduler(
        self, queue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Sqsub]:
        monkeypatch.setenv("PATH", f"{queue}:{os.environ['PATH']}")
        workdir = tmp_path / "workdir"
        workdir.mkdir()
        yield Sqsub(workdir)
        assert list(workdir.iterdir()) == [], "a submission left a file behind"


def stop_what_is_left(queue: Path) -> None:
    for path in queue.glob("*.name"):
        (queue / f"{path.stem}.over").touch()
        if (queue / f"{path.stem}.pid").exists():
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(int((queue / f"{path.stem}.pid").read_text()), signal.SIGKILL)
    runners = [int(path.read_text() or 0) for path in queue.glob("*.runner")]
    until(lambda: not any(is_alive(pid) for pid in runners), "the queue is empty", 180)


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


HEADER = (
    " jobid  queue state ncpus nodes time command",
    "------ ------ ----- ----- ----- ---- -----",
)


@pytest.fixture
def scheduler() -> Sqsub:
    class ImpatientSqsub(Sqsub):
        RETRY_PAUSES = (0.0, 0.0)

    return ImpatientSqsub()


def rendered(scheduler_args: Mapping[str, object], **more: object) -> str:
    scheduler = Sqsub()
    request = scheduler.request(
        ["echo", "a b"], "/tmp/log", "t:process:3", scheduler_args=scheduler_args, **more
    )
    return " ".join(scheduler.submit_command(request))


def test_command() -> None:
    assert rendered(ARGS) == "sqsub -o /tmp/log -j t:process:3 -r 15m --mpp=1G -n 1 echo a b"
    args = {**ARGS, "n_cpus": 4, "n_nodes": 2}
    assert rendered(args, depends_on=["7", "8"]) == (
        "sqsub -o /tmp/log -j t:process:3 -r 15m --mpp=1G -n 4 -N 2 -w 7,8 echo a b"
    )


def test_values_may_depend_on_the_job_and_none_is_dropped() -> None:
    args = {"timelimit": lambda job: job[-1] + "m", "memory": "1G", "n_nodes": None}
    assert " -r 3m --mpp=1G -n 1 echo" in rendered({**args, "n_cpus": lambda job: None})


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        ({}, "timelimit, memory"),
        ({"memory": "1G"}, "timelimit"),
        ({**ARGS, "memory": None}, "mem"),
    ],
)
def test_required_arguments_are_named(
    programs: FakePrograms, tmp_path: Path, args: dict[str, object], missing: str
) -> None:
    programs.says("sqsub", "")
    with pytest.raises(UsageError, match=f"Sqsub needs the scheduler arguments {missing}"):
        Sqsub().submit(["true"], tmp_path / "log", "t", None, args)
    assert programs.calls() == []
    Sqsub().check_args(Sqsub.USER_DEFAULT_ARGS)


def test_arguments_of_others_are_refused() -> None:
    with pytest.raises(UsageError, match="Known: dependency, extra_args, memory"):
        Sqsub().check_args({**ARGS, "partition": "x"})


def test_there_are_no_arrays(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError):
        Sqsub().submit_array(3, ["true"], tmp_path / "log", "t", None, ARGS)


def test_states(programs: FakePrograms, scheduler: Sqsub) -> None:
    rows = [f"{i} serial {s} 1 n1 1.5h ./a b  c" for i, s in enumerate(["R", "Q", "*Q", "Z", "C"])]
    programs.says("sqjobs", *HEADER, *rows, "5 serial NEW 1 n1 1.5h x", "", "garbage")
    ids = [str(i) for i in range(7)]
    statuses = scheduler.get_statuses(ids)
    assert " ".join(status.status for status in statuses.values()) == "R Q *Q Z D ? ?"
    assert statuses["0"].name == "./a b  c"
    assert programs.calls() == ["sqjobs"], "many ids are one query"
    scheduler.get_status("3")
    assert programs.calls()[1] == "sqjobs 3"


def test_nothing_in_the_queue_is_no_error(programs: FakePrograms, scheduler: Sqsub) -> None:
    programs.fails("sqjobs", "", 1)
    assert scheduler.get_status("3") is None
    assert len(programs.calls()) == 1


def test_query_that_fails_is_asked_again(programs: FakePrograms, scheduler: Sqsub) -> None:
    answer = "\n".join(f"echo '{line}'" for line in (*HEADER, "3 serial R 1 n1 1.5h x"))
    programs.add("sqjobs", failing("timeout", 2), answer)
    assert scheduler.get_status("3") == ("3", "R", "x")
    programs.fails("sqjobs", "timeout", 2)
    with pytest.raises(SchedulerError, match="sqjobs failed with exit code 2: timeout"):
        scheduler.get_status("3")


@pytest.mark.parametrize(
    "body", [":", "echo 17", 'for w; do case $w in --idfile=*) echo 1 2 > "${w#*=}";; esac; done']
)
def test_submission_without_an_id(programs: FakePrograms, tmp_path: Path, body: str) -> None:
    programs.add("sqsub", body)
    with pytest.raises(SchedulerError, match="sqsub did not say which job it submitted"):
        Sqsub(tmp_path).submit(["true"], tmp_path / "log", "t", None, ARGS)
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}


def test_refused_submission_says_why(programs: FakePrograms, tmp_path: Path) -> None:
    programs.fails("sqsub", "sqsub: over quota")
    with pytest.raises(SchedulerError, match="over quota"):
        Sqsub().submit(["true"], tmp_path / "log", "t", None, ARGS)


def test_workdir_is_created_when_a_job_is_submitted(
    programs: FakePrograms, tmp_path: Path
) -> None:
    scheduler = Sqsub(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    programs.add("sqsub", 'for w; do case $w in --idfile=*) echo 17 > "${w#*=}";; esac; done')
    assert scheduler.submit(["true"], tmp_path / "log", "t", None, ARGS) == "17"
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert f"--idfile={tmp_path}/a/b/" in programs.calls()[0]


def test_jobs_are_killed_one_by_one(programs: FakePrograms, scheduler: Sqsub) -> None:
    programs.add("sqkill", ":", failing("no such job"), ":")
    programs.fails("sqjobs")
    scheduler.kill_jobs(["1", "2", "3"])
    assert programs.calls("sqkill") == ["sqkill 1", "sqkill 2", "sqkill 3"]


def test_task_file_of_the_page(
    queue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{queue}:{os.environ['PATH']}")
    check_task_file("sqsub", Place(tmp_path))
