from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fake_programs import FakePrograms
from .private_slurm import PrivateSlurm, running_slurm, why_not


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[PrivateSlurm]:
    """A real Slurm of two nodes, for the whole session."""
    reason = why_not()
    if reason and os.environ.get("PSYFLOW_REQUIRE_SERVERS") == "1":
        pytest.fail(f"no Slurm to test with, but PSYFLOW_REQUIRE_SERVERS=1: {reason}")
    if reason:
        pytest.skip(f"no Slurm to test with: {reason}")
    with running_slurm() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: PrivateSlurm, monkeypatch: pytest.MonkeyPatch) -> PrivateSlurm:
    """The real Slurm, found by its programs while the test runs."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.configuration))
    return slurm_cluster


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    """A folder of programs that is all there is on PATH."""
    fakes = FakePrograms(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fakes.folder))
    return fakes
