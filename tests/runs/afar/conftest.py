"""Engines, each started once for the tests of a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.afar.studies import started
from tests.support.engines import Engine


@pytest.fixture(scope="module", params=["executor", "dask", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    # Not that of pytest: sockets of Ray have long names.
    with tempfile.TemporaryDirectory(prefix="e-") as folder:
        engine = started(request.param, Path(folder))
        try:
            yield engine
        finally:
            engine.end()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder
