"""The fake Slurm passes what the real one passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.scheduler import Slurm
from psyflow.testing import FakeSlurm
from psyflow.testing.schedulers import SchedulerTests

from .private_slurm import MAX_ARRAY_SIZE
from .slurm_facts import SlurmFacts


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """One that is configured as the private one is."""
    folder = tmp_path / "fakeslurm"
    with FakeSlurm(folder, slots=4, accounting=False, max_array_size=MAX_ARRAY_SIZE) as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        yield slurm


class TestSlurmOverTheFake(SchedulerTests):
    @pytest.fixture
    def scheduler(self, slurm: FakeSlurm) -> Slurm:
        return Slurm()


class TestFakeSlurm(SlurmFacts):
    """With the fixture `slurm` of this module."""
