"""A time limit means the same to every scheduler."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import UsageError
from psyflow.scheduler import LSF, PBS, GridEngine, HyperQueue, Slurm, Sqsub, Ssh
from psyflow.scheduler.checked import CheckedScheduler
from psyflow.scheduler.timelimit import clock, duration_text, read_time_limit

SCHEDULERS = [Slurm(), GridEngine(), PBS(), LSF(), HyperQueue(), Sqsub(), Ssh({"node": 1})]
WORDS = {
    Slurm: "--time=0:15:00",
    GridEngine: "h_rt=0:15:00",
    PBS: "walltime=0:15:00",
    LSF: "0:15",
    Sqsub: "15m",
}


def class_name(scheduler: CheckedScheduler) -> str:
    return type(scheduler).__name__


def args_of(scheduler: CheckedScheduler, limit: object) -> dict[str, object]:
    return (
        {"timelimit": limit, "memory": "1G"}
        if isinstance(scheduler, Sqsub)
        else {"timelimit": limit}
    )


def words(scheduler: CheckedScheduler, limit: object) -> list[str]:
    request = scheduler.request(["x"], "/tmp/log", "t", [], args_of(scheduler, limit))
    assert not isinstance(scheduler, Ssh)
    return scheduler.submit_command(request)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=class_name)
@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        (15, 900),
        ("15", 900),
        ("1.5", 90),
        (1.5, 90),
        ("15m", 900),
        ("15 min", 900),
        ("90s", 90),
        ("1h 30m", 5400),
        ("1h30min 5s", 5405),
        ("1.5h", 5400),
        ("2 days, 3 hours", 183600),
        ("1w", 604800),
        ("0:15:00", 900),
        ("100:00:00", 360000),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:15", 131415),
        (timedelta(minutes=15), 900),
    ],
)
def test_one_text_is_one_time_everywhere(
    scheduler: CheckedScheduler, limit: object, seconds: float
) -> None:
    args = args_of(scheduler, limit)
    scheduler.check_args(args)
    assert scheduler.time_limit(args) == seconds


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=class_name)
@pytest.mark.parametrize(
    "limit", ["soon", "", "5ms", "1 month", "1:2:3:4", "-5", -5, True, math.nan, "15 m x", "h", []]
)
def test_what_is_no_time_is_refused_before_anything_is_submitted(
    scheduler: CheckedScheduler, limit: object
) -> None:
    with pytest.raises(UsageError, match='"timelimit" is minutes, or a time such as "15m"'):
        scheduler.check_args(args_of(scheduler, limit))


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=class_name)
@pytest.mark.parametrize("limit", ["UNLIMITED", "infinite", "0", 0, timedelta(0)])
def test_no_limit_is_no_limit(scheduler: CheckedScheduler, limit: object) -> None:
    if isinstance(scheduler, Sqsub):
        with pytest.raises(UsageError, match="a time that ends"):
            scheduler.check_args(args_of(scheduler, limit))
    else:
        assert scheduler.time_limit(args_of(scheduler, limit)) == math.inf


@pytest.mark.parametrize("scheduler", SCHEDULERS[:4] + SCHEDULERS[5:6], ids=class_name)
def test_every_cluster_is_told_in_its_own_words(scheduler: CheckedScheduler) -> None:
    for limit in (15, "15m", timedelta(minutes=15), "0-0:15"):
        assert WORDS[type(scheduler)] in words(scheduler, limit)


def test_a_time_without_limit_is_told_where_there_are_words_for_it() -> None:
    assert "--time=UNLIMITED" in words(Slurm(), "0")
    assert "h_rt=INFINITY" in words(GridEngine(), "0")
    assert not any("walltime" in word for word in words(PBS(), "0"))
    assert "-W" not in words(LSF(), "0")


def test_two_numbers_are_minutes_and_seconds_and_refused_where_the_cluster_says_otherwise() -> (
    None
):
    assert Slurm().time_limit({"timelimit": "15:00"}) == 900
    assert GridEngine().time_limit({"timelimit": "15:00"}) == 900
    with pytest.raises(UsageError, match="two numbers for hours and minutes"):
        LSF().check_args({"timelimit": "1:00"})


@pytest.mark.parametrize("limit", [10**12, 1e300, "99999999 days", "999999999999:00:00"])
def test_more_than_a_lifetime_is_a_mistake(limit: object) -> None:
    with pytest.raises(UsageError, match="under a hundred years"):
        Slurm().check_args({"timelimit": limit})


@given(st.integers(1, 10**8))
def test_a_clock_reads_back(seconds: int) -> None:
    assert read_time_limit(clock(seconds)) == seconds
    assert read_time_limit(duration_text(seconds)) == seconds
