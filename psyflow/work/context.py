"""What `execute` may know about its evaluation: the argument ``ctx``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.pspace import ParameterSpace
from psyflow.pspace.identity import identity_keys
from psyflow.system.files import make_folder, make_within
from psyflow.work.psetfolders import Lock, Repetitions, enter, folder_name, note_item

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
    worker : int
        The number of the worker within its job.
    n_psets : int
        How many psets the space of the run has.
    programs : mapping or None
        What a `psyflow.Command` notes of the programs that it has run; see
        `psyflow.outcomes.records.OF_PROGRAMS`.

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
        self.worker = 0
        self.n_psets = 1
        self.programs: Mapping[str, Any] | None = None

    @property
    def dir(self) -> Path:
        """The pset's own folder, made when it is first asked for.

        It belongs to the pset, wherever that stands in the space: a later evaluation of it finds
        what an earlier one left. No two evaluations are ever at work in it at once. A pset that is
        repeated in the space has a folder for each repetition; and one whose earlier evaluation
        still goes on, in a job that was thought to be over, begins in an empty folder.
        """
        return make_folder(self._folder)

    @property
    def place(self) -> Path:
        """Where `dir` is, or will be when it is made; what is above that is there."""
        return self._folder

    def elsewhere(self) -> Path:
        """Leave the folder for an empty one, because somebody is at work in it; return that."""
        name, _, number = self._folder.name.partition(".")
        self._folder = self._folder.with_name(f"{name}.{int(number or 0) + 1}")
        return self.dir

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
    is_gone: Callable[[], bool] = _never
    """Tells whether the run was moved or removed, or another one is in its place."""
    _repetitions: tuple[ParameterSpace, Repetitions] | None = None

    worker: int = 0
    is_afar: bool = False
    """Whether the folders go to that of the run only when their items are through."""
    is_durable: bool = True
    """Whether folders of psets are to outlast a power failure, whatever is in them."""
    _is_made: bool = False

    def heed(
        self, worker: int, should_stop: Callable[[], bool], is_gone: Callable[[], bool]
    ) -> None:
        """Let `should_stop` tell evaluations when to end, and `is_gone` when there is no run."""
        self.worker, self.should_stop, self.is_gone = worker, should_stop, is_gone

    def __call__(self, space: ParameterSpace, items: npt.ArrayLike) -> Iterator[Context]:
        """Yield the context of each of `items`; asking for the next one ends the one before."""
        keys = identity_keys(space, self.defaults, items).tolist()
        for item, key in zip(np.asarray(items).tolist(), keys, strict=True):
            context = _Locked(self, space, item, (key[0], key[1]))
            try:
                yield context
            finally:
                context.leave()

    def folder(self, space: ParameterSpace, item: int) -> Path:
        """Return the folder of an item, whether it is there or not."""
        ((low, high),) = identity_keys(space, self.defaults, [item]).tolist()
        return self.root / self.name(space, item, (low, high))

    def name(self, space: ParameterSpace, item: int, key: tuple[int, int]) -> str:
        """Return the name of an item's folder."""
        # Only where somebody asks: it takes the keys of the whole space, once.
        if self._repetitions is None or self._repetitions[0] is not space:
            self._repetitions = space, Repetitions(space, self.defaults)
        return folder_name(key, self._repetitions[1].of(item))

    def made_once(self) -> Path:
        """Return the folder of the psets' folders, which was there once.

        Raises
        ------
        StopNow
            As for `make`.
        """
        if not self._is_made:
            self.make()
            self._is_made = True
        elif self.is_gone():
            raise StopNow
        return self.root

    def make(self, folder: str | None = None) -> Path:
        """Make the folder of the psets' folders, or one in it, and return it.

        Raises
        ------
        StopNow
            If the run was moved or removed: none is to be made where it was.
        """
        if self.is_gone():
            raise StopNow
        try:
            make_within(self.root.parent, self.root.name)
            if folder is None:
                return self.root
            if self.is_durable:
                return make_within(self.root, folder)
            with contextlib.suppress(FileExistsError):
                (self.root / folder).mkdir()
        except FileNotFoundError:
            raise StopNow from None
        return self.root / folder


class _Locked(Context):
    """The context of an item of a job, which has its folder for itself."""

    def __init__(
        self, contexts: Contexts, space: ParameterSpace, item: int, key: tuple[int, int]
    ) -> None:
        super().__init__(contexts.root, contexts.job, contexts.should_stop)
        self.worker = contexts.worker
        # What is packed would stay here.
        self.n_psets = 1 if contexts.is_afar else len(space)
        self._contexts = contexts
        self._of = space, item, key
        self._lock: Lock | None = None

    @property
    def dir(self) -> Path:
        if self._lock is None:
            return self._enter(self._contexts.name(*self._of))
        return self._contexts.make(self._folder.name)

    def _enter(self, name: str) -> Path:
        root = self._contexts.make()
        self._folder, self._lock = enter(root, name)
        if self._contexts.is_afar:
            note_item(root, self._of[1], self._folder.name)
        return self._contexts.make(self._folder.name)

    @property
    def place(self) -> Path:
        if self._lock is not None:
            return self._folder
        return self._contexts.made_once() / self._contexts.name(*self._of)

    def elsewhere(self) -> Path:
        self.leave()
        name, _, number = self.place.name.partition(".")
        return self._enter(f"{name}.{int(number or 0) + 1}")

    def leave(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            self._lock.leave()
            self._lock = None
