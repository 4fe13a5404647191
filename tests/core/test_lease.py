from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from psyflow.lease import LEASE_SECONDS, Lease, is_over, server_time
from psyflow.owner import Owner

from .helpers import script


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
        "import sys; from pathlib import Path; from psyflow.lease import Lease\n"
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
    monkeypatch.setattr("psyflow.lease.RENEW_SECONDS", 0.0)
    lease.renew()
    assert not is_over(path, server_time(path.parent))
    path.unlink()
    lease.renew()
    assert list(path.parent.iterdir()) == []
