"""A Slurm that fails and lies, by programs on PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from psyflow.exceptions import SchedulerError
from psyflow.scheduler import Slurm

from .fake_programs import FakePrograms, failing

TRANSIENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
NO_SUCH_JOB = "slurm_load_jobs error: Invalid job id specified"
NO_ACCOUNTING = "Slurm accounting storage is disabled"


class ImpatientSlurm(Slurm):
    RETRY_PAUSES = (0.0, 0.0)
    QUERY_TIMEOUT = 10.0


@pytest.fixture
def scheduler(programs: FakePrograms) -> Slurm:
    """A Slurm without accounting that knows no job."""
    programs.fails("sacct", NO_ACCOUNTING)
    programs.fails("scontrol", "slurm_load_jobs error: Invalid job id specified")
    return ImpatientSlurm()


def states(scheduler: Slurm, *jobids: str) -> str:
    return " ".join(status.status for status in scheduler.get_statuses(jobids).values())


def test_transient_error_is_asked_again(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.add("squeue", failing(TRANSIENT), failing(TRANSIENT), "echo '7|R|None|t'")
    assert states(scheduler, "7") == "R"
    assert len(programs.calls("squeue")) == 3


def test_array_is_asked_about_once_however_large(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("squeue", "7_[0-2999]|PD|Priority|t")
    members = [f"7_{i}" for i in range(3000)]
    assert set(states(scheduler, *members).split()) == {"Q"}
    assert len(programs.calls("squeue")) == 1


def test_pauses_between_queries_grow() -> None:
    pauses = list(Slurm.RETRY_PAUSES)
    assert 0 < pauses[0] < pauses[-1]
    assert pauses == sorted(pauses)


def test_lasting_error_is_an_error_and_no_state(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.fails("squeue", TRANSIENT)
    with pytest.raises(SchedulerError, match=r"squeue failed with exit code 1: .*connect failure"):
        scheduler.get_statuses(["7"])


def test_accounting_answers_when_squeue_does_not(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.fails("squeue", TRANSIENT)
    programs.says("sacct", "7_0|COMPLETED|t", "7_1|TIMEOUT|t", "8|RUNNING|u")
    assert states(scheduler, "7", "7_1", "8") == "F F R"
    with pytest.raises(SchedulerError, match="connect failure"):
        scheduler.get_statuses(["7", "9"])


def test_one_failing_scontrol_is_enough(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.fails("squeue", TRANSIENT)
    programs.fails("scontrol", "Unable to contact slurm controller")
    with pytest.raises(SchedulerError):
        scheduler.get_statuses(["7", "8", "9"])
    assert len(programs.calls("scontrol")) == 1


@pytest.mark.parametrize("answer", ["echo '8|R|None|other'", failing(NO_SUCH_JOB)])
def test_vanished_job_is_unknown(scheduler: Slurm, programs: FakePrograms, answer: str) -> None:
    programs.add("squeue", answer)
    assert scheduler.get_status("7") is None
    assert scheduler.get_statuses(["7", "7_1"]) == {"7": ("7", "?", ""), "7_1": ("7_1", "?", "")}
    assert len(programs.calls("squeue")) == 2, "what is no error was asked again"


def test_no_accounting_program_at_all(scheduler: Slurm, programs: FakePrograms) -> None:
    (programs.folder / "sacct").unlink()
    programs.fails("squeue", NO_SUCH_JOB)
    assert scheduler.get_status("7") is None


def test_squeue_goes_before_the_late_accounting(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("squeue", "7_1|R|None|t")
    programs.says("sacct", "7_0|COMPLETED|t", "7_1|PREEMPTED|t")
    assert states(scheduler, "7_0", "7_1") == "D R"
    assert states(scheduler, "7_1", "7") == "R R"
    assert len(programs.calls("sacct")) == 1, "what squeue lists needs no second source"


def test_scontrol_is_the_last_to_be_asked(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("squeue")
    told = "JobId=7 JobName=t UserId=me(1) JobState=FAILED Reason=None Dependency=(null)"
    programs.says("scontrol", told)
    assert states(scheduler, "7") == "F"
    assert programs.calls("scontrol") == ["scontrol --oneliner show job 7"]


def test_unknown_code_is_unknown(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("squeue", "7|ZZ|None|t", "8||None|t", "9|CD")
    assert states(scheduler, "7", "8", "9") == "? ? ?"
    assert scheduler.get_status("7") == ("7", "?", "t")


def test_truncated_and_equal_names_do_not_matter(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("squeue", "7|R|None|t:pro", "8|F|None|t:pro", "9|PD|Dependency|")
    assert states(scheduler, "7", "8", "9") == "R F *Q"


def test_foreign_jobs_in_the_answer_are_not_ours(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("squeue", "7|R|None|t", "77|R|None|t", "7_1|R|None|t")
    assert set(scheduler.get_statuses(["7"])) == {"7"}


def test_program_that_hangs_is_given_up(programs: FakePrograms) -> None:
    class VeryImpatientSlurm(ImpatientSlurm):
        QUERY_TIMEOUT = 0.2

    programs.add("squeue", "exec /bin/sleep 60")
    with pytest.raises(SchedulerError, match=r"squeue did not answer within 0\.2 s"):
        VeryImpatientSlurm().get_statuses(["7"])


def test_no_slurm_says_what_to_do(programs: FakePrograms, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r'no program "sbatch".*module load slurm'):
        Slurm().submit(["true"], tmp_path / "log", "t")
    with pytest.raises(SchedulerError, match=r'no program "squeue".*ImmediateRun'):
        Slurm().get_status("7")


def test_nonsense_instead_of_an_id(
    scheduler: Slurm, programs: FakePrograms, tmp_path: Path
) -> None:
    programs.says("sbatch", "Welcome to the cluster!")
    with pytest.raises(SchedulerError, match=r"Welcome to the cluster!.*look at the queue"):
        scheduler.submit(["true"], tmp_path / "log", "t")
    assert scheduler.get_jobs() == []


def test_submission_is_never_repeated(
    scheduler: Slurm, programs: FakePrograms, tmp_path: Path
) -> None:
    programs.fails("sbatch", "sbatch: error: Socket timed out on send/recv operation")
    with pytest.raises(SchedulerError, match="Socket timed out"):
        scheduler.submit_array(5, ["true"], tmp_path / "log", "t")
    assert len(programs.calls("sbatch")) == 1


def test_bytes_that_are_no_text_do_no_harm(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.add("squeue", "printf '7|R|None|\\377\\n8|PD|Priority|t\\n'")
    assert states(scheduler, "7", "8") == "R Q"


def test_killing_a_job_that_is_gone(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.fails(
        "scancel", "scancel: error: Kill job error on job id 7: Invalid job id specified"
    )
    programs.fails("squeue", NO_SUCH_JOB)
    scheduler.kill("7")
    programs.says("squeue", "7|R|None|t")
    with pytest.raises(SchedulerError, match="Kill job error"):
        scheduler.kill("7")


def test_config_without_the_array_limit(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("scontrol", "ClusterName = x")
    assert scheduler.max_array_size() == 1001, "what most clusters have"
    assert len(programs.calls("scontrol")) == 1


def test_the_array_limit_is_asked_for_once(scheduler: Slurm, programs: FakePrograms) -> None:
    programs.says("scontrol", "MaxArraySize            = 77")
    assert [scheduler.max_array_size(), Slurm().max_array_size()] == [77, 77]
    assert len(programs.calls("scontrol")) == 1, "the answer was not kept"
