from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import private_gridengine, private_oar, private_sshd
from .fake_programs import FakePrograms
from .private_gridengine import PrivateGridEngine, running_gridengine
from .private_oar import PrivateOar, running_oar
from .private_slurm import PrivateSlurm, running_slurm, why_not
from .private_sshd import PrivateSshd, running_sshd


def require(server: str, reason: str | None) -> None:
    """Skip, or where servers are required fail, if there is a reason why there is none."""
    if reason and os.environ.get("PSYFLOW_REQUIRE_SERVERS") == "1":
        pytest.fail(f"no {server} to test with, but PSYFLOW_REQUIRE_SERVERS=1: {reason}")
    if reason:
        pytest.skip(f"no {server} to test with: {reason}")


@pytest.fixture(scope="module")
def gridengine_cluster() -> Iterator[PrivateGridEngine]:
    """A real Grid Engine of one host; others on this machine have theirs before or after it."""
    require("Grid Engine", private_gridengine.why_not())
    with running_gridengine() as cluster:
        yield cluster


@pytest.fixture
def gridengine(
    gridengine_cluster: PrivateGridEngine, monkeypatch: pytest.MonkeyPatch
) -> PrivateGridEngine:
    """The real Grid Engine, found by its programs while the test runs."""
    for name in ("SGE_ROOT", "SGE_CELL"):
        monkeypatch.setenv(name, gridengine_cluster.environment[name])
    return gridengine_cluster


@pytest.fixture(scope="module")
def oar_cluster() -> Iterator[PrivateOar]:
    """A real OAR of one node."""
    require("OAR", private_oar.why_not())
    with running_oar() as cluster:
        yield cluster


@pytest.fixture
def oar(oar_cluster: PrivateOar, monkeypatch: pytest.MonkeyPatch) -> PrivateOar:
    """The real OAR, found by its programs while the test runs."""
    monkeypatch.setenv("PATH", f"{oar_cluster.programs}:{os.environ['PATH']}")
    return oar_cluster


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[PrivateSlurm]:
    """A real Slurm of two nodes, for the whole session."""
    require("Slurm", why_not())
    with running_slurm() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: PrivateSlurm, monkeypatch: pytest.MonkeyPatch) -> PrivateSlurm:
    """The real Slurm, found by its programs while the test runs."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.configuration))
    return slurm_cluster


@pytest.fixture(scope="module")
def accounted_slurm_cluster() -> Iterator[PrivateSlurm]:
    """A real Slurm with accounting, whose nodes may be killed."""
    require("Slurm with accounting", why_not(accounting=True))
    with running_slurm(accounting=True) as cluster:
        yield cluster


@pytest.fixture
def accounted_slurm(
    accounted_slurm_cluster: PrivateSlurm, monkeypatch: pytest.MonkeyPatch
) -> PrivateSlurm:
    """The real Slurm with accounting, found by its programs while the test runs."""
    monkeypatch.setenv("SLURM_CONF", str(accounted_slurm_cluster.configuration))
    return accounted_slurm_cluster


@pytest.fixture(scope="session")
def sshd() -> Iterator[PrivateSshd]:
    """A real SSH server, for the whole session."""
    require("SSH server", private_sshd.why_not())
    with running_sshd() as server:
        yield server


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    """A folder of programs that is all there is on PATH."""
    fakes = FakePrograms(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fakes.folder))
    return fakes
