"""Site profiles, and the command that looks at the site and writes one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from psyflow.doctor import latency
from psyflow.exceptions import TaskFileError
from psyflow.scheduler import ImmediateRun, Slurm, Ssh
from psyflow.tasks import TaskDef
from psyflow.testing import FakeSlurm
from psyflow.testing.schedulers import until
from tests.durability.requirements import need_recorder
from tests.support.place import SQUARE, Place
from tests.support.processes import PATIENCE
from tests.support.screen import on_screen


@pytest.fixture(autouse=True)
def nobodys_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look for profiles in the usual places, of a user who has none; return where it would be."""
    monkeypatch.delenv("PSYFLOW_SITE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(latency, "_SECONDS", 0.01)  # how fast this disk is, no test asks
    return tmp_path / "config/psyflow/site.yaml"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(place: Place, source: str = SQUARE) -> TaskDef:
    return TaskDef(place.task("t", source), base=place.folder)


SLURM_SITE = "scheduler: slurm\nscheduler_args: {timelimit: 5, partition: debug}\n"


# -- the profile ---------------------------------------------------------------------------------


def test_profile_gives_defaults(place: Place, nobodys_profile: Path) -> None:
    assert isinstance(load(place).scheduler, ImmediateRun)
    write(nobodys_profile, SLURM_SITE)
    task = load(place)
    assert isinstance(task.scheduler, Slurm)
    assert task.scheduler_args == {"timelimit": 5, "partition": "debug"}
    assert task.site_path == nobodys_profile


def test_none_takes_a_default_away(place: Place, nobodys_profile: Path) -> None:
    write(nobodys_profile, SLURM_SITE)
    args = 'scheduler_args = {"partition": None}\n'
    assert load(place, args + SQUARE).scheduler_args == {"timelimit": 5, "partition": None}


def test_own_kind_of_the_scheduler_gets_the_arguments(place: Place, nobodys_profile: Path) -> None:
    write(nobodys_profile, SLURM_SITE)
    own = "from psyflow import Slurm\nclass Mine(Slurm): ...\nscheduler = Mine()\n"
    assert load(place, own + SQUARE).scheduler_args == {"timelimit": 5, "partition": "debug"}


def test_times_are_text_and_numbers_are_numbers(place: Place, nobodys_profile: Path) -> None:
    args = "{timelimit: 2:00:00, nice: 30, mem: 1:30.5, n_cpus: 1.0e+1, qos: 0x1f}"
    write(nobodys_profile, f"scheduler: slurm\nscheduler_args: {args}\n")
    expected = {"timelimit": "2:00:00", "nice": 30, "mem": "1:30.5", "n_cpus": 10.0, "qos": 31}
    assert load(place).scheduler_args == expected


def test_task_file_and_psy_conf_come_first(place: Place, nobodys_profile: Path) -> None:
    write(nobodys_profile, SLURM_SITE)
    args = 'scheduler_args = {"time": "1:00", "account": "me"}\n'
    task = load(place, f"scheduler = 'slurm'\n{args}{SQUARE}")
    # `time` and `timelimit` are one argument.
    assert task.scheduler_args == {"partition": "debug", "time": "1:00", "account": "me"}
    write(place.folder / "psy-tasks/psy-conf.py", 'scheduler_args = {"partition": "long"}\n')
    assert load(place).scheduler_args == {"timelimit": 5, "partition": "long"}


def test_arguments_are_for_the_scheduler_of_the_site(place: Place, nobodys_profile: Path) -> None:
    write(nobodys_profile, SLURM_SITE)
    for scheduler in ("immediate", "gridengine"):
        assert load(place, f"scheduler = {scheduler!r}\n{SQUARE}").scheduler_args == {}


def test_profile_beside_the_tasks_comes_before_the_users(
    place: Place, nobodys_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(nobodys_profile, SLURM_SITE)
    write(place.folder / "psy-tasks/site.yaml", "scheduler: immediate\n")
    assert isinstance(load(place).scheduler, ImmediateRun)
    named = write(place.folder / "other.yaml", "scheduler: {ssh: {hosts: {node1: 4}}}\n")
    monkeypatch.setenv("PSYFLOW_SITE", str(named))
    scheduler = load(place).scheduler
    assert isinstance(scheduler, Ssh)
    assert scheduler.hosts == {"node1": 4}
    monkeypatch.setenv("PSYFLOW_SITE", "")
    assert isinstance(load(place).scheduler, ImmediateRun)
    monkeypatch.setenv("PSYFLOW_SITE", str(place.folder / "nosuch.yaml"))
    with pytest.raises(TaskFileError, match=r"nosuch\.yaml, which the variable PSYFLOW_SITE"):
        load(place)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "it is not YAML"),
        ("- slurm", "has to be a mapping"),
        ("", "has to be a mapping"),
        ("scheduler_args: {}", "`scheduler` is missing"),
        ("scheduler: slrum", 'no scheduler "slrum". Did you mean "slurm"'),
        ("scheduler: [slurm]", "has to be a name"),
        ("scheduler: slurm\nschedulerargs: {}", 'Did you mean "scheduler_args"'),
        ("scheduler: slurm\nscheduler_args: {partitoin: x}", "scheduler_args.*partitoin"),
        ("scheduler: slurm\nscheduler_args: [1]", "has to be a mapping of names"),
        ("scheduler: {ssh: {host: a}}", "unexpected keyword argument 'host'"),
        ("scheduler: {ssh: {hosts: []}}", "at least one host"),
        ("scheduler: !!python/object/apply:os.system [touch hacked]", "it is not YAML"),
    ],
)
def test_profile_that_makes_no_sense(
    place: Place, nobodys_profile: Path, text: str, match: str
) -> None:
    write(nobodys_profile, text)
    with pytest.raises(TaskFileError, match=f"site.yaml.*{match}"):
        load(place)
    assert not Path("hacked").exists()


def test_run_keeps_to_the_profile_that_it_began_with(place: Place, nobodys_profile: Path) -> None:
    write(nobodys_profile, "scheduler: immediate\n")
    place.task("t")
    assert place.psy("run").returncode == 0
    (frozen,) = place.work.glob("t/plans/*/code/site.yaml")
    assert frozen.read_text() == "scheduler: immediate\n"
    write(nobodys_profile, "scheduler: nosuch\n")
    task = TaskDef.load_frozen(frozen.parent, place.folder / "psy-tasks/task_t.py")
    assert isinstance(task.scheduler, ImmediateRun)
    nobodys_profile.unlink()
    # No result depends on it.
    assert place.psy("run").stdout.count("-- ") == 3


def test_new_task_is_filled_in_from_the_profile(place: Place, nobodys_profile: Path) -> None:
    write(nobodys_profile, SLURM_SITE)
    assert place.psy("new-task", "-s", "slurm", "t").returncode == 0
    source = (place.folder / "psy-tasks/task_t.py").read_text()
    # The site's come before the scheduler's own defaults.
    assert "    'timelimit': 5,\n    'partition': 'debug',\n" in source
    assert source.count("timelimit") == 1
    assert "'memory': '1G'" in source
    assert place.psy("new-task", "w").returncode == 0
    assert "'partition'" in (place.folder / "psy-tasks/task_w.py").read_text()
    assert place.psy("new-task", "-s", "pbs", "u").returncode == 0
    assert "partition" not in (place.folder / "psy-tasks/task_u.py").read_text()
    nobodys_profile.write_text("scheduler: {ssh: {hosts: {node1: 4}}}\n")
    assert place.psy("new-task", "-s", "ssh", "v").returncode == 0
    task = TaskDef(place.folder / "psy-tasks/task_v.py")
    assert isinstance(task.scheduler, Ssh)
    assert task.scheduler.hosts == {"node1": 4}


# -- psy doctor ----------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:  # type: ignore[misc]
    with FakeSlurm(tmp_path / "slurm", max_array_size=77) as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        yield slurm


def test_looks_and_writes_nothing(place: Place, cluster: FakeSlurm) -> None:
    before = place.snapshot()
    told = place.call("doctor")
    assert told.returncode == 0, told.stderr
    assert "hard links, exclusive creation and renaming work" in told.stdout
    assert "Scheduler slurm" in told.stdout
    assert "at most 77 jobs in an array" in told.stdout
    assert "There is no site profile. Write one with: psy doctor --write" in told.stdout
    report = json.loads(place.call("doctor", "--json").stdout)
    assert report["schedulers"]["slurm"]["max_array_size"] == 77
    assert report["workdir"]["problems"] == report["problems"] == []
    # Folders that were made and removed leave their parent changed.
    assert place.snapshot().keys() == before.keys()


def test_profile_that_is_written_is_used(
    place: Place, cluster: FakeSlurm, nobodys_profile: Path
) -> None:
    told = place.call("doctor", "--write", "-s", "slurm")
    assert told.returncode == 0, told.stderr
    assert f"Wrote {nobodys_profile}." in told.stderr
    text = nobodys_profile.read_text()
    assert "at most 77 jobs in an array" in text
    profile = yaml.safe_load(text)
    assert (profile["scheduler"], list(profile["scheduler_args"])) == ("slurm", ["partition"])
    told = place.call("doctor").stdout
    assert "Site profile: config/psyflow/site.yaml, scheduler slurm" in told
    again = place.call("doctor", "--write", "-s", "slurm")
    assert again.returncode == 2
    assert "exists already, and stays as it is" in again.stderr
    assert nobodys_profile.read_text() == text
    place.task("t")
    assert "jobs are submitted" in place.call("run").stderr
    until(lambda: place.result_exists("t"), "the task has run on the cluster", PATIENCE)
    assert place.result("t")["y"] == [0, 1, 4, 9]


def test_probe_tells_how_fast_files_are_seen(place: Place, cluster: FakeSlurm) -> None:
    begin = time.monotonic()
    report = json.loads(place.call("doctor", "--probe", "-s", "slurm", "--json").stdout)
    elapsed = time.monotonic() - begin
    probe = report["probe"]
    assert (probe["host"], probe["problem"]) == (socket.gethostname(), "")
    assert abs(probe["seen_here"]) < elapsed
    assert abs(probe["seen_there"]) < elapsed
    told = place.call("doctor", "--probe", "-s", "slurm")
    assert told.stdout.count("a new file was seen") == 2
    assert "Waiting at most 5 min 0 s for job" in told.stderr
    assert cluster_jobs(place) == ""


def cluster_jobs(place: Place) -> str:
    squeue = ["squeue", "--noheader", "--format=%i %t"]
    return subprocess.run(squeue, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_probe_that_is_ended_ends_its_job(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with FakeSlurm(tmp_path / "slow", delay=600.0) as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        with place.start("doctor", "--probe", "-s", "slurm") as doctor:
            assert doctor.stderr is not None
            assert "Waiting" in doctor.stderr.readline()
            assert " PD" in cluster_jobs(place)
            doctor.send_signal(number)
            doctor.wait(PATIENCE)
        assert doctor.returncode == 130
        until(lambda: not cluster_jobs(place), "the job is gone", PATIENCE)
    assert not list(place.folder.glob(".psyflow-doctor-*"))


def test_probe_that_gets_no_job_says_so(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeSlurm(tmp_path / "slow", delay=600.0) as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        told = place.call("doctor", "--probe", "-s", "slurm", "--patience", "1")
        assert told.returncode == 3
        assert "has made no file within 1 s, state Q" in told.stderr
        until(lambda: not cluster_jobs(place), "the job is gone", PATIENCE)


@pytest.mark.parametrize("columns", [40, 80])
def test_what_it_says_fits_the_terminal(place: Place, columns: int) -> None:
    shown = on_screen(place.command("doctor"), place.folder, columns)
    assert "Workdir in" in shown.raw
    assert [line for line in shown.screen.wrapped if " " in line.strip()] == []


def test_scheduler_that_does_not_answer_is_a_problem_if_it_is_the_sites(
    place: Place, nobodys_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = place.folder / "bin"
    for name in ("sbatch", "squeue", "scancel", "sinfo", "scontrol"):
        write(programs / name, "#!/bin/sh\nexit 1\n").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    told = place.call("doctor")
    assert told.returncode == 3
    assert "Problem: slurm: Slurm does not answer." in told.stderr
    assert "  does not work: see below\n" in told.stdout
    assert "does not answer" not in told.stdout
    write(nobodys_profile, "scheduler: immediate\n")
    told = place.call("doctor")
    assert (told.returncode, told.stderr) == (0, "")
    write(nobodys_profile, "scheduler: pbs\n")
    told = place.call("doctor")
    assert told.returncode == 3
    assert "names the scheduler pbs, which was not found here" in told.stderr
    assert "Name another one there" in told.stderr
    write(nobodys_profile, "scheduler: slrm\n")
    told = place.call("doctor")
    assert told.returncode == 3
    assert 'There is no scheduler "slrm". Did you mean "slurm"?' in told.stderr


def test_hosts_of_the_profile_are_tried(
    place: Place, nobodys_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = write(place.folder / "bin/ssh", '#!/bin/sh\nfor last; do :; done\ncase "$*" in\n')
    with ssh.open("a") as program:
        program.write('*" up "*) exec sh -c "$last";;\n*) echo no route >&2; exit 255;;\nesac\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    write(nobodys_profile, "scheduler: {ssh: {hosts: {up: 4}}}\n")
    told = place.call("doctor")
    assert told.returncode == 0, told.stderr
    assert "Scheduler ssh\n  up: 4 CPUs each\n" in told.stdout
    write(nobodys_profile, "scheduler: {ssh: {hosts: [up, down]}}\n")
    told = place.call("doctor")
    assert told.returncode == 3
    assert told.stderr == "Problem: ssh: down: no route\n"


def test_nothing_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.folder))
    told = place.call("doctor")
    assert told.returncode == 0
    assert "No scheduler was found: tasks run on this machine." in told.stdout
    assert place.call("doctor", "--write").returncode == 2


def test_folder_where_nothing_can_be_made(place: Place) -> None:
    told = place.call("doctor", "--workdir", "/proc/psy-work")
    assert told.returncode == 3
    assert "/proc (proc): No folder can be made" in told.stderr


@pytest.mark.parametrize(
    ("calls", "error", "failing"),
    [
        ("link,linkat", "EPERM", "Giving a file a second name (a hard link) does not work"),
        ("rename,renameat,renameat2", "EIO", "Replacing a file by renaming another does not"),
    ],
)
def test_file_system_that_lacks_something(
    place: Place, calls: str, error: str, failing: str
) -> None:
    need_recorder()
    # The kernel itself answers as it does for such a file system.
    inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    told = subprocess.run(
        ["strace", "-f", "-o/dev/null", *inject, *place.command("doctor")],
        cwd=place.folder,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 3, told.stderr
    assert failing in told.stdout
    assert f"Problem: . (ext4): {failing}" in told.stderr or f"): {failing}" in told.stderr
    assert "Choose another workdir." in told.stderr
    assert not list(place.folder.glob(".psyflow-doctor-*"))


def test_what_was_never_tried_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = place.folder / "bin"
    programs.mkdir()
    (programs / "flux").write_text("#!/bin/sh\necho commands: 0.70\n")
    (programs / "flux").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    shown = place.psy("doctor")
    assert "Scheduler flux (commands: 0.70)\n  unverified: written from the manual" in shown.stdout
    assert "This machine:\n" in shown.stdout
