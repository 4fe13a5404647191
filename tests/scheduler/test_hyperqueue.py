"""HyperQueue, by a program on PATH that answers as `hq` does and really runs the jobs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import SchedulerError, UnknownNameError, UsageError
from psyflow.scheduler import HyperQueue, JobStatus
from psyflow.testing.schedulers import SchedulerTests, until
from tests.support.place import Place

from .fake_cluster import command_of, end
from .fake_programs import FakePrograms, failing
from .page_runs import check_task_file
from .reused_ids import check_reused_ids

KILLED = "Program terminated with exit code -1. Received signal 9 (SIGKILL)."


@pytest.fixture
def hq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The program on PATH, over a cluster in the folder that is returned."""
    programs, state = tmp_path / "bin", tmp_path / "state"
    for folder in (programs, state):
        folder.mkdir()
    program = programs / "hq"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command_of("fake_hq"))} hq "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CLUSTER", str(state))
    yield state
    end(state)


@pytest.fixture
def scheduler(hq: Path) -> HyperQueue:
    return HyperQueue()


class TestHyperQueue(SchedulerTests):
    @pytest.fixture
    def scheduler(self, hq: Path) -> HyperQueue:
        return HyperQueue()


def states(scheduler: HyperQueue, *jobids: str) -> str:
    return " ".join(status.status for status in scheduler.get_statuses(jobids).values())


def command(array_size: int | None = None, *depends_on: str, **args: object) -> list[str]:
    scheduler = HyperQueue()
    request = scheduler.request(["x"], "/tmp/log", "t", depends_on, args, array_size)
    return scheduler.submit_command(request)


def script(*depends_on: str, **args: object) -> str:
    return command(None, *depends_on, **args)[-1]


class TestJobs:
    def test_merge_runs_after_failures_and_kills(
        self, scheduler: HyperQueue, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        array = scheduler.submit_array(2, ["sh", "-c", "exit %a"], log, "a")
        killed = scheduler.submit(["sleep", "600"], log, "k")
        merge = scheduler.submit(["touch", tmp_path / "merged"], log, "merge", [array, killed])
        until(lambda: states(scheduler, array, killed, merge) == "F R R", "merge waits", 180)
        assert not (tmp_path / "merged").exists()
        scheduler.kill(killed)
        until(lambda: states(scheduler, array, killed, merge) == "F C D", "all are over", 180)
        assert (tmp_path / "merged").exists()
        found = scheduler.get_statuses([f"{array}_1", array])
        assert [status.reason for status in found.values()] == ["exit code 1", "exit code 1"]

    def test_killed_job_that_waits_does_not_begin(
        self, scheduler: HyperQueue, tmp_path: Path
    ) -> None:
        first = scheduler.submit(["sleep", "600"], tmp_path / "log", "first")
        second = scheduler.submit(["touch", tmp_path / "x"], tmp_path / "log", "second", [first])
        until(lambda: states(scheduler, second) == "R", "it waits", 180)
        scheduler.kill_jobs([second, first])
        until(lambda: states(scheduler, first, second) == "C C", "both are killed", 180)
        assert not (tmp_path / "x").exists()

    def test_nothing_begins_if_hq_cannot_be_reached(
        self, programs: FakePrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", f"{programs.folder}:{os.environ['PATH']}:/usr/bin:/bin")
        request = HyperQueue().request(["touch", tmp_path / "x"], tmp_path / "log", "t", ["7"])
        told = shlex.join(HyperQueue().submit_command(request)[-3:])
        programs.add("hq", failing("Cannot connect"))
        assert os.waitstatus_to_exitcode(os.system(told)) == 1
        assert not (tmp_path / "x").exists()
        assert (tmp_path / "log").read_text() == "Cannot connect\n" * 2
        (programs.folder / "hq").unlink()
        assert os.waitstatus_to_exitcode(os.system(told)) == 127
        assert not (tmp_path / "x").exists()

    def test_time_limit_ends_a_job(self, scheduler: HyperQueue, tmp_path: Path) -> None:
        job = scheduler.submit(["sleep", "600"], tmp_path / "log", "t", None, {"timelimit": "1s"})
        until(lambda: states(scheduler, job) == "F", "its time is over", 180)
        status = scheduler.get_status(job)
        assert status is not None and status.reason == "timeout"

    def test_array_of_one(self, scheduler: HyperQueue, tmp_path: Path) -> None:
        array = scheduler.submit_array(1, ["echo", "<%a>"], f"{tmp_path}/log %a", "a:b")
        until(lambda: states(scheduler, f"{array}_0", array) == "D D", "it is done", 180)
        assert (tmp_path / "log 0").read_text() == "<0>\n"
        assert scheduler.get_status(f"{array}_0") == (f"{array}_0", "D", "a:b:0")

    def test_member_cannot_be_killed_alone(self, scheduler: HyperQueue, tmp_path: Path) -> None:
        array = scheduler.submit_array(2, ["sleep", "600"], tmp_path / "log", "a")
        with pytest.raises(SchedulerError, match=rf"cannot kill job {array}_1 alone.*{array}\."):
            scheduler.kill(f"{array}_1")
        scheduler.kill(array)
        until(lambda: states(scheduler, array) == "C", "all are killed", 180)

    def test_name_may_be_long(self, scheduler: HyperQueue, tmp_path: Path) -> None:
        job = scheduler.submit(["true"], tmp_path / "log", "ü" * 30)
        until(lambda: states(scheduler, job) == "D", "it is done", 180)
        assert scheduler.get_status(job) == (job, "D", "ü" * 20)

    def test_refused_submission_says_why(self, scheduler: HyperQueue, tmp_path: Path) -> None:
        with pytest.raises(SchedulerError, match="Zero resources cannot be requested"):
            scheduler.submit(["true"], tmp_path / "log", "t", None, {"n_cpus": 0})

    def test_no_hyperqueue_says_what_to_do(self, programs: FakePrograms, tmp_path: Path) -> None:
        with pytest.raises(SchedulerError, match=r'no program "hq".*ImmediateRun'):
            HyperQueue().submit(["true"], tmp_path / "log", "t")

    def test_lasting_error_is_no_state(
        self, programs: FakePrograms, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(HyperQueue, "RETRY_PAUSES", ())
        programs.fails("hq", "No online server found")
        with pytest.raises(SchedulerError, match="No online server found"):
            HyperQueue().get_statuses(["7"])


class TestCommand:
    def test_arguments_become_options(self) -> None:
        told = command(
            4,
            n_cpus=2,
            n_nodes=1,
            memory="2G",
            n_gpus=1,
            time_request="1h 30m",
            resources={"fpga": 2},
            priority=-1,
            pin="taskset",
            crash_limit=3,
        )
        assert "--array=0-3" in told
        assert told[told.index("--array=0-3") + 1 : told.index("--")] == [
            *("--crash-limit", "3", "--cpus", "2", "--nodes", "1", "--pin", "taskset"),
            *("--priority", "-1", "--resource=mem=2048", "--resource=gpus/nvidia=1"),
            *("--resource=fpga=2", "--time-request=5400s"),
        ]

    def test_what_waits_takes_no_place(self) -> None:
        assert "--cpus" not in command()
        assert command(None, "7")[command(None, "7").index("--cpus") + 1] == "0.0001"
        assert command(None, "7", n_cpus=2)[6:8] == ["--cpus", "2"]
        assert "--cpus" not in command(3, "7")

    def test_waiting_is_no_part_of_the_time(self) -> None:
        wait = "hq job wait 7,9 >/dev/null || hq job list >/dev/null || exit\n"
        begin = "exec >>/tmp/log 2>&1\n"
        assert script() == f"{begin}exec x\n"
        assert script("7", "9_3") == f"{begin}{wait}exec x\n"
        assert script("7", "9", timelimit="0:01:30") == f"{begin}{wait}exec timeout -k 30 90 x\n"

    @pytest.mark.parametrize(
        ("args", "complaint"),
        [
            ({"time_request": "soon"}, 'a time such as "1:30:00"'),
            ({"memory": "much"}, "or a number of MiB"),
            ({"resources": "gpu"}, '"resources" is a dict'),
        ],
    )
    def test_wrong_ones_are_refused(self, args: dict[str, object], complaint: str) -> None:
        with pytest.raises(UsageError, match=complaint):
            HyperQueue().check_args(args)

    def test_misspelt_one_lists_the_valid(self) -> None:
        with pytest.raises(UnknownNameError, match='Did you mean "n_cpus"'):
            HyperQueue().check_args({"n_cpu": 1})

    def test_defaults_for_new_tasks_are_valid(self) -> None:
        HyperQueue().check_args(HyperQueue.USER_DEFAULT_ARGS)


class TestAnswers:
    def test_listing_tells_less(self) -> None:
        def state(**counts: int) -> str:
            told = [{"id": 7, "name": "a:b", "task_count": 3, "task_stats": counts}]
            (status,) = HyperQueue().parse_status(json.dumps(told)).values()
            assert (status.id, status.name) == ("7", "a:b" if any(counts.values()) else "")
            return status.status

        assert state(running=0, finished=3, failed=0, canceled=0, waiting=0) == "D"
        assert state(running=1, finished=1, failed=1) == "R"
        assert state(finished=2, failed=1) == "F"
        assert state(waiting=3, finished=0) == "Q"
        assert state(canceled=3) == "C"
        assert state(unheard_of=3) == "?"
        assert state() == "?"

    def test_unknown_state_is_unknown(self) -> None:
        told = json.dumps([{"info": {"id": 7, "name": "t"}, "tasks": [{"id": 0, "state": "odd"}]}])
        assert HyperQueue().parse_status(told) == {"7": ("7", "?", "t")}

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            ("Program terminated with exit code 3.", "exit code 3"),
            ("Program terminated with exit code 124.", "timeout"),
            (KILLED, KILLED),
            (None, ""),
        ],
    )
    def test_failed_task_says_why(self, error: str | None, reason: str) -> None:
        task = {"id": 0, "state": "failed", "error": error}
        told = json.dumps([{"info": {"id": 7, "name": "t"}, "tasks": [task]}])
        assert HyperQueue().parse_status(told)["7"].reason == reason

    @pytest.mark.parametrize("text", ["", "7", "[]", '{"id": "x"}', "Job submitted"])
    def test_answer_without_an_id(self, text: str) -> None:
        assert HyperQueue().parse_job_id(text) == ""

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3) | st.sampled_from(["info", "failed"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["info", "tasks", "id", "state", "name", "task_stats", "error"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
        )
    )
    def test_nonsense_never_raises(self, told: object) -> None:
        statuses = HyperQueue().parse_status(json.dumps([told]))
        assert all(isinstance(status, JobStatus) for status in statuses.values())

    def test_half_an_answer_is_none(self) -> None:
        with pytest.raises(SchedulerError, match="What hq answered cannot be read"):
            HyperQueue().parse_status('[{"id": 7')


def test_task_file_of_the_page(hq: Path, tmp_path: Path) -> None:
    check_task_file("hyperqueue", Place(tmp_path))


def report(place: Place) -> dict[str, object]:
    told: dict[str, object] = json.loads(place.call("status", "--json").stdout)["t"]
    return told


def test_job_that_dies_is_continued_without_anybody(hq: Path, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.task(
        "t",
        "import os, time\n"
        "from pathlib import Path\n"
        "from psyflow import LoadBalancingBackend, Param\n"
        "from psyflow.scheduler import HyperQueue\n"
        "scheduler = HyperQueue()\n"
        'scheduler_args = {"timelimit": "5m"}\n'
        "backend = LoadBalancingBackend\n"
        "max_jobs = 1\n"
        "pspace = Param(x=range(12))\n"
        "def execute(x):\n"
        "    time.sleep(0.05)\n"
        "    if x == 6 and not Path('died').exists():\n"
        "        Path('died').touch()\n"
        "        os.kill(os.getppid(), 9)\n"
        "        time.sleep(600)\n"
        '    return {"y": x**2}\n',
    )
    assert place.program("run").returncode == 0
    until(lambda: report(place)["up_to_date"], "the run is continued and complete", 180)
    assert place.result("t") == {"x": list(range(12)), "y": [x**2 for x in range(12)]}
    assert "Continued as" in (place.work / "t/t:merge.log").read_text()


def test_kill_ends_own_jobs_only(hq: Path, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.task(
        "t",
        "import time\n"
        "from psyflow import Param\n"
        "from psyflow.scheduler import HyperQueue\n"
        "scheduler = HyperQueue()\n"
        "max_jobs = 2\n"
        "pspace = Param(x=range(40))\n"
        "def execute(x):\n"
        "    time.sleep(600 if x > 9 else 0)\n"
        '    return {"y": x**2}\n',
    )
    foreign = HyperQueue().submit(["sleep", "600"], tmp_path / "log", "foreign")
    assert place.program("run").returncode == 0
    until(lambda: int(str(report(place)["n_done"])) > 1, "some items are done", 180)
    assert place.program("kill", "t").returncode == 0
    until(lambda: not report(place)["jobs"], "no job is at work", 180)
    assert 1 < int(str(report(place)["n_done"])) < 40
    assert states(HyperQueue(), foreign) == "R", "a foreign job was killed"
    HyperQueue().kill(foreign)


def test_job_of_another_name_is_somebody_elses(hq: Path, tmp_path: Path) -> None:
    head = "from psyflow.scheduler import HyperQueue\nscheduler = HyperQueue()"
    check_reused_ids(Place(tmp_path), HyperQueue(), head)


def test_long_name_keeps_its_mark(hq: Path, tmp_path: Path) -> None:
    job = HyperQueue().submit(["true"], tmp_path / "log", "a" * 60 + ":process.k7fq2a")
    status = HyperQueue().get_status(job)
    assert status is not None
    assert status.name == "a" * 33 + ".k7fq2a"
