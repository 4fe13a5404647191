"""The folder of jobs that runners share: what is damaged, forgotten, secret, a matter of time."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from psyflow.lease import Lease
from psyflow.scheduler import Ssh, runner
from psyflow.scheduler.spool import Exit, Spool, SpooledJob

JOB = SpooledJob(("true",), "/dev/null", "t:job", "/", {"SECRET": "x"})
ARRAY = SpooledJob(("true",), "/dev/null", "t:job", "/", {}, array_size=3)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.hosts.set_slots("a", 2)
    return made


def elsewhere(spool: Spool, age: float = 0.0) -> Path:
    """Have a runner on a host that cannot be asked; return its lease."""
    lease = spool.hosts.folder / "b.lease-1"
    lease.write_text(json.dumps({"host": "far away", "pid": 1, "birth": "x"}))
    os.utime(lease, (time.time() - age,) * 2)
    return lease


def states(spool: Spool, jobid: str) -> str:
    return " ".join(status.status for status in spool.statuses(jobid))


def test_damaged_job_is_as_good_as_forgotten(spool: Spool) -> None:
    first, second = spool.add(JOB), spool.add(JOB)
    (spool.folder / "jobs" / f"{second}.json").write_text("")
    (spool.folder / "jobs" / "1-copy.json").write_text("{}")
    again = Spool(spool.folder)
    assert again.unfinished() == [first]
    assert again.statuses(second) == []
    assert again.add(JOB) == "3"


def test_ids_are_not_given_twice(spool: Spool) -> None:
    ids = [spool.add(JOB) for _ in range(3)]
    for jobid in ids:
        spool.record_exit(jobid, 0, Exit(0))
    Spool(spool.folder).forget_old(-1)
    assert spool.ids() == ["3"]
    assert not (spool.folder / "jobs" / "1").exists()
    assert spool.add(JOB) == "4"


def test_finished_job_stays_so_while_it_is_forgotten(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = spool.add(ARRAY), spool.add(JOB)
    for index in range(3):
        spool.record_exit(first, index, Exit(0))

    def dies(*words: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("psyflow.scheduler.spool.shutil.rmtree", dies)
    again = Spool(spool.folder)
    with pytest.raises(KeyboardInterrupt):
        again.forget_old(-1)
    assert first not in Spool(spool.folder).unfinished()


def test_environments_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "open to all"
    folder.mkdir(mode=0o755)
    spool = Spool(folder)
    spool.add(JOB)
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("jobs", "jobs/1.json")]
    assert modes == [0o700, 0o600]


def test_running_or_killed_is_told_by_the_clock_of_the_leases(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobid = spool.add(JOB)
    spool.claim(jobid, 0, 1, elsewhere(spool))
    spool.ask_to_kill(jobid)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 180)
    status = Ssh(["a"], spool.folder).get_status(jobid)
    assert status is not None
    assert status.status == "R"


def test_killed_array_is_over_when_nobody_runs_its_members(spool: Spool) -> None:
    jobid = spool.add(ARRAY)
    spool.claim(jobid, 0, 1, elsewhere(spool))
    spool.record_exit(jobid, 1, Exit(3))
    spool.ask_to_kill(jobid)
    assert (states(spool, jobid), spool.is_over(jobid)) == ("R F C", False)
    elsewhere(spool, age=500)
    assert (states(spool, jobid), spool.is_over(jobid)) == ("C F C", True)


def test_job_that_fits_no_host_says_so(spool: Spool) -> None:
    wide = SpooledJob(("true",), "/dev/null", "t:job", "/", {}, n_cpus=3)
    (status,) = spool.statuses(spool.add(wide))
    assert (status.status, status.reason) == ("Q", "no host has 3 slots")


def test_runner_without_the_folder_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(str(tmp_path / "nosuch"), "a") == 1
    assert "`workdir` has to be the same on all hosts" in capsys.readouterr().err


def test_exit_is_recorded_when_there_is_room_again(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IDLE_SECONDS", 0.5)
    words = ("sh", "-c", f"echo >> {tmp_path}/began; exit 3")
    works = SpooledJob(words, str(tmp_path / "log"), "t:job", str(tmp_path), {})
    cannot = SpooledJob(("no-such-program",), str(tmp_path / "log"), "t:job", str(tmp_path), {})
    jobs = [spool.add(works), spool.add(cannot)]
    record, refused = spool.record_exit, []

    def is_full_at_first(jobid: str, index: int, ended: Exit) -> None:
        if len(refused) < 3:
            refused.append(jobid)
            raise OSError(errno.ENOSPC, "No space left on device")
        record(jobid, index, ended)

    monkeypatch.setattr(spool, "record_exit", is_full_at_first)
    lease = spool.hosts.take_lease("a")
    assert lease is not None
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert runner.Runner(spool, "a", lease).run()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(refused) == 3
    assert [states(spool, job) for job in jobs] == ["F", "F"]
    assert spool.exit_of(jobs[0], 0) == Exit(3)
    assert (tmp_path / "began").read_text() == "\n"


def test_leases_of_earlier_runners_do_not_pile_up(spool: Spool) -> None:
    for number in range(1, 6):
        lease = spool.hosts.take_lease("a")
        assert lease is not None
        assert lease.name == f"a.lease-{number}"
        assert spool.hosts.take_lease("a") is None
        Lease(lease).give_up()
    assert len(list(spool.hosts.folder.glob("a.lease-*"))) == 2


def test_looking_makes_nothing(spool: Spool) -> None:
    jobid = spool.add(JOB)
    before = sorted(spool.folder.rglob("*"))
    ssh = Ssh(["a"], spool.folder)
    assert (ssh.exit_code(jobid), ssh.exit_code("7")) == (None, None)
    assert ssh.get_status("7") is None
    assert ssh.get_statuses([jobid])[jobid].status == "Q"
    assert sorted(spool.folder.rglob("*")) == before
