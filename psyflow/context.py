"""What `execute` may know about its evaluation: the argument ``ctx``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from psyflow.files import make_folder
from psyflow.pspace import ParameterSpace
from psyflow.pspace.identity import identity_keys

__all__ = ["Context", "Contexts", "StopNow"]


def _never() -> bool:
    return False


class Context:
    """What one evaluation may know about itself; `execute` gets it as ``ctx`` if it takes that.

    Parameters
    ----------
    folder : Path
        The pset's own folder, which need not exist yet.
    job : str
        The job that the evaluation is part of, such as ``process:3``.
    should_stop : callable
        Tells whether the evaluation had better save its state and return or raise.

    Attributes
    ----------
    job : str
    attempt : int
        Which call of `execute` for this pset this is, counted from 1 within a job.

    Examples
    --------
    A function that takes hours, and goes on where it was when its job was ended::

        def execute(n, ctx):
            state = ctx.dir / "state.npy"
            x = np.load(state) if state.exists() else np.zeros(n)
            while not is_finished(x):
                x = step(x)
                if ctx.should_stop():
                    np.save(state, x)
                    ctx.stop()
            return {"x": x}
    """

    def __init__(
        self, folder: Path, job: str = "process:0", should_stop: Callable[[], bool] = _never
    ) -> None:
        self._folder = folder
        self._should_stop = should_stop
        self.job = job
        self.attempt = 1

    @property
    def dir(self) -> Path:
        """The pset's own folder, made when it is first asked for.

        It belongs to the pset, wherever that stands in the space: a later evaluation of it finds
        what an earlier one left. Psets that are equal share it.
        """
        return make_folder(self._folder)

    def should_stop(self) -> bool:
        """Tell whether the job is asked to end, or has so little time left that it will be.

        An evaluation that goes on all the same may be killed, and starts anew in another job.
        """
        return self._should_stop()

    def stop(self) -> None:
        """End this evaluation without an outcome; a later job makes another."""
        raise StopNow


class StopNow(BaseException):
    """Raised inside `execute` when it has to stop: the item counts as never begun."""


@dataclass
class Contexts:
    """Makes the argument ``ctx`` of each pset.

    Attributes
    ----------
    root : Path
        The folder of the psets' folders.
    job : str
    defaults : mapping
        Values of parameters that do not count for what a pset is.
    should_stop : callable
    """

    root: Path
    job: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    should_stop: Callable[[], bool] = _never

    def heed(self, should_stop: Callable[[], bool]) -> None:
        """Let `should_stop` tell evaluations when to end."""
        self.should_stop = should_stop

    def __call__(self, space: ParameterSpace, items: npt.ArrayLike) -> Iterator[Context]:
        """Yield the context of each of `items`."""
        for folder in self.folders(space, items):
            yield Context(folder, self.job, self.should_stop)

    def folders(self, space: ParameterSpace, items: npt.ArrayLike) -> Iterator[Path]:
        """Yield the folder of each of `items`, whether it is there or not."""
        for low, high in identity_keys(space, self.defaults, items).tolist():
            yield self.root / f"{high:016x}{low:016x}"
