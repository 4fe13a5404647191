"""The fake Slurm passes what the real one passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.scheduler import Slurm
from psyflow.testing import FakeSlurm
from psyflow.testing.schedulers import SchedulerTests


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    with FakeSlurm(tmp_path / "fakeslurm", accounting=False) as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        yield slurm


class TestSlurmOverTheFake(SchedulerTests):
    @pytest.fixture
    def scheduler(self, slurm: FakeSlurm) -> Slurm:
        return Slurm()
