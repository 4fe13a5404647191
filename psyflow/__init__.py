"""psyflow: Make for parameter studies.

A task file says which parameter space to explore, which function to evaluate on it, where to keep
the results and what runs the jobs; ``psy run`` brings every task up to date.

Importing this package imports nothing else: each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psyflow.backend import DistributeBackend, LoadBalancingBackend
    from psyflow.command import Command, Parse
    from psyflow.exceptions import Skip
    from psyflow.mapper import (
        imap,
        map,
        map_pspace,
        map_pspace_hdd_backed,
        map_pspace_parallel,
    )
    from psyflow.notebook.running import run
    from psyflow.pspace import (
        Param,
        ParameterSpace,
        arange,
        geom,
        igeom,
        linspace,
        logspace,
        missing,
        sweep,
    )
    from psyflow.results import folder, load
    from psyflow.scheduler import ImmediateRun, Slurm, Sqsub
    from psyflow.store import AutodetectStore, DefaultStore, H5Store, NpzStore, PickleStore

__version__ = "0.2.0.dev0"
"""The version of psyflow, a text."""

__all__ = [
    "AutodetectStore",
    "Command",
    "DefaultStore",
    "DistributeBackend",
    "H5Store",
    "ImmediateRun",
    "LoadBalancingBackend",
    "NpzStore",
    "Param",
    "ParameterSpace",
    "Parse",
    "PickleStore",
    "Skip",
    "Slurm",
    "Sqsub",
    "__version__",
    "arange",
    "folder",
    "geom",
    "igeom",
    "imap",
    "linspace",
    "load",
    "logspace",
    "map",
    "map_pspace",
    "map_pspace_hdd_backed",
    "map_pspace_parallel",
    "missing",
    "run",
    "sweep",
]

_HOMES = {
    "psyflow.backend": ("DistributeBackend", "LoadBalancingBackend"),
    "psyflow.command": ("Command", "Parse"),
    "psyflow.exceptions": ("Skip",),
    "psyflow.mapper": (
        "imap",
        "map",
        "map_pspace",
        "map_pspace_hdd_backed",
        "map_pspace_parallel",
    ),
    "psyflow.notebook.running": ("run",),
    "psyflow.pspace": (
        "Param",
        "ParameterSpace",
        "arange",
        "geom",
        "igeom",
        "linspace",
        "logspace",
        "missing",
        "sweep",
    ),
    "psyflow.results": ("folder", "load"),
    "psyflow.scheduler": ("ImmediateRun", "Slurm", "Sqsub"),
    "psyflow.store": ("AutodetectStore", "DefaultStore", "H5Store", "NpzStore", "PickleStore"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_SUBMODULES = frozenset(
    (
        "backend",
        "engine",
        "exceptions",
        "mapper",
        "pspace",
        "results",
        "scheduler",
        "store",
        "study",
        "survey",
        "sweeper",
        "tasks",
    )
)


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        home = _HOME_OF[name]
        # What is still being imported has it later.
        found = getattr(sys.modules.get(home), name, None)
        if found is None:
            found = getattr(importlib.import_module(home), name)
        # `psyflow.Skip` may be asked for by each item.
        return globals().setdefault(name, found)
    if name in _SUBMODULES:
        return importlib.import_module(f"psyflow.{name}")
    raise AttributeError(f"module 'psyflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
