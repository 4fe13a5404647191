from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.scheduler import JobStatus
from psyflow.scheduler.slurm.texts import (
    parse_sacct,
    parse_scontrol,
    parse_squeue,
    parse_time_limit,
)

CODES = {
    "Q": "PD RQ RF",
    "*Q": "RH RD SE",
    "R": "R CF CG RS S SI SO ST",
    "D": "CD",
    "C": "CA",
    "F": "F TO NF OOM BF DL PR",
    "?": "RV XY C pd",
}
NAMES = {
    "Q": ["PENDING", "REQUEUED"],
    "R": ["RUNNING", "SUSPENDED", "RESIZING", "COMPLETING", "CONFIGURING"],
    "D": ["COMPLETED"],
    "C": ["CANCELLED", "CANCELLED by 1000", "CANCELLED+"],
    "F": [
        "FAILED",
        "TIMEOUT",
        "OUT_OF_MEMORY",
        "OUT_OF_ME+",
        "NODE_FAIL",
        "PREEMPTED",
        "DEADLINE",
    ],
    # "COMPLE+" may be COMPLETED or COMPLETING: that is not known.
    "?": ["REVOKED", "SOMETHING_NEW", "COMPLE+", "+", "completed"],
}


@pytest.mark.parametrize(("state", "codes"), CODES.items())
def test_squeue_codes(state: str, codes: str) -> None:
    for code in codes.split():
        assert parse_squeue(f"7|{code}|None|t\n") == {"7": ("7", state, "t")}


@pytest.mark.parametrize(("state", "names"), NAMES.items())
def test_sacct_states(state: str, names: list[str]) -> None:
    for name in names:
        assert parse_sacct(f"7_1|{name}|t\n") == {"7_1": ("7_1", state, "t:1")}


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("Dependency", "*Q"),
        ("DependencyNeverSatisfied", "*Q"),
        ("JobHeldUser", "*Q"),
        ("JobHeldAdmin", "*Q"),
        ("Priority", "Q"),
        ("Resources", "Q"),
        ("JobArrayTaskLimit", "Q"),
    ],
)
def test_pending_jobs_that_wait_for_somebody_are_held(reason: str, state: str) -> None:
    assert parse_squeue(f"7|PD|{reason}|t")["7"].status == state


def test_reason_matters_only_for_pending_jobs() -> None:
    assert parse_squeue("7|R|Dependency|t")["7"].status == "R"
    assert parse_squeue("7|CA|Dependency|t")["7"].status == "C"


@pytest.mark.parametrize(
    ("expression", "indices"),
    [
        ("[0-2]", [0, 1, 2]),
        ("[0-2%5]", [0, 1, 2]),
        ("[4]", [4]),
        ("[0-1,7,9-10%2]", [0, 1, 7, 9, 10]),
        ("[0-8:4]", [0, 4, 8]),
        ("[0,2,...]", [0, 2]),
        ("3", [3]),
    ],
)
def test_arrays_are_spread_out(expression: str, indices: list[int]) -> None:
    expected = {f"4_{i}": (f"4_{i}", "Q", f"t:process:{i}") for i in indices}
    assert parse_squeue(f"4_{expression}|PD|Priority|t:process") == expected
    assert parse_sacct(f"4_{expression}|PENDING|t:process") == expected


def test_name_may_have_anything_in_it() -> None:
    assert parse_squeue("7|R|None|a|b é 12|F|None|x")["7"].name == "a|b é 12|F|None|x"


ANSWER = (
    "12_0|R|None|t:process\n12_[1-3%2]|PD|JobArrayTaskLimit|t:process\n"
    "13|PD|Dependency|t:merge\n9_10|CD|None|u\n10|CA|None|u\n11|F|NonZeroExitCode|u\n"
)


def test_cut_answer_never_changes_a_state() -> None:
    whole = parse_squeue(ANSWER)
    assert len(whole) == 8
    for end in range(len(ANSWER)):
        for jobid, status in parse_squeue(ANSWER[:end]).items():
            assert status.status == whole[jobid].status


@given(st.text(alphabet="0123456789_[]-,%|. +\nRPDCADependency"))
def test_nonsense_is_left_out_and_never_raises(text: str) -> None:
    for parse in (parse_squeue, parse_sacct, parse_scontrol):
        for jobid, status in parse(text).items():
            assert isinstance(status, JobStatus)
            assert status.id == jobid and jobid.replace("_", "").isdigit()


SCONTROL = (
    "JobId=5 ArrayJobId=2 ArrayTaskId=1 ArrayTaskThrottle=2 JobName=a b UserId=root(0) "
    "GroupId=root(0) MCS_label=N/A JobState=FAILED Reason=NonZeroExitCode Dependency=(null)\n"
    "JobId=2 ArrayJobId=2 ArrayTaskId=2-3%2 ArrayTaskThrottle=2 JobName=a b UserId=root(0) "
    "JobState=PENDING Reason=JobHeldUser Dependency=(null)\n"
    "JobId=9 JobName=x JobState=FAILED Reason=None UserId=root(0) Requeue=1 "
    "JobState=RUNNING Reason=None Dependency=(null)\n"
)


def test_scontrol() -> None:
    assert parse_scontrol(SCONTROL) == {
        "2_1": ("2_1", "F", "a b:1"),
        "2_2": ("2_2", "*Q", "a b:2"),
        "2_3": ("2_3", "*Q", "a b:3"),
        "9": ("9", "R", "x JobState=FAILED Reason=None"),
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 600),
        ("1:30", 90),
        ("1:00:00", 3600),
        ("2-0", 172800),
        ("1-2:30", 95400),
        ("0-0:0:5", 5),
        ("UNLIMITED", None),
        ("1h", None),
        ("", None),
    ],
)
def test_time_limits(text: str, seconds: float | None) -> None:
    assert parse_time_limit(text) == seconds


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7|OOM|OutOfMemory|t", "oom"),
        ("7|TO|TimeLimit|t", "timeout"),
        ("7|NF|NodeDown|t", "node failure"),
        ("7|PR|None|t", "preempted"),
        ("7|PD|Resources|t", "Resources"),
        ("7|F|NonZeroExitCode|t", "NonZeroExitCode"),
        ("7|R|None|t", ""),
    ],
)
def test_squeue_says_why(line: str, reason: str) -> None:
    assert parse_squeue(line)["7"].reason == reason


def test_sacct_says_why_though_it_cuts_states() -> None:
    assert parse_sacct("7|OUT_OF_ME+|t")["7"].reason == "oom"
    assert parse_sacct("7|FAILED|t")["7"].reason == ""
