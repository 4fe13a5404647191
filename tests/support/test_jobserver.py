"""Jobs of tests: forks of one process for each environment, which they see as programs would."""

from __future__ import annotations

import multiprocessing as mp
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import psyflow
from tests.support.jobserver import MOST_SERVERS
from tests.support.place import Place

ANCESTORS = """\
import os
from pathlib import Path

pspace = psyflow.Param(a=[1])
pool_size = 1

def execute(a):
    pid, ancestors = os.getpid(), []
    while pid > 1:
        ancestors.append(str(pid))
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return {"ancestors": " ".join(ancestors), "zone": os.environ.get("A_ZONE", "")}
"""


@pytest.fixture
def run(place: Place) -> Callable[[str], tuple[int, str]]:
    """Run a task in a zone, and return which process its job is a fork of, and its zone."""

    def run(name: str) -> tuple[int, str]:
        place.task(name, "import psyflow\n" + ANCESTORS)
        place.psy("run", name)
        row = psyflow.load(name, workdir=place.work)
        ancestors = str(row["ancestors"][0]).split()
        return int(ancestors[ancestors.index(str(os.getpid())) - 1]), str(row["zone"][0])

    return run


def test_jobs_of_one_environment_are_forks_of_one_process(
    run: Callable[[str], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_ZONE", "one")
    first, zone = run("first")
    again, _ = run("again")
    assert (again, zone) == (first, "one")


def test_jobs_of_another_environment_are_forks_of_another_process(
    run: Callable[[str], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_ZONE", "east")
    east = run("east")
    monkeypatch.setenv("A_ZONE", "west")
    west = run("west")
    assert east[0] != west[0]
    assert (east[1], west[1]) == ("east", "west")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # pytest-xdist has threads
def test_a_server_ends_though_a_forked_process_has_its_socket(
    run: Callable[[str], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_ZONE", "first")
    server, _ = run("first")
    with mp.get_context("fork").Pool(1):
        for number in range(MOST_SERVERS):
            monkeypatch.setenv("A_ZONE", str(number))
            run(f"other{number}")
        assert not Path(f"/proc/{server}").exists()
