"""Engines in the place of a cluster: the process job runs here, and hands its items to one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from psyflow.exceptions import UsageError
from psyflow.scheduler.immediate import ImmediateRun

if TYPE_CHECKING:
    from psyflow.engines.link import Link

__all__ = ["Dask", "EngineScheduler", "Executor", "Ray"]


class EngineScheduler(ImmediateRun):
    """Runs jobs on this machine, of which the process job has an engine evaluate the items.

    The workers of the engine need no file of the study: the frozen code travels with the items,
    and their outcomes come back. They need psyflow, in the same version, and what the task's code
    imports that is not the user's own.
    """

    # Executors start processes, which Ctrl-C would end.
    hears_terminal: ClassVar[bool] = False

    @abstractmethod
    def connect(self) -> Link:
        """Connect to the engine.

        Raises
        ------
        PsyflowError
            If it is not installed, or nobody answers.
        """


class Dask(EngineScheduler):
    """A Dask cluster.

    Parameters
    ----------
    address : str, optional
        Of its scheduler, such as ``"tcp://10.1.1.1:8786"``. Without it, the address that is in
        the configuration of Dask; if there is none, a cluster of this machine, for each run.
    **options
        What each block of items is submitted with: ``resources``, ``workers``, ``priority``, …

    Examples
    --------
    >>> Dask("tcp://10.1.1.1:8786", resources={"GPU": 1})
    Dask('tcp://10.1.1.1:8786', resources={'GPU': 1})
    """

    def __init__(self, address: str | None = None, **options: Any) -> None:
        super().__init__()
        self._address = address
        self._options = options

    def __repr__(self) -> str:
        return _shown("Dask", self._address, self._options)

    def connect(self) -> Link:
        """Connect to the cluster."""
        from psyflow.engines.dask import DaskLink

        return DaskLink(self._address or "", self._options)


class Ray(EngineScheduler):
    """A Ray cluster.

    Parameters
    ----------
    address : str, optional
        As for ``ray.init``: ``"auto"``, ``"ray://…"``. Without it, a cluster of this machine, for
        each run.
    **options
        What Ray reserves for each worker: ``num_cpus``, ``num_gpus``, ``memory``, ``resources``, …

    Examples
    --------
    >>> Ray("auto", num_gpus=1)
    Ray('auto', num_gpus=1)
    """

    def __init__(self, address: str | None = None, **options: Any) -> None:
        super().__init__()
        self._address = address
        self._options = options

    def __repr__(self) -> str:
        return _shown("Ray", self._address, self._options)

    def connect(self) -> Link:
        """Connect to the cluster."""
        from psyflow.engines.ray import RayLink

        # What items print comes back with their outcomes.
        init = {"address": self._address, "log_to_driver": False}
        return RayLink(self._options, init)


class Executor(EngineScheduler):
    """Any executor with the interface of `concurrent.futures`: of mpi4py, Parsl, loky, ….

    Parameters
    ----------
    make_executor : callable
        Makes the executor, when a run begins, and again when that has broken.
    n_workers : int, optional
        How many blocks of items it gets at once; as many as it has workers if it tells that.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> def make_executor():
    ...     return ThreadPoolExecutor(4)
    >>> Executor(make_executor)
    Executor(make_executor)
    """

    def __init__(self, make_executor: Callable[[], Any], n_workers: int | None = None) -> None:
        super().__init__()
        if not callable(make_executor):
            raise UsageError(
                f"Executor takes a function that makes the executor, not {make_executor!r}. "
                f"Write: Executor(lambda: {type(make_executor).__name__}(…))"
            )
        self._make = make_executor
        self._n_workers = n_workers

    def __repr__(self) -> str:
        return f"Executor({getattr(self._make, '__name__', self._make)})"

    def connect(self) -> Link:
        """Make the executor."""
        from psyflow.engines.executors import PoolLink

        return PoolLink(self._n_workers, self._make)


def _shown(name: str, address: str | None, options: dict[str, Any]) -> str:
    words = [repr(address)] if address is not None else []
    words += [f"{option}={value!r}" for option, value in options.items()]
    return f"{name}({', '.join(words)})"
