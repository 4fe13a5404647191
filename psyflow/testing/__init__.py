"""Conformance suites and fakes for authors of stores and schedulers.

`StoreTests` tests a store, `SchedulerTests` a scheduler: inherit them in a test file. `FakeSlurm`
is a Slurm for tests, where there is none. Importing this module alone imports neither pytest nor
PyTables.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psyflow.testing.fakeslurm import FakeSlurm
    from psyflow.testing.schedulers import SchedulerTests
    from psyflow.testing.stores import StoreTests

__all__ = ["FakeSlurm", "SchedulerTests", "StoreTests"]

_LAZY = {
    "FakeSlurm": "psyflow.testing.fakeslurm",
    "SchedulerTests": "psyflow.testing.schedulers",
    "StoreTests": "psyflow.testing.stores",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
