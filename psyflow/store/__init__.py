"""Stores: file formats for tables, chosen by a file's extension.

What each store can hold exactly is in ``docs/stores.md``. Importing this module imports no store:
PyTables is only needed, and only imported, where an `H5Store` is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from psyflow.store.adapted import as_store
from psyflow.store.base import Store
from psyflow.store.registry import AutodetectStore, known_extensions, store_for

if TYPE_CHECKING:
    from psyflow.store.h5 import H5Store
    from psyflow.store.npz import NpzStore
    from psyflow.store.pickle import PickleStore
    from psyflow.store.pickle import PickleStore as DefaultStore

__all__ = [
    "AutodetectStore",
    "DefaultStore",
    "H5Store",
    "NpzStore",
    "PickleStore",
    "Store",
    "as_store",
    "known_extensions",
    "store_for",
]

_LAZY = {
    "DefaultStore": ("psyflow.store.pickle", "PickleStore"),
    "H5Store": ("psyflow.store.h5", "H5Store"),
    "NpzStore": ("psyflow.store.npz", "NpzStore"),
    "PickleStore": ("psyflow.store.pickle", "PickleStore"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
