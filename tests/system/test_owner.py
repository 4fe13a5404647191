from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from psyflow.system.owner import Owner, _birth_mark_by_ps
from tests.support.processes import eventually, script

HERE = Owner.here()


def test_the_living_and_the_dead() -> None:
    assert HERE.pid == os.getpid()
    assert HERE.is_dead() is False
    # Another process had this number before, or has it now.
    boot = HERE.birth.partition(":")[0]
    assert dataclasses.replace(HERE, birth=f"{boot}:1").is_dead() is True
    assert dataclasses.replace(HERE, host="elsewhere").is_dead() is None
    assert str(HERE) == f"process {os.getpid()} on {HERE.host}"


@pytest.mark.parametrize("part", range(4), ids=["machine", "boot", "namespace", "clock"])
def test_a_number_of_another_process_table_tells_nothing(part: int) -> None:
    words = HERE.table.split(" ")
    words[part] = "other"
    for pid, birth in ((HERE.pid, HERE.birth), (HERE.pid, "0:1"), (2**22 + 1, HERE.birth)):
        namesake = dataclasses.replace(HERE, pid=pid, birth=birth, table=" ".join(words))
        assert namesake.is_dead() is None
        assert str(namesake) == f"process {pid} on {HERE.host} (another container or boot)"


def test_an_owner_that_an_earlier_psyflow_recorded_lives_or_nobody_knows() -> None:
    fields = dataclasses.asdict(HERE)
    del fields["table"]
    before = Owner.from_fields(fields)
    assert before.is_dead() is False
    assert dataclasses.replace(before, birth="0:1").is_dead() is None
    assert dataclasses.replace(before, pid=2**22 + 1).is_dead() is None
    assert str(before) == str(HERE)


def test_what_a_later_psyflow_records_of_an_owner_is_no_harm() -> None:
    assert Owner.from_fields({**dataclasses.asdict(HERE), "uid": 7}) == HERE


@pytest.mark.parametrize("fields", [None, [], "text", {}, {"host": "a", "pid": "b", "birth": ""}])
def test_what_is_no_owner_is_told(fields: object) -> None:
    with pytest.raises(ValueError, match=r"names no process|invalid literal"):
        Owner.from_fields(fields)  # type: ignore[arg-type]


def test_without_a_process_table_of_its_own_nobody_is_judged_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("psyflow.system.owner._process_table", lambda: "")
    assert HERE.is_dead() is None
    assert Owner.here().is_dead() is None
    assert (Owner.here().birth, Owner.here().table) == ("", "")


OWNER = """
    import dataclasses, json, sys, time
    from psyflow.system.owner import Owner
    print(json.dumps(dataclasses.asdict(Owner.here())), flush=True)
    time.sleep(600)
"""


def test_a_zombie_is_dead() -> None:
    process = script(OWNER, stdout=-1)
    assert process.stdout is not None
    owner = Owner(**json.loads(process.stdout.readline()))
    assert owner.is_dead() is False
    os.kill(process.pid, signal.SIGSTOP)
    assert owner.is_dead() is False
    process.kill()
    eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "Z")
    assert owner.is_dead() is True
    process.wait()
    process.stdout.close()
    assert owner.is_dead() is True


def test_any_name_of_a_process_is_understood() -> None:
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z (\\xff\\n')\n"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            rename + "".join(line.strip() + "\n" for line in OWNER.split("\n")),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert Owner(**json.loads(process.stdout.readline())).is_dead() is False
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_birth_by_ps_depends_on_neither_locale_nor_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        subprocess.run(["ps", "-V"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no ps")
    first = _birth_mark_by_ps(os.getpid())
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert first
    assert _birth_mark_by_ps(os.getpid()) == first
    assert _birth_mark_by_ps(2**22 + 1) is None
