"""What psyflow asks of a file system, counted by kind and folder.

It has to be imported before psyflow, some of which takes the functions that are counted out of
`os`.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["counting", "during"]

_COUNTED = {
    "stat": "look", "lstat": "look", "scandir": "look", "listdir": "listing", "mkdir": "create",
    "link": "link", "rename": "link", "replace": "link", "unlink": "remove", "utime": "touch",
    "fsync": "sync", "write": "append",
}  # fmt: skip
_counts: Counter[tuple[str, str]] = Counter()
_is_counting = False


def _count(name: str, path: object) -> None:
    if _is_counting and isinstance(path, str | os.PathLike):
        place = os.fspath(path)
        is_folder = Path(place).suffix == "" and Path(place).name in _FOLDERS
        folder = Path(place).name if is_folder else Path(place).parent.name
        _counts[name, folder if folder in _FOLDERS else "elsewhere"] += 1


_FOLDERS = ("claims", "leases", "out")


def _wrap(module: Any, function: str, kind: Callable[..., str]) -> None:
    original = getattr(module, function)

    def counted(*arguments: Any, **options: Any) -> Any:
        _count(kind(*arguments, **options), arguments[0] if arguments else None)
        return original(*arguments, **options)

    setattr(module, function, counted)


def _kind_of_open(path: object, flags: int = 0, *rest: object, **options: object) -> str:
    if flags & os.O_DIRECTORY:
        return "look"
    return "create" if flags & os.O_CREAT else "read"


def _kind_of_io(path: object, mode: str = "r", *rest: object, **options: object) -> str:
    return "read" if "r" in mode else "create"


for _function, _kind in _COUNTED.items():
    if _function not in ("fsync", "write"):
        _wrap(os, _function, lambda *a, _kind=_kind, **o: _kind)
_wrap(os, "open", _kind_of_open)
_wrap(io, "open", _kind_of_io)


@contextmanager
def counting() -> Iterator[Counter[tuple[str, str]]]:
    """Count operations by kind and folder."""
    global _is_counting
    _counts.clear()
    _is_counting = True
    try:
        yield _counts
    finally:
        _is_counting = False


def during(do: Callable[[], object]) -> Counter[str]:
    """Return the operations in the folders of a run while something is done, by kind."""
    with counting() as counts:
        do()
        found: Counter[str] = Counter()
        for (kind, where), n in counts.items():
            if where in _FOLDERS:
                found[kind] += n
    return found
