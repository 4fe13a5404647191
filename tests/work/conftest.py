from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Makes jobs in `tmp_path`, and ends what is left of them."""
    jobs = []

    def make(n_items: int, source: str, **settings: Any) -> Job:
        folder = tmp_path / f"job{len(jobs)}"
        folder.mkdir()
        jobs.append(Job(folder, n_items, source, **settings))
        return jobs[-1]

    yield make
    for made in jobs:
        made.clean_up()
