"""Grid Engine as it is, on one host."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import GridEngine, JobId, JobStatus, Scheduler
from psyflow.scheduler.gridengine.texts import parse_qacct, parse_qstat
from psyflow.scheduler.names import to_name
from psyflow.testing.schedulers import SchedulerTests, until
from tests.support.place import Place

from .fake_programs import FakePrograms
from .page_runs import check_task_file
from .private_gridengine import PrivateGridEngine

ACCOUNTING_SECONDS = 10.0


class TestGridEngine(SchedulerTests):
    @pytest.fixture
    def scheduler(self, gridengine: PrivateGridEngine) -> GridEngine:
        return GridEngine()

    def wait(self, scheduler: Scheduler, *jobids: JobId) -> None:
        """Wait until the jobs are over, and in the accounting: in between, nobody knows them."""
        super().wait(scheduler, *jobids)
        deadline = time.monotonic() + ACCOUNTING_SECONDS
        while "?" in states(scheduler, *jobids).split() and time.monotonic() < deadline:
            time.sleep(0.1)


@pytest.fixture
def scheduler(gridengine: PrivateGridEngine) -> GridEngine:
    return GridEngine()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def states(scheduler: Scheduler, *jobids: str) -> str:
    return " ".join(status.status for status in scheduler.get_statuses(jobids).values())


def test_one_member_is_killed_the_rest_goes_on(
    scheduler: GridEngine, gridengine: PrivateGridEngine, log: Path
) -> None:
    foreign = gridengine.client("qsub", "-terse", "-h", "-b", "y", "-o", "/dev/null", "true")
    array = scheduler.submit_array(3, ["sleep", "600"], log, "a:b", None, {"max_running": 2})
    merge = scheduler.submit(["true"], log, "merge", [array])
    members = [f"{array}_{i}" for i in range(3)]
    until(lambda: states(scheduler, *members) == "R R Q", "two members run", 180)
    assert states(scheduler, merge, array) == "*Q R"
    assert scheduler.get_status(members[0]) == (members[0], "R", "a:b:0")
    scheduler.kill(members[0])
    until(lambda: states(scheduler, *members) in ("C R R", "? R R"), "the third runs", 180)
    scheduler.kill_jobs([merge, array])
    until(lambda: not scheduler.get_jobs() or "R" not in states(scheduler, array), "gone", 180)
    assert states(scheduler, foreign.strip()) == "*Q", "a foreign job was killed"
    scheduler.kill(foreign.strip())


def test_merge_runs_after_failures(scheduler: GridEngine, log: Path, tmp_path: Path) -> None:
    array = scheduler.submit_array(2, ["sh", "-c", "exit %a"], log, "a")
    merge = scheduler.submit(["touch", tmp_path / "merged"], log, "merge", [array])
    until((tmp_path / "merged").exists, "the merge job has run", 180)
    until(lambda: states(scheduler, f"{array}_0", f"{array}_1", merge) == "D F D", "over", 180)
    assert scheduler.get_statuses([f"{array}_1"])[f"{array}_1"].reason == "exit code 1"


def test_time_limit_is_the_reason(scheduler: GridEngine, log: Path) -> None:
    assert scheduler.time_limit({"timelimit": "0:0:2"}) == 2
    job = scheduler.submit(["sleep", "600"], log, "t", None, {"timelimit": "0:0:2"})
    until(lambda: states(scheduler, job) == "F", "the job is ended", 180)
    assert scheduler.get_statuses([job])[job].reason == "timeout"


def test_cluster_says_how_large_arrays_may_be(scheduler: GridEngine) -> None:
    assert scheduler.max_array_size() == 75000


def test_refused_submission_says_why(scheduler: GridEngine, log: Path) -> None:
    with pytest.raises(SchedulerError, match="nosuch"):
        scheduler.submit(["true"], log, "t", None, {"queue": "nosuch.q"})
    for args in ({"hold": 1}, {"resources": "a=1"}, {"memroy": "1G"}):
        with pytest.raises(UsageError):
            scheduler.check_args(args)


TASK = """
from psyflow import Param
from psyflow.scheduler import GridEngine

scheduler = GridEngine()
scheduler_args = {"timelimit": "0:10:0"}
max_jobs = 2
pspace = Param(x=range(6))

def execute(x):
    return {"y": x**2}
"""


def test_whole_run(tmp_path: Path, gridengine: PrivateGridEngine) -> None:
    place = Place(tmp_path)
    place.task("t", TASK)
    told = place.program("run")
    assert "jobs are submitted" in told.stderr

    def is_done() -> bool:
        report = json.loads(place.call("status", "--json").stdout)["t"]
        return report["up_to_date"] and not report["jobs"]

    until(is_done, "the task is up to date", 180)
    assert place.result("t") == {"x": list(range(6)), "y": [x**2 for x in range(6)]}


QSTAT = """<?xml version='1.0'?>
<job_info><queue_info>
<job_list state="running"><JB_job_number>2</JB_job_number><JB_name>t=p</JB_name>
<state>{state}</state><tasks>{tasks}</tasks></job_list></queue_info></job_info>"""


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        *[("r", "R"), ("t", "R"), ("dr", "R"), ("Rr", "R"), ("s", "R"), ("qw", "Q")],
        *[("hqw", "*Q"), ("Eqw", "*Q"), ("hRwq", "*Q"), ("x", "?"), ("", "?")],
    ],
)
def test_states(letters: str, state: str) -> None:
    found = parse_qstat(QSTAT.format(state=letters, tasks="1,4-8:4"))
    assert found == {f"2_{i}": (f"2_{i}", state, f"t:p:{i}") for i in (0, 3, 7)}


def test_half_an_answer_is_none() -> None:
    whole = QSTAT.format(state="r", tasks="1").rstrip()
    for end in range(1, len(whole)):
        with pytest.raises(SchedulerError, match="What qstat answered cannot be read"):
            parse_qstat(whole[:end])


@given(st.text(alphabet="=\n jobnumber taskid failed exit_status 0123456789:-undefined"))
def test_nonsense_tells_nothing_wrong(text: str) -> None:
    for parse in (parse_qacct, parse_qstat):
        with contextlib.suppress(SchedulerError):
            assert all(isinstance(status, JobStatus) for status in parse(text).values())


@given(st.text(min_size=1))
def test_names_are_what_grid_engine_takes(name: str) -> None:
    assert not set(to_name(name)) & set("\n\t\r/:@\\*?")


def test_task_file_of_the_page(gridengine: PrivateGridEngine, tmp_path: Path) -> None:
    check_task_file("gridengine", Place(tmp_path))


def test_cluster_tells_its_name_without_being_asked(
    programs: FakePrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SGE_CELL", "SGE_CLUSTER_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SGE_ROOT", str(tmp_path))
    assert GridEngine().cluster_name() is None
    monkeypatch.setenv("SGE_CLUSTER_NAME", "p6444")
    assert GridEngine().cluster_name() == "p6444"
    common = tmp_path / "default" / "common"
    common.mkdir(parents=True)
    (common / "cluster_name").write_text("lonely\n")
    assert GridEngine().cluster_name() == "lonely"
    assert programs.calls() == []
