"""The folder of jobs that runners share: what is damaged, forgotten, secret, a matter of time."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from psyflow.exceptions import SchedulerError
from psyflow.scheduler import Ssh
from psyflow.scheduler.ssh import runner
from psyflow.scheduler.ssh.spool import Exit, Spool, SpooledJob
from psyflow.system.lease import Lease
from tests.trust.users import NOBODY, as_root, run_as_second_user

JOB = SpooledJob(("true",), "/dev/null", "t:job", "/", {"SECRET": "x"})
ARRAY = SpooledJob(("true",), "/dev/null", "t:job", "/", {}, array_size=3)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.folder.mkdir(0o700)
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

    monkeypatch.setattr("psyflow.scheduler.ssh.spool.shutil.rmtree", dies)
    again = Spool(spool.folder)
    with pytest.raises(KeyboardInterrupt):
        again.forget_old(-1)
    assert first not in Spool(spool.folder).unfinished()


def test_what_is_in_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "made" / "spool")
    spool.add(JOB)
    names = (".", "jobs/1.json")
    assert [stat.S_IMODE((spool.folder / n).stat().st_mode) for n in names] == [0o700, 0o600]


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777, 0o701])
def test_folder_that_others_can_get_at_takes_no_jobs_and_none_is_run_from_it(
    spool: Spool, mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.add(JOB)
    spool.folder.chmod(mode)
    mended = f"has mode {mode:04o}, .* chmod 700 {spool.folder}"
    with pytest.raises(SchedulerError, match=mended):
        spool.add(JOB)
    assert runner.main(str(spool.folder), "a") == 1
    assert re.search(mended, capsys.readouterr().err)
    spool.folder.chmod(0o700)
    assert spool.add(JOB) == "2"


@as_root
def test_folder_of_another_user_takes_no_jobs_and_none_is_run_from_it(
    spool: Spool, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.add(JOB)
    os.chown(spool.folder, NOBODY, -1)
    with pytest.raises(SchedulerError, match=r"belongs to .*, who could have jobs run as root"):
        spool.add(JOB)
    assert runner.main(str(spool.folder), "a") == 1
    assert "belongs to" in capsys.readouterr().err
    with pytest.raises(SchedulerError, match="belongs to"):
        Ssh(["a"], spool.folder, ssh="false").submit(["true"], "/dev/null", "t:job")
    assert spool.ids() == ["1"]


@as_root
def test_job_that_another_user_has_put_in_is_never_run(spool: Spool) -> None:
    own, foreign = spool.add(JOB), spool.add(JOB)
    os.chown(spool.folder / "jobs" / f"{foreign}.json", NOBODY, -1)
    assert Spool(spool.folder).unfinished() == [own]


@as_root
def test_a_real_second_user_cannot_run_jobs_of_the_first() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        spool = Spool(Path(folder) / "spool")
        spool.hosts.set_slots("a", 1)
        spool.folder.chmod(0o755)
        ran = run_as_second_user("-m", "psyflow.scheduler.ssh.runner", str(spool.folder), "a")
    assert ran.returncode == 1
    assert "belongs to root" in ran.stderr


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
    monkeypatch.setattr(runner, "IDLE_SECONDS", 2.0)
    monkeypatch.setattr(runner, "PAUSE", 0.01)
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


def test_folders_of_one_path_have_names_of_their_own(tmp_path: Path) -> None:
    here, there = Spool(tmp_path / "here"), Spool(tmp_path / "there")
    assert here.name() is None
    assert not here.folder.exists(), "who only asks makes nothing"
    for one in (here, there):
        one.add(JOB)
    name = here.name()
    assert name is not None
    assert name.startswith(socket.gethostname())
    assert there.name() != name
    here.add(JOB)
    assert here.name() == name


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runner, "PAUSE", 0.01)
    monkeypatch.setattr("psyflow.system.lease.RENEW_SECONDS", 0.0)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("how", ["removed", "followed"])
def test_runner_that_was_taken_for_dead_ends_with_its_jobs(
    spool: Spool, tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    fifo = tmp_path / "began"
    os.mkfifo(fifo)
    words = ("sh", "-c", f"echo > {fifo}; sleep 600")
    spool.add(SpooledJob(words, str(tmp_path / "log"), "t:job", str(tmp_path), {}))
    lease = spool.hosts.take_lease("a")
    assert lease is not None

    def take_for_dead() -> None:
        fifo.read_text()
        if how == "removed":
            lease.unlink()
        else:
            lease.with_name("a.lease-2").write_bytes(lease.read_bytes())

    other = threading.Thread(target=take_for_dead)
    other.start()
    assert not runner.Runner(spool, "a", lease).run()
    other.join()
    assert "somebody has taken this runner for dead: ending" in capsys.readouterr().out
    assert spool.exit_of("1", 0) is None, "it is begun anew elsewhere"


def test_runner_bears_with_a_file_server_until_its_lease_has_run_out(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setattr(runner, "IDLE_SECONDS", 60.0)
    lease = spool.hosts.take_lease("a")
    assert lease is not None
    looks: list[int] = []

    def is_away(host: str, path: Path) -> bool:
        looks.append(1)
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as context:
        context.setattr(spool.hosts, "is_newest", is_away)
        context.setattr(runner, "LEASE_SECONDS", 1.0)
        # The clock goes on with each look.
        clock = SimpleNamespace(monotonic=lambda: 0.05 * len(looks), sleep=time.sleep)
        context.setattr(runner, "time", clock)
        with pytest.raises(OSError, match="Stale file handle"):
            runner.Runner(spool, "a", lease).run()
    assert len(looks) == 21
