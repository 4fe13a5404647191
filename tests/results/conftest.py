from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = Study(tmp_path)
    yield study
    study.end()
