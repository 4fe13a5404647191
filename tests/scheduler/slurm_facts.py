"""What is true of Slurm, of the real one and of the fake one alike."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Protocol

import pytest

from psyflow.exceptions import SchedulerError
from psyflow.scheduler import Slurm
from psyflow.scheduler.slurm.texts import parse_scontrol
from psyflow.testing.schedulers import until

from .private_slurm import MAX_ARRAY_SIZE

SHEBANG = "#!/bin/sh\n"


class AnySlurm(Protocol):
    @property
    def environment(self) -> dict[str, str]: ...


def call(
    slurm: AnySlurm, *command: str, script: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs."""
    return subprocess.run(
        command,
        env={**slurm.environment, **variables},
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
    )


def submit(slurm: AnySlurm, *options: str, script: str = SHEBANG, **variables: str) -> str:
    """Submit a script and return the id of its job."""
    answer = call(slurm, "sbatch", "--parsable", *options, script=script, **variables)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def listed(slurm: AnySlurm, jobid: str, form: str, *options: str) -> list[str]:
    """Return what squeue says about a job or an array, over or not."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={jobid}", f"--format={form}"]
    return sorted(call(slurm, *command, *options).stdout.splitlines())


def wait_for(slurm: AnySlurm, jobid: str, states: str) -> None:
    until(lambda: listed(slurm, jobid, "%t") == states.split(), f"{jobid} is {states}", 180)


def states(scheduler: Slurm, *jobids: str) -> str:
    return " ".join(status.status for status in scheduler.get_statuses(jobids).values())


class SlurmFacts:
    """Tests that need a fixture `slurm`, whose programs are those on PATH."""

    @pytest.fixture
    def scheduler(self, slurm: AnySlurm) -> Slurm:
        return Slurm()

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return tmp_path / "log"

    # -- as psyflow uses it -----------------------------------------------------------------------

    def test_options_arrive(self, scheduler: Slurm, slurm: AnySlurm, log: Path) -> None:
        options = {
            "timelimit": "0:30:00",
            "memory_per_cpu": lambda job: "100M" if job == "t:x" else "1T",
            "n_cpus": 2,
            "partition": "debug",
            "comment": "it's $HOME",
            "nice": 7,
            "no_requeue": True,
            "exclude": ["n1"],
            "hold": True,
        }
        job = scheduler.submit(["true"], log, "t:x", None, options)
        told = call(slurm, "scontrol", "-o", "show", "job", job).stdout
        for fact in (
            *("TimeLimit=00:30:00", "MinMemoryCPU=100M", "CPUs/Task=2", "Partition=debug"),
            *("Comment=it's $HOME", "Requeue=0", "ExcNodeList=n1", "Nice=7"),
            *("Reason=JobHeldUser", "JobName=t:x"),
        ):
            assert f" {fact} " in told
        assert states(scheduler, job) == "*Q"
        assert parse_scontrol(told) == {job: (job, "*Q", "t:x")}
        scheduler.kill(job)
        assert states(scheduler, job) == "C"

    def test_refused_submission_says_why(self, scheduler: Slurm, log: Path) -> None:
        with pytest.raises(SchedulerError, match="invalid partition specified: nosuch"):
            scheduler.submit(["true"], log, "t", None, {"partition": "nosuch"})
        assert scheduler.get_jobs() == []

    def test_array_may_be_as_large_as_the_cluster_says(self, scheduler: Slurm, log: Path) -> None:
        assert scheduler.max_array_size() == MAX_ARRAY_SIZE
        args = {"hold": True}
        array = scheduler.submit_array(MAX_ARRAY_SIZE, ["true"], log, "t:process", None, args)
        member = f"{array}_{MAX_ARRAY_SIZE - 1}"
        assert scheduler.get_status(member) == (member, "*Q", f"t:process:{MAX_ARRAY_SIZE - 1}")
        assert scheduler.get_status(array) == (array, "*Q", "t:process")
        assert scheduler.get_status(f"{array}_{MAX_ARRAY_SIZE}") is None
        with pytest.raises(SchedulerError, match="Invalid job array specification"):
            scheduler.submit_array(MAX_ARRAY_SIZE + 1, ["true"], log, "t:process", None, args)
        scheduler.kill(array)

    def test_log_with_a_backslash(self, scheduler: Slurm, tmp_path: Path) -> None:
        log = tmp_path / "a\\b%j.log"
        scheduler.submit(["echo", "hello"], log, "t")
        until(lambda: log.exists() and log.read_text() == "hello\n", "the log is there", 180)

    def test_one_member_is_killed_the_rest_goes_on(
        self, scheduler: Slurm, slurm: AnySlurm, log: Path
    ) -> None:
        foreign = submit(slurm, "-o", "/dev/null", "--hold")
        array = scheduler.submit_array(3, ["sleep", "600"], log, "a", None, {"max_running": 2})
        merge = scheduler.submit(["true"], log, "merge", [array])
        members = [f"{array}_{i}" for i in range(3)]
        until(lambda: states(scheduler, *members) == "R R Q", "two members run", 180)
        assert states(scheduler, merge, array) == "*Q R"
        assert set(scheduler.get_jobs(of_user=True)) >= {foreign, array, merge}
        scheduler.kill(members[0])
        until(lambda: states(scheduler, *members) == "C R R", "the third member runs", 180)
        assert states(scheduler, merge, array) == "*Q R"
        scheduler.kill_jobs(scheduler.get_jobs())
        until(lambda: states(scheduler, array, merge) == "C C", "all are killed", 180)
        assert states(scheduler, foreign) == "*Q", "a foreign job was killed"
        scheduler.kill(foreign)

    def test_merge_runs_after_failures_and_kills(
        self, scheduler: Slurm, log: Path, tmp_path: Path
    ) -> None:
        array = scheduler.submit_array(2, ["sh", "-c", "exit %a"], log, "a")
        killed = scheduler.submit(["true"], log, "k", None, {"hold": True})
        merge = scheduler.submit(["touch", tmp_path / "merged"], log, "merge", [array, killed])
        scheduler.kill(killed)
        until((tmp_path / "merged").exists, "the merge job has run", 180)
        until(lambda: states(scheduler, array, killed, merge) == "F C D", "all are over", 180)

    def test_filters_of_the_user_hide_nothing(
        self,
        scheduler: Slurm,
        slurm: AnySlurm,
        log: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        job = scheduler.submit(["true"], log, "t", None, {"hold": True})
        monkeypatch.setenv("SQUEUE_FORMAT", "%j")
        assert call(slurm, "squeue", "-h", "-j", job, SQUEUE_FORMAT="<%j>").stdout == "<t>\n"
        for name, value in [("USERS", "nobody"), ("STATES", "RUNNING"), ("PARTITION", "x")]:
            monkeypatch.setenv(f"SQUEUE_{name}", value)
        told = scheduler.parse_status(scheduler.query(scheduler.status_command([job])))
        assert told == {job: (job, "*Q", "t")}
        scheduler.kill(job)

    def test_scontrol_answers_like_squeue(
        self, scheduler: Slurm, slurm: AnySlurm, log: Path
    ) -> None:
        array = scheduler.submit_array(3, ["sh", "-c", "exit %a"], log, "a|b c", None, None)
        until(lambda: states(scheduler, array) == "F", "the array is over", 180)
        told = call(slurm, "scontrol", "-o", "show", "job", array).stdout
        assert parse_scontrol(told) == scheduler.look_up([array])

    # -- its programs -----------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("command", "code", "complaint"),
        [
            ("sbatch --x=1", 255, "sbatch: unrecognized option '--x=1'"),
            ("sbatch --par=1", 255, "option '--par=1' is ambiguous; possibilities: '--parsable' "),
            ("sbatch --output", 255, "sbatch: option '--output' requires an argument"),
            ("sbatch -o", 255, "sbatch: option requires an argument -- 'o'"),
            ("sbatch -Z", 255, "sbatch: invalid option -- 'Z'"),
            ("sbatch --hold=1 --wrap=true", 255, "option '--hold' doesn't allow an argument"),
            ("sbatch", 1, "Batch script is empty!"),
            ("sbatch /nosuch", 1, "Unable to open file /nosuch"),
            ("sbatch --wrap=true x.sh", 1, "arguments not permitted with --wrap"),
            ("sbatch --array=0-200 --wrap=true", 1, "Invalid job array specification"),
            ("sbatch --array=5-3 --wrap=true", 1, "Invalid job array specification"),
            ("sbatch --array=x --wrap=true", 1, "Invalid job array specification"),
            ("sbatch --time=abc --wrap=true", 255, "Invalid --time specification"),
            ("sbatch --mem=abc --wrap=true", 255, "Invalid --mem specification"),
            ("sbatch --open-mode=x --wrap=true", 255, "Invalid --open-mode specification"),
            ("sbatch --signal=FOO --wrap=true", 255, "Invalid --signal specification"),
            ("sbatch --dependency=foo:9 --wrap=true", 1, "Job dependency problem"),
            ("sbatch --dependency=afterany:x --wrap=true", 1, "Job dependency problem"),
            ("sbatch -p nosuch --wrap=true", 1, "Invalid partition name specified"),
            ("squeue --foo", 1, "squeue: unrecognized option '--foo'"),
            ("squeue extra", 1, "squeue: error: Unrecognized option: extra"),
            ("squeue --states=foo", 1, "Invalid job state specified: "),
            ("squeue --jobs=987654", 1, "Invalid job id specified"),
            ("squeue --jobs=1,x", 1, "squeue: error: Invalid job id: x"),
            ("squeue --jobs=987654,987653 --noheader", 0, ""),
            ("scancel", 1, "No job identification provided"),
            ("scancel 987654", 0, ""),
            ("scancel abc", 1, "Invalid job id abc"),
            ("scancel --signal=FOO 1", 1, "Unknown job signal: FOO"),
            ("scontrol foo", 1, "invalid keyword: foo"),
            ("scontrol show foo", 1, "invalid entity:foo for keyword:show"),
            ("scontrol show job 987654", 1, "Invalid job id specified"),
            ("scontrol requeue", 1, "too few arguments for keyword:requeue"),
            ("scontrol requeue 987654", 1, "Invalid job id specified for job 987654"),
            ("sacct -n -X -P --jobs=1", 1, "Slurm accounting storage is disabled"),
        ],
    )
    def test_what_is_refused(
        self, slurm: AnySlurm, command: str, code: int, complaint: str
    ) -> None:
        answer = call(slurm, *command.split())
        assert answer.returncode == code
        assert complaint in answer.stderr
        assert bool(answer.stderr) == bool(code)

    def test_text_that_is_no_script_is_refused(self, slurm: AnySlurm) -> None:
        answer = call(slurm, "sbatch", script="true\n")
        assert answer.returncode == 1
        assert "line must start with #!" in answer.stderr

    def test_what_is_queued_is_listed(self, slurm: AnySlurm) -> None:
        array = submit(slurm, "-H", "--array=0-4%2", "-Ja|b", "-o", "/dev/null", "-t", "90")
        form = "%i|%t|%T|%r|%F|%K|%M|%l|%P|%j|%R"
        told = "PD|PENDING|JobHeldUser|{0}|{1}|0:00|1:30:00|debug|a|b|(JobHeldUser)"
        assert listed(slurm, array, form) == [f"{array}_[0-4%2]|{told.format(array, '0-4%2')}"]
        each = [f"{array}_{i}|{told.format(array, i)}" for i in range(5)]
        assert listed(slurm, array, form, "--array") == each
        assert listed(slurm, f"{array}_1,{array}_77", "%i", "-r") == [f"{array}_1"]
        assert listed(slurm, array, "%.7t|%3j|") == ["     PD|a|b|"]
        call(slurm, "scancel", array)
        assert listed(slurm, array, "%T") == ["CANCELLED"] * len(listed(slurm, array, "%T"))

    def test_held_job_is_released(self, slurm: AnySlurm, log: Path) -> None:
        job = submit(slurm, "--hold", "-o", str(log))
        assert listed(slurm, job, "%t %r") == ["PD JobHeldUser"]
        assert call(slurm, "scontrol", "release", job).returncode == 0
        wait_for(slurm, job, "CD")

    def test_script_may_have_options_and_arguments(self, slurm: AnySlurm, tmp_path: Path) -> None:
        script = tmp_path / "script.sh"
        script.write_text(
            "#!/bin/sh\n# A remark.\n#SBATCH -J 'from script' --comment=here\n"
            '#SBATCH --output=%x.log\necho "$0 $*" | sed "s:.*/::"\n#SBATCH --hold\n'
        )
        options = ["--comment=there", f"--chdir={tmp_path}", str(script), "a b", "--hold"]
        job = submit(slurm, *options)
        wait_for(slurm, job, "CD")
        assert (tmp_path / "from script.log").read_text().endswith(" a b --hold\n")
        assert "Comment=there" in call(slurm, "scontrol", "show", "job", job).stdout

    def test_files_are_named(self, slurm: AnySlurm, tmp_path: Path) -> None:
        out, err = f"--output={tmp_path}/%A_%4a.%%", f"--error={tmp_path}/%x"
        array = submit(slurm, "--array=3", out, err, "-J", "n", script=f"{SHEBANG}echo o; ls /x")
        wait_for(slurm, array, "F")
        assert (tmp_path / f"{array}_0003.%").read_text() == "o\n"
        assert "/x" in (tmp_path / "n").read_text()

    def test_job_has_its_variables(self, slurm: AnySlurm, tmp_path: Path) -> None:
        array = submit(
            slurm,
            *("--array=2-4:2", f"--output={tmp_path}/%a", f"--chdir={tmp_path}", "--time=3"),
            script=f"{SHEBANG}env\n",
            SLURM_JOB_END_TIME="7",
            MINE="a\nb",
        )
        wait_for(slurm, array, "CD CD")
        lines = [(tmp_path / f"{i}").read_text().splitlines() for i in (2, 4)]
        for i, told in zip((2, 4), lines, strict=True):
            assert {
                *(f"SLURM_ARRAY_JOB_ID={array}", f"SLURM_ARRAY_TASK_ID={i}", "MINE=a", "b"),
                *("SLURM_ARRAY_TASK_COUNT=2", "SLURM_ARRAY_TASK_MIN=2", "SLURM_ARRAY_TASK_MAX=4"),
                # It hands on what the submitter has, and says nothing itself.
                *(
                    "SLURM_JOB_END_TIME=7",
                    "ENVIRONMENT=BATCH",
                    f"PWD={os.path.realpath(tmp_path)}",
                ),
            } <= set(told)
            assert "SLURM_RESTART_COUNT" not in "".join(told)
        ids = {line for told in lines for line in told if line.startswith("SLURM_JOB_ID=")}
        assert len(ids) == 2, "members of an array share an id"

    def test_environment_can_be_left_out(self, slurm: AnySlurm, log: Path) -> None:
        job = submit(
            slurm, "--export=NONE,B=2", "-o", str(log), script=f"{SHEBANG}echo $A $B", A="1"
        )
        wait_for(slurm, job, "CD")
        assert log.read_text() == "2\n"

    def test_job_without_a_folder_for_its_log_fails(self, slurm: AnySlurm) -> None:
        job = submit(slurm, "--output=/nosuch/log")
        wait_for(slurm, job, "F")
        assert listed(slurm, job, "%r") == ["JobLaunchFailure"]

    def test_states_and_reasons_of_what_is_over(self, slurm: AnySlurm) -> None:
        null = ("-o", "/dev/null")
        failed = submit(slurm, *null, script=f"{SHEBANG}exit 3")
        killed = submit(slurm, *null, script=f"{SHEBANG}kill -9 $$")
        fine = submit(slurm, *null)
        for job, told in [
            (failed, "F NonZeroExitCode"),
            (killed, "F JobLaunchFailure"),
            (fine, "CD None"),
        ]:
            wait_for(slurm, job, told.split()[0])
            assert listed(slurm, job, "%t %r") == [told]
        told = call(slurm, "scontrol", "-o", "show", "job", failed).stdout
        assert " ExitCode=3:0 " in told
        assert " ExitCode=0:9 " in call(slurm, "scontrol", "-o", "show", "job", killed).stdout

    def test_dependencies(self, slurm: AnySlurm) -> None:
        null = ("-o", "/dev/null")
        failed = submit(slurm, *null, "--hold", script=f"{SHEBANG}exit 3")
        ok, any_, not_ok = (
            submit(slurm, *null, f"--dependency={kind}:{failed}")
            for kind in ("afterok", "afterany", "afternotok")
        )
        unknown = submit(slurm, *null, "--dependency=afterok:987654")
        wait_for(slurm, unknown, "CD")
        assert listed(slurm, any_, "%t %r") == ["PD Dependency"]
        call(slurm, "scontrol", "release", failed)
        wait_for(slurm, any_, "CD")
        wait_for(slurm, not_ok, "CD")
        until(
            lambda: listed(slurm, ok, "%t %r") == ["PD DependencyNeverSatisfied"],
            "afterok is never satisfied",
            180,
        )
        call(slurm, "scancel", ok)
        assert listed(slurm, ok, "%t") == ["CA"]

    def test_signals(self, slurm: AnySlurm, log: Path) -> None:
        script = f"{SHEBANG}trap 'echo USR1; exit 0' USR1\necho begun\nwhile :; do sleep 0.1; done"
        job = submit(slurm, "-o", str(log), script=script)
        until(lambda: log.exists() and "begun" in log.read_text(), "the job has begun", 180)
        # Without --batch it is for job steps, and there are none.
        call(slurm, "scancel", "--signal=USR1", job)
        assert listed(slurm, job, "%t") == ["R"]
        call(slurm, "scancel", "--batch", "--signal=SIGUSR1", job)
        wait_for(slurm, job, "CD")
        assert log.read_text() == "begun\nUSR1\n"

    def test_job_that_does_not_end_is_killed(self, slurm: AnySlurm, log: Path) -> None:
        script = f"{SHEBANG}trap 'echo TERM' TERM\necho begun\nwhile :; do sleep 0.1; done"
        job = submit(slurm, "-o", str(log), script=script)
        until(lambda: log.exists() and "begun" in log.read_text(), "the job has begun", 180)
        call(slurm, "scancel", job)
        wait_for(slurm, job, "CA")
        assert "TERM" in log.read_text()

    def test_requeued_job_has_the_same_id(self, slurm: AnySlurm, log: Path) -> None:
        script = f"{SHEBANG}echo begun $SLURM_RESTART_COUNT\nexec sleep 600"
        job = submit(slurm, "-o", str(log), "--open-mode=append", script=script)
        until(lambda: log.exists() and "begun" in log.read_text(), "the job has begun", 180)
        assert call(slurm, "scontrol", "requeue", job).returncode == 0
        until(
            lambda: " Restarts=1 " in call(slurm, "scontrol", "-o", "show", "job", job).stdout,
            "the job is queued again",
            180,
        )
        call(slurm, "scancel", job)
        wait_for(slurm, job, "CA")
        pending = submit(slurm, "--hold", "-o", "/dev/null")
        refused = call(slurm, "scontrol", "requeue", pending)
        assert refused.returncode == 1
        assert "Job is pending execution" in refused.stderr
        call(slurm, "scancel", pending)

    def test_configuration_and_nodes(self, slurm: AnySlurm) -> None:
        told = call(slurm, "scontrol", "show", "config").stdout
        for line in (
            "MaxArraySize            = 101",
            "KillWait                = 2 sec",
            "MinJobAge               = 300 sec",
            "AccountingStorageType   = accounting_storage/none",
        ):
            assert f"{line}\n" in told
        partition = call(slurm, "scontrol", "-o", "show", "partition").stdout
        assert {"PartitionName=debug", "Default=YES", "MaxTime=UNLIMITED", "State=UP"} <= set(
            partition.split()
        )
        assert call(slurm, "sinfo", "-h", "-o", "%P %a %l %D %c %G").stdout == (
            "debug* up infinite 2 4 (null)\n"
        )
        assert len(call(slurm, "sinfo", "-h", "-N", "-o", "%N").stdout.splitlines()) == 2
