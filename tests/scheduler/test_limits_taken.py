"""What is there already counts against the limits of a cluster, and so do accounts above."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from psyflow.scheduler import LSF, PBS, Flux, GridEngine
from psyflow.scheduler.limits import JOBS, MEMBERS, SECONDS, Limit, least
from psyflow.scheduler.slurm.associations import parse_associations
from psyflow.scheduler.slurm.limits import Told
from tests.support.place import SQUARE, Place

from .fake_programs import FakePrograms
from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

ASSOCIATIONS = """\
ClusterName=lab Account=all UserName= Partition= ParentAccount=root(1) GrpSubmitJobs=10(4) MaxSubmitJobs=7(4)
ClusterName=lab Account=group UserName= Partition= ParentAccount=all(3) GrpSubmitJobs=N(4) MaxSubmitJobs=
ClusterName=lab Account=tiny UserName= Partition= ParentAccount=group(4) GrpSubmitJobs=N(4) MaxSubmitJobs=
ClusterName=lab Account=tiny UserName=bob(9) Partition= ParentAccount= GrpSubmitJobs=N(1) MaxSubmitJobs=7(1)
ClusterName=lab Account=tiny UserName=ada(7) Partition= ParentAccount= GrpSubmitJobs=N(3) MaxSubmitJobs=7(3)
QOS=big(2) GrpSubmitJobs=9(6) Account Limits= tiny={MaxJobsPA=N(0) MaxSubmitJobsPA=N(5)} \
User Limits= 9={MaxJobsPU=N(0) MaxSubmitJobsPU=6(1)} 7={MaxJobsPU=N(0) MaxSubmitJobsPU=6(2)}
"""  # noqa: E501
USERS = [{"Def Acct": "tiny", "Account": "tiny", "MaxSubmit": "7", "Partition": ""}]
BIG = {"Name": "big", "MaxSubmitPU": "6", "GrpSubmit": "9"}


def told(**changes: object) -> list[str]:
    associations = parse_associations(ASSOCIATIONS, "ada")
    about = {"users": USERS, "associations": associations, "user": "ada", "uid": 7}
    return [str(limit) for limit in Told(**(about | changes)).limits()]  # type: ignore[arg-type]


def test_what_is_taken_of_an_account_and_of_those_above_it() -> None:
    assert told() == [
        "MaxSubmit = 7 jobs submitted (account tiny), 3 of them taken",
        "GrpSubmit = 10 jobs submitted (account all with those below it), 4 of them taken",
    ]


def test_a_qos_stands_in_place_of_all_accounts() -> None:
    assert told(qos=[BIG], asked="big") == [
        "MaxSubmitPU = 6 jobs submitted (QOS big), 2 of them taken",
        "GrpSubmit = 9 jobs submitted (QOS big), 6 of them taken",
    ]
    of_account = {"Name": "big", "MaxSubmitPA": "8"}
    assert told(qos=[of_account], asked="big")[0].endswith("(QOS big), 5 of them taken")


def test_a_controller_that_tells_nothing() -> None:
    assert told(associations=parse_associations("", "ada")) == [
        "MaxSubmit = 7 jobs submitted (account tiny)"
    ]
    circle = "ClusterName=c Account=a UserName= ParentAccount=a(1) GrpSubmitJobs=3(0)"
    assert [account for account, _ in parse_associations(circle, "ada").above("a")] == ["a"]


@contextmanager
def accounts(slurm: PrivateSlurm) -> Iterator[None]:
    """Let the user's jobs be those of the last of three accounts, each of which is in another."""
    user, add, modify = getpass.getuser(), ("sacctmgr", "-i", "add"), ("sacctmgr", "-i", "modify")
    about = ("Description=x", "Organization=x")
    for name, parent in (("lab", "root"), ("group", "lab"), ("tiny", "group")):
        slurm.client(*add, "account", name, f"parent={parent}", *about)
    slurm.client(*add, "user", user, "account=tiny")
    slurm.client(*modify, "user", user, "set", "defaultaccount=tiny")
    try:
        yield
    finally:
        slurm.client(*modify, "user", user, "set", "defaultaccount=root")
        slurm.client("scancel", "--account=tiny")
        for name in ("tiny", "group", "lab"):
            slurm.client(*modify, "account", name, "set", "GrpSubmit=-1")


def submit(n: int) -> subprocess.CompletedProcess[str]:
    command = ["sbatch", "--parsable", "-o", "/dev/null", "--hold", f"--array=1-{n}"]
    return subprocess.run([*command, "--wrap=true"], capture_output=True, text=True, check=False)


def test_accounts_above_and_other_jobs_on_a_real_slurm(
    tmp_path: Path, accounted_slurm: PrivateSlurm
) -> None:
    place = Place(tmp_path)
    head = "from psyflow.scheduler import Slurm\nscheduler = Slurm()\n"
    place.task("t", f"{head}max_jobs = 4\n{SQUARE}")
    place.task("u", f"{head}max_jobs = 1\n{SQUARE}")
    limit = ("sacctmgr", "-i", "modify", "account", "lab", "set", "GrpSubmit=7")
    with accounts(accounted_slurm):
        accounted_slurm.client(*limit)
        shown = ("scontrol", "show", "assoc_mgr", "flags=assoc", "accounts=lab")
        accounted_slurm.wait_until(
            "the limit holds", lambda: "GrpSubmitJobs=7(0)" in accounted_slurm.client(*shown)
        )
        others = submit(3)
        assert others.returncode == 0, others.stderr
        # It is as Slurm itself has it.
        assert "AssocGrpSubmitJobsLimit" in submit(5).stderr
        refused = place.program("run", "t")
        assert refused.returncode == 3
        assert "GrpSubmit = 7 jobs submitted (account lab with those below it), 3 of them" in (
            refused.stderr
        )
        assert "Set max_jobs = 2 in the task file, or wait until other jobs" in refused.stderr
        assert not (place.work / "t" / "plan.json").exists()
        # One task after the other: the second sees what the first has taken.
        place.task("t", f"{head}max_jobs = 2\n{SQUARE}")
        refused = place.program("run", "t", "u")
        assert refused.returncode == 3
        assert "A run needs three: wait until other jobs there have ended" in refused.stderr
        accounted_slurm.client("scancel", others.stdout.strip())
        assert place.program("run", "--wait", "t").returncode == 0
        assert place.program("run", "--wait", "u").returncode == 0
    assert "4 out of 4 rows" in place.program("status", "u").stdout


def listing(*ids: str) -> list[str]:
    return ["job-ID  prior name", "-------", *(f"   {i} 0.5 a me qw" for i in ids)]


def test_jobs_that_grid_engine_lists(programs: FakePrograms) -> None:
    programs.says("qconf", "max_u_jobs 9", "max_jobs 50", "max_aj_tasks 20")
    programs.says("qstat", *listing("7", "7", "8"))
    most = least(GridEngine().limits_now(), JOBS)
    assert most == Limit("max_u_jobs", 9, JOBS, taken=2)
    assert [call.split()[-1] for call in programs.calls("qstat")] == [getpass.getuser(), "*"]


def test_more_arrays_than_a_real_grid_engine_takes(
    tmp_path: Path, gridengine: PrivateGridEngine
) -> None:
    place = Place(tmp_path)
    head = "from psyflow.scheduler import GridEngine\nscheduler = GridEngine()\n"
    place.task("t", f"{head}max_jobs = 4\nscheduler_args = {{}}\n{SQUARE}")
    with gridengine.configured(max_u_jobs=3):
        held = subprocess.run(
            ["qsub", "-terse", "-h", "-b", "y", "-o", "/dev/null", "-j", "y", "true"],
            capture_output=True,
            text=True,
            check=True,
        )
        shown = place.program("run", "t")
        assert shown.returncode == 3
        assert "3 jobs with those that split and merge, an array counting as one" in shown.stderr
        assert "max_u_jobs = 3 jobs submitted, 1 of them taken. A run needs" in shown.stderr
        subprocess.run(["qdel", held.stdout.strip()], check=True, capture_output=True)
        assert place.program("run", "--wait", "t").returncode == 0
    assert "4 out of 4 rows" in place.program("status", "t").stdout


SERVER = ["Server: s", "    default_queue = q", "    max_queued = [o:PBS_ALL=50]"]
QUEUES = [
    *("Queue: q", "    max_array_size = 2", "    max_queued = [u:PBS_GENERIC=8]"),
    *("    total_jobs = 11", "Queue: r", "    max_array_size = 9"),
]


def test_a_queue_of_pbs_has_limits_of_its_own(programs: FakePrograms) -> None:
    def printing(lines: list[str]) -> str:
        return "\n".join(f"echo '{line}'" for line in lines)

    programs.add(
        "qstat", f'case "$*" in *-Q*)\n{printing(QUEUES)};;\n*)\n{printing(SERVER)};;\nesac'
    )
    programs.says("qselect", "12.s", "14[].s", "15[].s", "15[0].s", "15[1].s")
    limits = PBS().limits_now()
    assert least(limits, JOBS) == Limit("max_queued", 8, JOBS, "Queue q", taken=4)
    assert least(limits, MEMBERS) == Limit("max_array_size", 2, MEMBERS, "Queue q")
    assert least(PBS().limits_of({"queue": "r"}), JOBS) == Limit(
        "max_queued", 50, JOBS, "Server s, everybody's"
    )


def test_pending_jobs_of_lsf(programs: FakePrograms) -> None:
    programs.add(
        "busers",
        'case "$*" in -w) echo "USER/GROUP MAX PEND MPEND PJOBS MPJOBS"; echo "me - 4 - 4 6";;\n'
        '*) echo "USER/GROUP MAX"; echo "me -";; esac',
    )
    programs.says("bparams", "nothing")
    programs.says("bqueues", "nothing")
    assert LSF().limits_now() == [Limit("MPJOBS", 6, JOBS, "pending", taken=4)]


@pytest.mark.parametrize(
    ("told", "queue", "most"),
    [
        ('{"policy": {"limits": {"duration": "2h"}}}', None, 7200),
        ('{"policy": {"limits": {"duration": "2h"}}, "queues": {"q": {"policy": {"limits": '
         '{"duration": "1d"}}}}}', "q", 86400),
        ('{"policy": {"limits": {"duration": "0"}}}', None, None),
        ('{"queues": []}', "q", None),
        ("no JSON", None, None),
    ],
)  # fmt: skip
def test_the_policy_of_flux(
    programs: FakePrograms, told: str, queue: str | None, most: float | None
) -> None:
    programs.says("flux", told)
    found = least(Flux().limits_of({"queue": queue}), SECONDS)
    assert (None if found is None else found.amount) == most


def test_what_flux_gives_a_job_that_asks_for_nothing(programs: FakePrograms) -> None:
    programs.says("flux", '{"policy": {"jobspec": {"defaults": {"system": {"duration": "30m"}}}}}')
    assert Flux().default_time_limit({}) == 1800
