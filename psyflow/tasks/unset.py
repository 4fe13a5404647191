"""What a setting is that nobody sets, where that is made when it is asked for, or there is none.

Stores, backends and schedulers are not imported for a task that names its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psyflow.tasks.settings import Default

if TYPE_CHECKING:
    from psyflow.backend import Backend
    from psyflow.scheduler import Scheduler
    from psyflow.store import Store

__all__ = ["BACKEND", "SCHEDULER", "STORE", "required"]


def _store() -> Store:
    from psyflow.store.pickle import PickleStore

    return PickleStore()


def _backend() -> type[Backend]:
    from psyflow.backend import DistributeBackend

    return DistributeBackend


def _scheduler() -> Scheduler:
    from psyflow.scheduler import ImmediateRun

    return ImmediateRun()


STORE = Default("PickleStore()", _store)
BACKEND = Default("DistributeBackend", _backend)
SCHEDULER = Default("ImmediateRun()", _scheduler)


def required(name: str) -> Default:
    """Return the default of a setting that every task file has to set."""

    def missing() -> object:
        raise AttributeError(f"`{name}` is not set, and has no default.")

    return Default("none: it has to be set", missing)
