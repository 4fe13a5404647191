from __future__ import annotations

import errno
import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from psyflow.system.lease import LEASE_SECONDS, Lease, is_over, owner_of, server_time
from psyflow.system.owner import Owner
from tests.support.processes import script


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lease"


def of_another_host(path: Path, age: float) -> None:
    path.write_text(json.dumps({**asdict(Owner.here()), "host": "elsewhere"}))
    then = time.time() - age
    os.utime(path, (then, then))


def test_living_owner_is_not_over_however_old_its_lease(path: Path) -> None:
    Lease(path).take()
    os.utime(path, (1, 1))
    assert not is_over(path, time.time())


def test_dead_owner_on_this_host_is_over_at_once(path: Path) -> None:
    process = script(
        "import sys; from pathlib import Path; from psyflow.system.lease import Lease\n"
        "Lease(Path(sys.argv[1])).take()",
        path,
    )
    process.wait()
    assert is_over(path, time.time())


def test_another_host_is_over_when_its_lease_is_old(path: Path) -> None:
    of_another_host(path, LEASE_SECONDS / 2)
    assert not is_over(path, time.time())
    of_another_host(path, 2 * LEASE_SECONDS)
    assert is_over(path, time.time())


def test_given_up_or_released_is_over(path: Path) -> None:
    lease = Lease(path)
    lease.take()
    lease.give_up()
    assert path.exists() and is_over(path, time.time())
    lease.release()
    assert not path.exists() and is_over(path, time.time())
    lease.give_up()
    lease.release()


@pytest.mark.parametrize("content", ["", '{"host'])
def test_torn_lease_is_judged_by_its_age(path: Path, content: str) -> None:
    path.write_text(content)
    assert not is_over(path, time.time())
    os.utime(path, (1, 1))
    assert is_over(path, time.time())


def test_renewing_is_seen_by_the_file_servers_clock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(path)
    lease.take()
    of_another_host(path, 2 * LEASE_SECONDS)
    lease.renew()
    assert is_over(path, server_time(path.parent)), "it was said only just now"
    monkeypatch.setattr("psyflow.system.lease.RENEW_SECONDS", 0.0)
    lease.renew()
    assert not is_over(path, server_time(path.parent))
    path.unlink()
    lease.renew()
    assert list(path.parent.iterdir()) == []


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let changes of times fail as often as the list has error numbers."""
    errors: list[int] = []
    utime = os.utime

    def fails(*args: object) -> None:
        if errors:
            raise OSError(errors.pop(0), "the file server is away")
        utime(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "utime", fails)
    monkeypatch.setattr("psyflow.system.lease.RENEW_SECONDS", 0.0)
    monkeypatch.setattr("psyflow.system.lease.RETRY_SECONDS", 0.0)
    return errors


def test_renewal_that_fails_is_tried_again_and_said_once(path: Path, broken: list[int]) -> None:
    said: list[str] = []
    lease = Lease(path, said.append)
    lease.take()
    of_another_host(path, 2 * LEASE_SECONDS)
    broken += [errno.EIO, errno.ESTALE, errno.EIO]
    for _ in range(3):
        assert lease.renew()
        assert is_over(path, time.time())
    assert lease.renew()
    assert not is_over(path, time.time())
    (text,) = said
    assert str(path) in text and "tried again: [Errno 5] the file server is away" in text


def test_owner_that_could_not_renew_for_long_learns_it(path: Path, broken: list[int]) -> None:
    lease = Lease(path)
    lease.take()
    assert not lease.has_lapsed()
    then = time.time() - 2 * LEASE_SECONDS
    os.utime(path, (then, then))
    broken.append(errno.EIO)
    assert lease.renew() and not lease.has_lapsed()
    assert lease.renew() and lease.has_lapsed()
    assert not lease.has_lapsed(), "it was told"


def test_lease_is_lost_when_another_file_has_its_name(path: Path, broken: list[int]) -> None:
    lease = Lease(path)
    lease.take()
    assert lease.renew()
    path.rename(path.with_name("moved"))
    assert not lease.renew()
    path.write_bytes(path.with_name("moved").read_bytes())
    os.utime(path, (1, 1))
    assert not lease.renew()
    assert path.stat().st_mtime == 1, "it is not ours to renew"


def test_ending_a_lease_hides_no_other_error(
    path: Path, broken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> None:
        raise OSError(errno.EIO, "the disk is bad")

    said: list[str] = []
    lease = Lease(path, said.append)
    lease.take()
    broken.append(errno.EROFS)
    lease.give_up()
    with monkeypatch.context() as context:
        context.setattr(Path, "unlink", fails)
        lease.release()
    assert [text.partition(": ")[2][:9] for text in said] == ["[Errno 30", "[Errno 5]"]
    assert all("runs out by itself" in text for text in said)


def test_lease_appears_whole_and_has_one_owner(path: Path) -> None:
    Lease(path).take()
    assert owner_of(path) == Owner.here()
    with pytest.raises(FileExistsError, match="is somebody's already"):
        Lease(path).take()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("content", ["[]", "7", '{"host": "a"}'])
def test_lease_that_names_nobody_is_judged_by_its_age(path: Path, content: str) -> None:
    path.write_text(content)
    assert not is_over(path, time.time())
    os.utime(path, (1, 1))
    assert is_over(path, time.time())


@pytest.mark.parametrize("end", [Lease.release, Lease.give_up])
def test_ending_a_lease_does_nothing_to_a_copy_in_its_place(path: Path, end: Any) -> None:
    lease = Lease(path)
    lease.take()
    path.rename(path.with_name("moved"))
    shutil.copy2(path.with_name("moved"), path)
    before = path.stat()
    end(lease)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
