"""The fake Slurm passes what the real one passes, and does what its settings say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import Slurm
from psyflow.testing import FakeSlurm
from psyflow.testing.fakeslurm.processes import marked
from psyflow.testing.schedulers import SchedulerTests, until

from .private_slurm import MAX_ARRAY_SIZE
from .slurm_facts import SHEBANG, SlurmFacts, call, listed, submit, wait_for

NULL = ("-o", "/dev/null")
PATIENCE = 180
SLEEP = f"{SHEBANG}exec sleep 600\n"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """One that is configured as the private one is."""
    folder = tmp_path / "fakeslurm"
    with FakeSlurm(folder, slots=4, accounting=False, max_array_size=MAX_ARRAY_SIZE) as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        yield slurm


class TestSlurmOverTheFake(SchedulerTests):
    @pytest.fixture
    def scheduler(self, slurm: FakeSlurm) -> Slurm:
        return Slurm()


class TestFakeSlurm(SlurmFacts):
    """With the fixture `slurm` of this module."""


def endings(slurm: FakeSlurm, jobids: list[str]) -> list[str]:
    told = slurm.client("sacct", "-nXP", "--format=JobID,State", f"--jobs={','.join(jobids)}")
    by_id = dict(line.split("|") for line in told.splitlines())
    return [by_id[jobid] for jobid in jobids]


def struck(seed: int, n: int = 12, **chances: float) -> list[str]:
    """Return how `n` jobs ended that would run for ever, and are cancelled if nothing strikes."""
    with FakeSlurm(seed=seed, slots=n, within=0.1, kill_wait=1.0, **chances) as slurm:
        jobids = [submit(slurm, *NULL, "--no-requeue", script=SLEEP) for _ in range(n)]
        until(lambda: "PENDING" not in endings(slurm, jobids), "all were started", 180)
        # A job that nothing has struck within a second, ten times `within`, is spared.
        subprocess.run(["sleep", "1"], check=True)
        slurm.client("scancel", "--me")
        slurm.wait(PATIENCE)
        return endings(slurm, jobids)


class TestChance:
    def test_kills_are_decided_by_the_seed(self) -> None:
        ended = struck(3, kill=0.6)
        assert ended == struck(3, kill=0.6)
        assert ended != struck(4, kill=0.6)
        assert set(ended) == {"FAILED", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED by 0"}

    def test_job_that_must_not_be_requeued_is_preempted(self) -> None:
        assert set(struck(1, n=8, preempt=0.5)) == {"PREEMPTED", "CANCELLED by 0"}

    def test_without_chances_nothing_happens(self) -> None:
        assert set(struck(1, n=4)) == {"CANCELLED by 0"}

    def test_killed_job_takes_all_its_processes_along(self, tmp_path: Path) -> None:
        escape = (
            f'{sys.executable} -c \'import os; os.setsid(); open("escaped", "w"); '
            "import time; time.sleep(600)' &"
        )
        script = f"{SHEBANG}trap '' TERM\n{escape}\nwait\n"
        with FakeSlurm(tmp_path / "slurm", kill=1.0, within=3.0) as slurm:
            job = submit(slurm, *NULL, f"--chdir={tmp_path}", script=script)
            slurm.wait(PATIENCE)
            assert endings(slurm, [job])[0] in ("FAILED", "OUT_OF_MEMORY", "NODE_FAIL")
            assert marked(str(tmp_path)) == []

    def test_preempted_job_runs_again_under_its_id(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        # It lasts, but for the third time, or for a later one if the third was struck at once.
        script = (
            f"{SHEBANG}echo $SLURM_JOB_ID ${{SLURM_RESTART_COUNT:-none}}\n"
            "trap 'echo TERM; exit 0' TERM\n"
            '[ "${SLURM_RESTART_COUNT:-0}" -ge 2 ] && exit 0\nwhile :; do sleep 0.05; done\n'
        )
        with FakeSlurm(preempt=1.0, within=1.0, kill_wait=20.0) as slurm:
            options = (f"--output={log}", "--error=/dev/null", "--open-mode=append")
            job = submit(slurm, *options, script=script)
            slurm.wait(PATIENCE)
            assert endings(slurm, [job]) == ["COMPLETED"]
        *earlier, last = log.read_text().splitlines()
        n_restarts = int(last.removeprefix(f"{job} "))
        assert n_restarts >= 2
        # A start that is struck at once has no time to say anything.
        before = ["none", *range(1, n_restarts)]
        assert set(earlier) <= {"TERM", *(f"{job} {number}" for number in before)}

    def test_preempted_job_that_does_not_end_is_killed(self) -> None:
        script = f"{SHEBANG}trap '' TERM\n[ -n \"$SLURM_RESTART_COUNT\" ] || sleep 600\n"
        with FakeSlurm(preempt=1.0, within=0.5, kill_wait=0.2) as slurm:
            job = submit(slurm, *NULL, script=script)
            slurm.wait(PATIENCE)
            assert endings(slurm, [job]) == ["COMPLETED"]

    def test_jobs_are_delayed(self) -> None:
        with FakeSlurm(seed=2, delay=3600.0) as slurm:
            job = submit(slurm, *NULL)
            assert listed(slurm, job, "%t %r") == ["PD Priority"]
            with pytest.raises(TimeoutError, match=rf"jobs at work:\nPENDING Priority {job} "):
                slurm.wait(0.1)

    def test_programs_fail(self, tmp_path: Path) -> None:
        with FakeSlurm(seed=1, flaky=0.5) as slurm:
            answers = [call(slurm, "squeue", "--me") for _ in range(40)]
            codes = [answer.returncode for answer in answers]
            assert 5 < sum(codes) < 35
            told = slurm.client("sbatch", *NULL, "--wrap=env | grep -q RELIABLE")
            assert told == "Submitted batch job 1\n"
            slurm.wait(PATIENCE)
            assert endings(slurm, ["1"]) == ["FAILED"], "its calls would not fail"
            assert {a.stderr for a in answers} == {
                "",
                "slurm_load_jobs error: Socket timed out on send/recv operation\n",
            }
            submissions = [call(slurm, "sbatch", *NULL, "--wrap=true") for _ in range(40)]
            slurm.wait(PATIENCE)
            told = [answer for answer in submissions if not answer.returncode]
            n_jobs = len(slurm.client("sacct", "-n", "-X").splitlines())
            assert len(told) < n_jobs < 40, "some are submitted and some are not"
        with FakeSlurm(seed=1, flaky=0.5) as slurm:
            assert codes == [call(slurm, "squeue", "--me").returncode for _ in range(40)]


class TestTime:
    def test_limit_ends_a_job(self, slurm: FakeSlurm, tmp_path: Path) -> None:
        script = f"{SHEBANG}trap 'echo TERM' TERM\nwhile :; do sleep 0.1; done\n"
        job = submit(slurm, "-o", str(tmp_path / "log"), "--time=0:05", script=script)
        wait_for(slurm, job, "TO")
        assert listed(slurm, job, "%r %l") == ["TimeLimit 0:05"]
        assert "TERM" in (tmp_path / "log").read_text()

    def test_script_is_warned_before(self, slurm: FakeSlurm, tmp_path: Path) -> None:
        script = f"{SHEBANG}trap 'echo USR1; exit 0' USR1\nwhile :; do sleep 0.1; done\n"
        options = ("--time=1:00", "--signal=B:USR1@56")
        job = submit(slurm, "-o", str(tmp_path / "log"), *options, script=script)
        wait_for(slurm, job, "CD")
        assert (tmp_path / "log").read_text() == "USR1\n"

    def test_end_is_told_if_wanted(self, tmp_path: Path) -> None:
        script = f"{SHEBANG}echo $((SLURM_JOB_END_TIME - SLURM_JOB_START_TIME))\n"
        with FakeSlurm(tell_end=True) as slurm:
            submit(slurm, "-o", str(tmp_path / "log"), "--time=1:30", script=script)
            slurm.wait(PATIENCE)
        assert (tmp_path / "log").read_text() == "90\n"

    def test_jobs_are_forgotten_but_by_the_accounting(self) -> None:
        with FakeSlurm(min_job_age=0.0) as slurm:
            job = submit(slurm, *NULL)
            until(lambda: endings(slurm, [job]) == ["COMPLETED"], "the job has ended", 180)
            assert listed(slurm, job, "%t") == []
            with pytest.raises(SchedulerError, match="Invalid job id specified"):
                slurm.client("scontrol", "show", "job", job)


class TestAccounting:
    def test_tells_states_and_codes(self) -> None:
        with FakeSlurm() as slurm:
            array = submit(
                slurm, *NULL, "--array=0-1", script=f"{SHEBANG}exit ${{SLURM_ARRAY_TASK_ID}}"
            )
            held = submit(slurm, *NULL, "--array=3-5", "--hold", "-J", "a long name")
            slurm.wait(PATIENCE)
            told = slurm.client("sacct", "-n", "-X", "-P", "--format=JobID,state,ExitCode,JobName")
            assert told.splitlines() == [
                f"{array}_0|COMPLETED|0:0|sbatch",
                f"{array}_1|FAILED|1:0|sbatch",
                f"{held}_[3-5]|PENDING|0:0|a long name",
            ]
            table = slurm.client("sacct", "-X", f"--jobs={held}", "--format=JobName,State")
            assert table == "   JobName      State \na long na+    PENDING \n"

    def test_scheduler_asks_it_about_what_squeue_has_forgotten(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FakeSlurm(min_job_age=0.0) as slurm:
            monkeypatch.setenv("PATH", slurm.environment["PATH"])
            scheduler = Slurm()
            array = scheduler.submit_array(2, ["sh", "-c", "exit %a"], tmp_path / "log", "t")
            slurm.wait(PATIENCE)
            found = scheduler.get_statuses([array, f"{array}_0", f"{array}_1"])
            assert [status.status for status in found.values()] == ["F", "D", "F"]


class TestUse:
    def test_waiting_leaves_out_what_never_begins(self) -> None:
        with FakeSlurm() as slurm:
            held = submit(slurm, *NULL, "--hold", "-J", "a RUNNING b")
            failed = submit(slurm, *NULL, script=f"{SHEBANG}sleep 0.2; exit 1")
            never = submit(slurm, *NULL, f"--dependency=afterok:{failed}")
            slurm.wait(PATIENCE)
            assert endings(slurm, [held, failed, never]) == ["PENDING", "FAILED", "PENDING"]

    def test_slots_limit_what_runs(self) -> None:
        with FakeSlurm(nodes=2, slots=1) as slurm:
            array = submit(slurm, *NULL, "--array=0-2", script=SLEEP)
            assert listed(slurm, array, "%t %r %N", "-r") == [
                "PD Resources ",
                "R None n1",
                "R None n2",
            ]
            assert slurm.client("sinfo", "-h", "-o", "%D %t") == "2 alloc\n"

    def test_what_the_fake_lacks_is_said(self, slurm: FakeSlurm) -> None:
        for command, complaint in [
            ("squeue --start", "unrecognized option '--start'\nFakeSlurm's squeue knows --all, "),
            ("squeue --format=%Q", "does not know %Q, but %A "),
            ("sinfo --format=%Q", "does not know %Q, but "),
            ("sbatch --wait --wrap=true", "does not support --wait"),
            ("scontrol update job=1", "invalid keyword: update"),
        ]:
            with pytest.raises(SchedulerError) as caught:
                slurm.client(*command.split())
            assert complaint in str(caught.value)
        with FakeSlurm() as other, pytest.raises(SchedulerError, match="knows JobID,"):
            submit(other, *NULL)
            other.client("sacct", "-X", "--format=MaxRSS")

    def test_job_submits_jobs(self, tmp_path: Path) -> None:
        script = f"{SHEBANG}sbatch -o {tmp_path}/inner --wrap='echo $SLURM_JOB_ID'\n"
        with FakeSlurm() as slurm:
            submit(slurm, "-o", str(tmp_path / "outer"), script=script)
            until((tmp_path / "inner").exists, "the job's job has run", 180)
            slurm.wait(PATIENCE)
        assert (tmp_path / "outer").read_text() == "Submitted batch job 2\n"
        assert (tmp_path / "inner").read_text() == "2\n"

    def test_variables_of_another_slurm_are_left_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("SLURM_JOB_ID", "SLURM_CONF", "SQUEUE_FORMAT", "SBATCH_ACCOUNT"):
            monkeypatch.setenv(name, "7")
        monkeypatch.setenv("MINE", "7")
        with FakeSlurm() as slurm:
            assert [name for name in slurm.environment if slurm.environment[name] == "7"] == [
                "MINE"
            ]

    def test_it_needs_nothing_but_python(self) -> None:
        program = (
            "import sys; from psyflow.testing import FakeSlurm; "
            "print(*({'numpy', 'pytest', 'tables'} & set(sys.modules)))"
        )
        answer = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True
        )
        assert answer.stdout == b"\n"

    def test_folder_is_kept_if_given(self, tmp_path: Path) -> None:
        long = tmp_path / ("long" * 30)
        with FakeSlurm(long) as slurm:
            assert slurm.client("squeue", "--noheader") == ""
        assert (long / "controller.log").read_text() == ""
        with pytest.raises(SchedulerError, match="is not running"):
            slurm.client("squeue")

    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            ({"nodes": 0}, "nodes is at least 1, not 0"),
            ({"delay": -1}, "delay is not negative"),
            ({"kill": 0.6, "preempt": 0.6}, "at most 1 together"),
            ({"flaky": 1.0}, "flaky is a chance below 1"),
        ],
    )
    def test_settings_are_checked(self, settings: dict[str, float], complaint: str) -> None:
        slurm = FakeSlurm(**settings)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=complaint), slurm:
            pass


def is_sleep(pid_file: Path) -> bool:
    try:
        command = Path(f"/proc/{int(pid_file.read_text())}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return command == b"/bin/sleep\x00600\0"


class TestEnd:
    def test_jobs_end_with_it(self, tmp_path: Path) -> None:
        with FakeSlurm(tmp_path) as slurm:
            submit(slurm, *NULL, script=f"{SHEBANG}trap '' TERM\nsleep 600 & sleep 600\n")
            until(lambda: len(marked(str(tmp_path))) == 3, "the job has begun", 180)
        assert marked(str(tmp_path)) == []

    def test_job_that_hides_is_ended_too(self, tmp_path: Path) -> None:
        script = f"{SHEBANG}echo $$ >{tmp_path}/pid\nexec env -i /bin/sleep 600\n"
        with FakeSlurm() as slurm:
            cancelled = submit(slurm, *NULL, script=script)
            until((tmp_path / "pid").exists, "the job has begun", 180)
            slurm.client("scancel", cancelled)
            wait_for(slurm, cancelled, "CA")
            left = submit(slurm, *NULL, script=script)
            wait_for(slurm, left, "R")
            until(lambda: is_sleep(tmp_path / "pid"), "it has lost its mark", 180)
        assert not is_sleep(tmp_path / "pid")

    def test_jobs_end_with_the_process_that_started_it(self) -> None:
        program = (
            "import sys, time\n"
            "from psyflow.testing import FakeSlurm\n"
            "with FakeSlurm() as slurm:\n"
            "    slurm.client('sbatch', '-o', '/dev/null', '--wrap=sleep 600')\n"
            "    print(slurm.environment['PATH'].split(':')[0], flush=True)\n"
            "    time.sleep(600)\n"
        )
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout is not None
            folder = Path(owner.stdout.readline().strip()).parent
            until(lambda: marked(str(folder)), "the job has begun", 180)
            owner.send_signal(signal.SIGKILL)
        until(lambda: not marked(str(folder)), "no process is left", 180)
        until(lambda: not folder.exists(), "no file is left", 180)

    def test_programs_say_when_it_is_gone(self, tmp_path: Path) -> None:
        with FakeSlurm(tmp_path) as slurm:
            environment = slurm.environment
        answer = subprocess.run(
            ["squeue"], env=environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 1
        assert "Unable to contact slurm controller" in answer.stderr

    def test_program_that_is_killed_ends_nothing_else(self, slurm: FakeSlurm) -> None:
        job = submit(slurm, *NULL, script=SLEEP)
        for _ in range(3):
            program = subprocess.Popen(
                ["squeue"], env=slurm.environment, stdout=subprocess.DEVNULL
            )
            os.kill(program.pid, signal.SIGKILL)
            program.wait()
        assert call(slurm, "squeue", "-h", "-o", "%i").stdout == f"{job}\n"
