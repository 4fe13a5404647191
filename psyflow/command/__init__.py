"""Programs as tasks: their command lines, their folders, and what they print.

`Command` is what users see. It runs in workers, so it knows neither task files nor schedulers.
Names are loaded when they are first used: of most tasks, only the names of files are.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psyflow.command.command import Command
    from psyflow.command.parse import Parse

__all__ = ["Command", "Parse"]

_HOMES = {"Command": "command", "Parse": "parse"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
