"""A worker that sleeps, five times."""

from __future__ import annotations

import time
from typing import Any

from psyflow import survey

__all__ = ["main"]


def sleep_worker(pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
    """Sleep, and return for how long."""
    time.sleep(pset["duration"])
    return {"slept": pset["duration"]}


def main() -> None:
    """Print how long each of five workers slept."""
    survey.init()
    results = survey.map(sleep_worker, [{"duration": 0.3}] * 5, verbose=2)
    assert results is not None
    for row in results.itertuples():
        print(row.duration, row.slept)
    survey.finalize()
