"""What starts the processes of tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.processes import children_of, eventually, state_of
from tests.support.study import Study

ANCESTORS = """
import os
from pathlib import Path
from psyflow import Param

pspace = Param(x=[1])

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def execute(x):
    pid, started = os.getpid(), []
    while pid > 1:
        started.append(Path(f"/proc/{pid}/cmdline").read_text())
        pid = parent(pid)
    return {"started": "".join(started), "columns": os.environ["COLUMNS"]}
"""


def test_jobs_are_forked_and_told_what_is_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.task("t", ANCESTORS)
    for columns in ("71", "72"):
        monkeypatch.setenv("COLUMNS", columns)
        place.call("clean", "t")
        assert place.call("run").returncode == 0
        (started,), (told,) = place.load()["started"], place.load()["columns"]
        assert "be_server" in started and "psyflow.job" not in started
        assert told == columns


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "TZ"])
def test_jobs_with_another_start_are_programs(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "71")
    monkeypatch.setenv(name, "1")
    place.task("t", ANCESTORS)
    assert place.call("run").returncode == 0
    (started,) = place.load()["started"]
    assert "psyflow.job" in started


def test_psy_is_a_program_where_it_would_be_another_one_here(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write("t", ANCESTORS)
    monkeypatch.setenv("COLUMNS", "71")

    def is_program() -> bool:
        study.psy("clean", "t")
        study.psy("run")
        return "psyflow\0run" in study.load()["started"][0]

    assert not is_program()
    study.is_apart = True
    assert is_program()
    study.is_apart = False
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    assert is_program()


def test_who_forks_jobs_is_replaced_when_a_test_has_ended_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "71")
    place.task("t", ANCESTORS)
    assert place.call("run").returncode == 0
    (server,) = [p for p in children_of(os.getpid()) if "be_server" in _command(p)]
    os.kill(server, signal.SIGKILL)
    eventually(lambda: state_of(server) == "Z")
    place.call("clean", "t")
    assert place.call("run").returncode == 0
    assert "be_server" in place.load()["started"][0]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
