"""What a cluster says of its limits is asked for before anything is submitted, and kept to."""

from __future__ import annotations

import getpass
import math
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from psyflow.scheduler import LSF, PBS, GridEngine, Scheduler, Slurm
from psyflow.scheduler.limits import JOBS, SECONDS, Limit, least
from psyflow.scheduler.questions import Questions
from psyflow.scheduler.slurm.limits import Told, config_limits, parse_table
from psyflow.testing import FakeSlurm
from tests.support.place import SQUARE, Place

from .fake_programs import FakePrograms
from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

HEAD = "from psyflow.scheduler import Slurm\nscheduler = Slurm()\n"
CONFIG = """\
AccountingStorageEnforce = associations,limits,qos
AccountingStorageType   = accounting_storage/slurmdbd
ClusterName             = lab
MaxArraySize            = 101
MaxJobCount             = 10000"""
PARTITIONS = """\
PartitionName=day Default=YES QoS=N/A DefaultTime=NONE MaxTime=1-00:00:00 State=UP
PartitionName=short Default=NO QoS=quick DefaultTime=00:05:00 MaxTime=00:10:00 State=UP"""
USERS = """\
Def Acct|Cluster|Account|Partition|Def QOS|MaxJobs|MaxSubmit|GrpSubmit|MaxWall
physics|lab|physics|||3|4||
physics|lab|chemistry|||||2|
physics|elsewhere|physics||||1||"""
QOS = """\
Name|Flags|MaxJobsPU|MaxJobsPA|MaxSubmitPU|MaxSubmitPA|GrpSubmit|MaxWall
normal|||||||
big||||20|||
long|PartitionTimeLimit||||||5-00:00:00
quick||||3|||"""


def printing(text: str) -> str:
    return f"cat <<'END'\n{text}\nEND"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    """A Slurm that only tells; a submission is a failure of the test."""
    programs = FakePrograms(tmp_path / "bin")
    programs.add(
        "scontrol",
        f'case "$*" in *config*)\n{printing(CONFIG)}\n;;\n*)\n{printing(PARTITIONS)}\n;;\nesac',
    )
    qos, users = '*"show qos format="*', '*"show user name="*'
    answers = f"{qos})\n{printing(QOS)}\n;;\n{users})\n{printing(USERS)}\n;;"
    programs.add("sacctmgr", f'case "$*" in {answers}\nesac')
    programs.fails("sbatch", "must not be called")
    monkeypatch.setenv("PATH", f"{programs.folder}:{os.environ['PATH']}")
    return programs


def task(max_jobs: int, args: str = "") -> str:
    return f"{HEAD}max_jobs = {max_jobs}\nscheduler_args = dict({args})\n{SQUARE}"


def run(tmp_path: Path, max_jobs: int, args: str = "", *words: str) -> str:
    """Run a task that is not to be submitted, and return what is said."""
    place = Place(tmp_path)
    place.task("t", task(max_jobs, args))
    shown = place.program("run", *words, "t")
    assert shown.returncode == (0 if words else 3), shown.stderr
    assert not (place.work / "t" / "plan.json").exists()
    return shown.stdout + shown.stderr


def test_more_jobs_than_an_account_may_have(tmp_path: Path, site: FakePrograms) -> None:
    told = run(tmp_path, 3)
    assert "Nothing was submitted. The task asks for 3 process jobs, 5 jobs with those" in told
    assert "MaxSubmit = 4 jobs submitted (account physics). Set max_jobs = 2" in told
    assert not site.calls("sbatch")


def test_an_account_that_no_run_fits_in(tmp_path: Path, site: FakePrograms) -> None:
    told = run(tmp_path, 1, "account='chemistry'")
    assert "GrpSubmit = 2 jobs submitted (account chemistry)" in told
    assert "too few for any run, which needs three" in told


@pytest.mark.parametrize(
    ("args", "asks"),
    [
        ("partition='short', timelimit='15m'", "15 minutes, and MaxTime = 10 minutes"),
        ("extra_args=['-p', 'short'], timelimit='0:15:00'", "15 minutes, and MaxTime"),
        ("timelimit='UNLIMITED'", "no time limit, and MaxTime = 1 day (partition day)"),
        ("partition=['short', 'day'], timelimit='2 days'", "2 days, and MaxTime = 1 day"),
        ("qos='long', timelimit='6 days'", "6 days, and MaxWall = 5 days (QOS long)"),
        (
            "timelimit=lambda job: '2 days' if 'merge' in job else 5",
            "The timelimit of t:merge is over",
        ),
    ],
)
def test_a_time_that_no_job_gets(tmp_path: Path, site: FakePrograms, args: str, asks: str) -> None:
    assert asks in run(tmp_path, 2, args)


def test_a_dry_run_shows_limits_and_what_is_over_them(tmp_path: Path, site: FakePrograms) -> None:
    told = run(tmp_path, 2, "timelimit=10", "-n")
    assert "limits here: MaxArraySize = 101; MaxJobCount = 10000 jobs submitted" in told
    assert "MaxTime = 1 day (partition day)" in told
    assert "array of 2" in told
    told = run(tmp_path, 3, "timelimit=10", "-n")
    assert "nothing would run. The task asks for 3 process jobs" in told


def test_one_question_for_all_tasks(tmp_path: Path, site: FakePrograms) -> None:
    place = Place(tmp_path)
    for name in ("a", "b", "c"):
        place.task(name, task(5))
    assert place.program("run").returncode == 3
    told = [call for call in site.calls("scontrol") if "assoc_mgr" not in call]
    assert len(told) == 2
    assert len(site.calls("sacctmgr")) == 2


@pytest.mark.parametrize("program", ["scontrol", "sacctmgr"])
def test_a_cluster_that_hangs_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    programs = FakePrograms(tmp_path / "bin")
    with FakeSlurm(tmp_path / "slurm", accounting=True) as slurm:
        path = f"{programs.folder}:{slurm.environment['PATH']}"
        programs.add(program, "exec sleep 1000")
        place = Place(tmp_path)
        for name in ("a", "b"):
            place.task(name, task(2))
        shown = place.program("run", env={"PATH": path})
        assert shown.returncode == 0, shown.stderr
        assert len(programs.calls(program)) == 1
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        assert place.program("run", "--wait").returncode == 0
    assert "4 out of 4 rows" in place.program("status", "a").stdout


def test_a_cluster_that_only_refuses(tmp_path: Path) -> None:
    programs = FakePrograms(tmp_path / "bin")
    with FakeSlurm(tmp_path / "slurm") as slurm:
        real = subprocess.check_output(
            ["sh", "-c", "command -v sbatch"], env=dict(slurm.environment), text=True
        ).strip()
        refusal = "echo 'sbatch: error: Job violates policy (job submit limit)' >&2; exit 1"
        programs.add("sbatch", f'case "$*" in *--array*) {refusal};; esac\nexec {real} "$@"')
        place = Place(tmp_path)
        place.task("t", task(2))
        path = f"{programs.folder}:{slurm.environment['PATH']}"
        shown = place.program("run", "t", env={"PATH": path})
    assert shown.returncode == 3
    assert "What it says of limits: MaxArraySize = 1001" in shown.stderr
    assert "set a smaller max_jobs" in shown.stderr


@contextmanager
def modified(slurm: PrivateSlurm, *words: str, back: tuple[str, ...]) -> Iterator[None]:
    slurm.client(*words)
    try:
        yield
    finally:
        slurm.client(*back)


def test_limits_of_a_real_accounting(
    tmp_path: Path, accounted_slurm: PrivateSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, place = getpass.getuser(), Place(tmp_path)
    account = ("sacctmgr", "-i", "modify", "user", user, "set")
    partition = ("scontrol", "update", "PartitionName=debug")
    with modified(accounted_slurm, *account, "MaxSubmit=3", back=(*account, "MaxSubmit=-1")):
        place.task("t", task(2))
        shown = place.program("run", "t")
        assert shown.returncode == 3
        assert f"MaxSubmit = 3 jobs submitted (account {user}). Set max_jobs = 1" in shown.stderr
        # It is as Slurm itself has it.
        command = ("sbatch", "--output=/dev/null", "--array=0-3", "--wrap=true")
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "AssocMaxSubmitJobLimit" in refused.stderr
        place.task("t", task(1))
        assert place.program("run", "--wait", "t").returncode == 0
    back = (*partition, "MaxTime=UNLIMITED")
    with modified(accounted_slurm, *partition, "MaxTime=10", back=back):
        place.task("u", task(2, "timelimit=15"))
        shown = place.program("run", "u")
        assert shown.returncode == 3
        assert "15 minutes, and MaxTime = 10 minutes (partition debug)" in shown.stderr


def test_limits_of_grid_engine(gridengine: PrivateGridEngine) -> None:
    told = [str(limit) for limit in GridEngine().limits_of({"queue": "main.q"})]
    assert any(text.startswith("max_aj_tasks = ") for text in told)
    assert not [text for text in told if text.startswith("h_rt")]


def test_limits_of_queues(programs: FakePrograms) -> None:
    queues = "qname a.q\nh_rt 01:00:00,[big=02:00:00]\n\nqname b.q\nh_rt INFINITY"
    programs.add("qconf", f'case "$1" in -sq)\n{printing_here(queues)}\n;;\nesac')
    of = {
        queue: least(GridEngine().limits_of({"queue": queue}), SECONDS) for queue in ("a.q", "b*")
    }
    assert of == {"a.q": Limit("h_rt", 7200, SECONDS, "queue a.q"), "b*": None}
    assert least(GridEngine().limits_of(), SECONDS) is None
    assert GridEngine().default_time_limit({"queue": "a.q@big"}) is None
    assert GridEngine().default_time_limit({"queue": "b.q"}) == math.inf


def printing_here(text: str) -> str:
    """Print without a program: `programs` has none."""
    return "\n".join(f"echo '{line}'" for line in text.splitlines())


def test_limits_of_pbs(programs: FakePrograms) -> None:
    server = "Server: s\n    default_queue = workq\n    max_queued = [u:PBS_GENERIC=5],[u:_=9]"
    queues = "Queue: workq\n    resources_max.walltime = 24:00:00\n\nQueue: q\n    total_jobs = 0"
    programs.add(
        "qstat",
        f'case "$*" in *-Q*)\n{printing_here(queues)}\n;;\n*)\n{printing_here(server)}\n;;\nesac',
    )
    assert least(PBS().limits_of(), JOBS) == Limit("max_queued", 5, JOBS, "Server s")
    assert str(least(PBS().limits_of(), SECONDS)) == "resources_max.walltime = 1 day (Queue workq)"
    assert least(PBS().limits_of({"queue": "q"}), SECONDS) is None


def test_limits_of_lsf(programs: FakePrograms) -> None:
    queues = (
        "QUEUE: normal\nDEFAULT LIMITS:\n RUNLIMIT\n 60.0 min\n\nMAXIMUM LIMITS:\n RUNLIMIT\n"
        " 1440.0 min of hostA\n\nQUEUE: free\n  -- No description\n"
    )
    programs.add("bqueues", printing_here(queues))
    programs.says("bparams", "    DEFAULT_QUEUE = normal", "    MAX_JOB_ARRAY_SIZE = 1000")
    programs.says("busers", "USER/GROUP JL/P MAX", "me - 5")
    told = [str(limit) for limit in LSF().limits_of()]
    assert told == [
        "MAX_JOB_ARRAY_SIZE = 1000",
        "MAX = 5 jobs running (slots of the user)",
        "RUNLIMIT = 1 day (queue normal)",
    ]
    assert least(LSF().limits_of({"queue": "free"}), SECONDS) is None


@pytest.mark.parametrize(
    "scheduler", [Slurm(), GridEngine(), PBS(), LSF()], ids=lambda s: type(s).__name__
)
def test_what_is_not_there_tells_nothing(scheduler: Scheduler, programs: FakePrograms) -> None:
    assert scheduler.limits_of({}) == []


@pytest.mark.parametrize(
    ("asked", "partition", "names"),
    [
        ("", "", ["MaxSubmit", "MaxJobs"]),
        ("big", "", ["MaxSubmitPU", "MaxJobs"]),
        ("big", "quick", ["MaxSubmitPU", "MaxJobs"]),
        ("long", "", ["MaxSubmit", "MaxWall", "MaxJobs"]),
    ],
)
def test_a_qos_goes_before_an_account(asked: str, partition: str, names: list[str]) -> None:
    users, qos = parse_table(USERS), parse_table(QOS)
    told = Told(users, qos, "lab", asked=asked, qos_of_partition=partition).limits()
    assert [limit.name for limit in told] == names
    if partition:
        assert told[0].amount == 3, "the QOS of the partition counts"


def test_what_is_only_noted_is_not_kept_to() -> None:
    told = Told(parse_table(USERS), parse_table(QOS), "lab", is_enforced=False).limits()
    assert told
    assert least(told, JOBS) is None
    assert least(config_limits({"MaxJobCount": "5"}), JOBS) is None


def test_questions_are_patient_for_so_long() -> None:
    asked: list[float] = []

    def hang(seconds: float) -> None:
        asked.append(seconds)

    questions = Questions(patience=0.0)
    assert [questions.ask(n, hang) for n in range(3)] == ["", "", ""]
    assert not asked
    questions = Questions(patience=100.0)
    assert [questions.ask("same", hang) for _ in range(3)] == ["", "", ""]
    assert len(asked) == 1
