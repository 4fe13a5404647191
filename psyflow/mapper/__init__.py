"""Evaluating a parameter space without a task file.

Importing this module imports nothing else: workers elsewhere need little of what is here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psyflow.mapper.iterating import imap
    from psyflow.mapper.mapping import map
    from psyflow.mapper.maps import (
        get_result,
        map_pspace,
        map_pspace_hdd_backed,
        map_pspace_parallel,
    )
    from psyflow.mapper.outcome import Outcome

__all__ = [
    "Outcome",
    "get_result",
    "imap",
    "map",
    "map_pspace",
    "map_pspace_hdd_backed",
    "map_pspace_parallel",
]

_HOMES = {
    "Outcome": "outcome",
    "get_result": "maps",
    "imap": "iterating",
    "map": "mapping",
    "map_pspace": "maps",
    "map_pspace_hdd_backed": "maps",
    "map_pspace_parallel": "maps",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
