"""Flux, by a program on PATH that answers as its manual says and really runs the jobs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import scheduler_by_name
from psyflow.scheduler.flux import Flux
from psyflow.testing.schedulers import SchedulerTests, until
from tests.support.place import Place

from .fake_cluster import command_of, end
from .fake_flux import f58
from .page_runs import check_task_file


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The program on PATH."""
    programs, state = tmp_path / "bin", tmp_path / "state"
    for folder in (programs, state):
        folder.mkdir()
    fake = shlex.join(command_of("fake_flux"))
    (programs / "flux").write_text(f'#!/bin/sh\nexec {fake} "$@"\n')
    (programs / "flux").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CLUSTER", str(state))
    yield state
    end(state)


class TestFlux(SchedulerTests):
    @pytest.fixture
    def scheduler(self, install: Path) -> Flux:
        return Flux()


def test_the_task_of_the_page_runs(install: Path, tmp_path: Path) -> None:
    check_task_file("flux", Place(tmp_path))


def test_it_has_a_name() -> None:
    assert scheduler_by_name("flux") is Flux


@pytest.mark.parametrize("number", [0, 57, 58, 1000, 2**63 - 1])
def test_ids_are_numbers(number: int) -> None:
    assert Flux().parse_job_id(f"{f58(number)}\n") == str(number)
    assert Flux().parse_job_id(f"hello\nf{f58(number)[1:]}\n") == str(number)


def test_what_is_no_id_is_none() -> None:
    assert [Flux().parse_job_id(text) for text in ("", "flux is down", "0l0")] == ["", "", ""]


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("7|DEPEND||||16|t|x", "*Q", ""),
        ("7|SCHED||||0|t|x", "*Q", "urgency 0"),
        ("7|PRIORITY||||16|t|x", "Q", ""),
        ("7|CLEANUP||||16|t|x", "R", ""),
        ("7|INACTIVE|COMPLETED|0||16|t|x", "D", ""),
        ("7|INACTIVE|FAILED|3|exec|16|t|x", "F", "exit code 3"),
        ("7|INACTIVE|FAILED|1|node-failure|16|t|x", "F", "node failure"),
        ("7|INACTIVE|TIMEOUT|142|timeout|16|t|x", "F", "timeout"),
        ("7|INACTIVE|CANCELED|-128|cancel|16|t|x", "C", ""),
        ("7|MELTED||||16|t|x", "?", ""),
    ],
)
def test_states(line: str, status: str, reason: str) -> None:
    (found,) = Flux().parse_status(f"{line}\nnoise\n").values()
    assert (found.status, found.reason, found.name) == (status, reason, "t|x")


def test_a_held_job_is_told() -> None:
    (held,) = Flux().parse_status("7|SCHED||||0|t\n").values()
    remedy = Flux().remedy(held)
    assert remedy is not None
    assert remedy.command == "flux job urgency 7 default"


def test_jobs_submit_to_the_instance_that_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Flux().request(["true"], "/tmp/log", "t")
    assert "export PSYFLOW_FLUX_PARENT=1" in Flux().submit_script(request)
    assert Flux().submit_command(request)[:2] == ["flux", "batch"]
    monkeypatch.setenv("PSYFLOW_FLUX_PARENT", "1")
    assert Flux().submit_command(request)[:3] == ["flux", "--parent", "batch"]
    assert Flux().kill_command(["7"])[:3] == ["flux", "--parent", "cancel"]


def test_refused_submission_says_why(install: Path, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="Invalid queue"):
        Flux().submit(["true"], tmp_path / "log", "t", None, {"queue": "nosuch"})
    with pytest.raises(UsageError, match="exclusive"):
        Flux().check_args({"exclusive": 1})
    with pytest.raises(UsageError, match="flux:"):
        Flux().submit(["echo", "a\n# flux: -N4"], tmp_path / "log")


def test_forgotten_jobs_are_unknown_and_the_others_known(install: Path, tmp_path: Path) -> None:
    flux = Flux()
    job = flux.submit(["false"], tmp_path / "log", "t")

    def states() -> list[str]:
        return [status.status for status in flux.get_statuses([job, "4711"]).values()]

    until(lambda: states() == ["F", "?"], "it has failed", 180)
