"""A list of elements that threads, processes and hosts take from, and that is resumed."""

from __future__ import annotations

import itertools
import operator
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from psyflow.sweeper.elements import Catalogue, Elements, keys_of
from psyflow.sweeper.execo import saved_sweeps
from psyflow.sweeper.folder import save_sweeps as save
from psyflow.sweeper.holder import Held
from psyflow.sweeper.shared import SharedStates
from psyflow.system.place import absolute

__all__ = ["ParamSweeper"]

Filter: TypeAlias = Callable[[Elements], Iterable[Any]]
Stats: TypeAlias = tuple[Elements, Elements, Elements, Elements, Elements]


class ParamSweeper:
    """A list of elements, each of which is todo, in progress, done or skipped.

    Any number of threads, processes and hosts that share a folder take elements from it, each
    element once, and mark them as done. What is done and in progress is kept there; what is
    skipped is skipped by this object alone, and comes back with the next one.

    Parameters
    ----------
    persistence_dir : path
        The folder; made if it is not there. The file ``inprogress`` in it may be removed at any
        time, and nothing is in progress; the file ``done`` likewise. A folder of execo is taken
        over.
    sweeps : iterable, optional
        What to iterate on: combinations of `sweep`, a parameter space, or anything that can be
        pickled and hashed. Equal elements count once, with a warning. Without, the elements that
        were saved in the folder.
    save_sweeps : bool
        Whether to save the elements there.
    name : str, optional
        What ``str`` begins with; without, the name of the folder.
    takeover : bool
        Whether `get_next` may take elements of processes that have ended, when no other is left.

    Raises
    ------
    MissingFileError
        If there are neither `sweeps` nor saved ones.
    TypeError
        If the first argument is no path, `sweeps` no iterable, or an element cannot be hashed.
    ValueError
        If the path is empty.
    DamagedFileError, LaterFormatError, UntrustedFileError
        If a file in the folder cannot be read.
    UnstableValueError
        If an element has no content that is the same in every process.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> sweeper = ParamSweeper(folder.name, [{"a": 1}, {"a": 2}, {"a": 3}], name="tries")
    >>> first = sweeper.get_next()
    >>> sweeper.done(first)
    >>> sweeper.get_next(), str(sweeper)
    ({'a': 2}, 'tries <3 total, 1 done, 0 skipped, 1 in progress, 1 remaining>')
    >>> again = ParamSweeper(folder.name, [{"a": 1}, {"a": 2}, {"a": 3}])
    >>> [combination for combination in again]
    [{'a': 3}]
    >>> folder.cleanup()
    """

    def __init__(
        self,
        persistence_dir: str | os.PathLike[str],
        sweeps: Iterable[Any] | None = None,
        save_sweeps: bool = False,
        name: str | None = None,
        *,
        takeover: bool = False,
    ) -> None:
        directory, sweeps = _in_order(persistence_dir, sweeps)
        self._folder = absolute(directory)
        self.name = self._folder.name if name is None else name
        self.takeover = takeover
        self._lock = threading.RLock()
        catalogue = self._catalogue(sweeps)  # nothing is made if there is anything wrong with it
        self._shared = SharedStates(self._folder)
        self._begin(catalogue, save_sweeps)
        _sweepers.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Have processes that are given a copy open the same folder."""
        keywords = (str(self._folder), list(self.get_sweeps()), False, self.name)
        return _opened, (*keywords, self.takeover)

    def __str__(self) -> str:
        with self._lock:
            counts = self._shared.board.counts()
            return (
                f"{self.name} <{len(self._shared.catalogue)} total, {counts['done']} done, "
                f"{counts['skipped']} skipped, {counts['inprogress']} in progress, "
                f"{counts['remaining']} remaining>"
            )

    def __iter__(self) -> Iterator[Any]:
        """Yield the next element that is todo, until there is none."""
        while (element := self._next_or(_NONE)) is not _NONE:
            yield element

    # -- what there is --------------------------------------------------------------------------

    def set_sweeps(self, sweeps: Iterable[Any] | None = None, save_sweeps: bool = False) -> None:
        """Iterate on something else; see the constructor."""
        self._begin(self._catalogue(sweeps), save_sweeps)

    def save_sweeps(self) -> None:
        """Save the elements in the folder, for who opens it without giving them."""
        with self._lock:
            save(self._folder, self._shared.catalogue.elements)

    def get_sweeps(self) -> Elements:
        """Return all elements, in order."""
        with self._lock:
            return Elements(self._shared.catalogue.elements.copy())

    def get_remaining(self) -> Elements:
        """Return the elements that are todo, in order."""
        return self._in_state("remaining")

    def get_skipped(self) -> Elements:
        """Return the elements that this object skipped."""
        return self._in_state("skipped")

    def get_inprogress(self) -> Elements:
        """Return the elements that somebody holds; `get_holders` tells who."""
        return self._in_state("inprogress")

    def get_done(self) -> Elements:
        """Return the elements that are done."""
        return self._in_state("done")

    def get_holders(self) -> list[Held]:
        """Return who holds elements: the process, whether it has ended, and which elements.

        Returns
        -------
        list of Held
            With `owner` (its ``str`` says which process on which host; None if nobody knows),
            `has_ended` and `elements`.
        """
        with self._lock:
            self._shared.update()
            return self._shared.held()

    def stats(self) -> Stats:
        """Return the elements at one moment: all, remaining, skipped, in progress, done."""
        with self._lock:
            self._shared.update()
            states = ("remaining", "skipped", "inprogress", "done")
            remaining, skipped, inprogress, done = map(self._known_in_state, states)
            return self.get_sweeps(), remaining, skipped, inprogress, done

    def update(self) -> None:
        """Learn what others have done since."""
        with self._lock:
            self._shared.update()

    def full_update(self) -> None:
        """Read the folder anew, as if it had just been opened."""
        with self._lock:
            self._shared.begin(self._shared.catalogue)

    # -- taking elements ------------------------------------------------------------------------

    def get_next(self, filtr: Filter | None = None) -> Any:
        """Return the next element that is todo, which is in progress then; None if there is none.

        Parameters
        ----------
        filtr : callable, optional
            Given the elements that are todo, in order, returns those of them that may be taken,
            the first one first.

        Raises
        ------
        ValueError
            If it returns something else.
        """
        return self._next_or(None, filtr)

    def get_next_batch(self, num_combs: int, filtr: Filter | None = None) -> list[Any]:
        """Return the next elements that are todo, as `get_next` does, up to a number of them.

        Parameters
        ----------
        num_combs : int
        filtr : callable, optional
            As in `get_next`.
        """
        n = operator.index(num_combs)
        with self._lock:
            taken = self._shared.take(lambda: self._choose(n, filtr))
            if not taken and self.takeover and n > 0:
                self._shared.release_ended()
                taken = self._shared.take(lambda: self._choose(n, filtr))
            return self._elements(taken)

    # -- marking elements -----------------------------------------------------------------------

    def done(self, combination: Any) -> None:
        """Mark an element as done, for ever."""
        self.done_batch([combination])

    def done_batch(self, combinations: Iterable[Any]) -> None:
        """Mark elements as done, for ever.

        Whatever is killed after that, they are done; after a power loss, those of the last second
        may be in progress.
        """
        keys = keys_of(list(combinations))
        with self._lock:
            self._shared.set_done(keys)

    def skip(self, combination: Any) -> None:
        """Give an element back, and have this object not take it again."""
        self.skip_batch([combination])

    def skip_batch(self, combinations: Iterable[Any]) -> None:
        """Give elements back, and have this object not take them again."""
        positions = self._positions(combinations)
        with self._lock:
            # First, or another thread would take them.
            self._shared.board.skip(positions)
            self._shared.release(positions)

    def cancel(self, combination: Any) -> None:
        """Give an element back: it is todo again."""
        self.cancel_batch([combination])

    def cancel_batch(self, combinations: Iterable[Any]) -> None:
        """Give elements back: they are todo again."""
        positions = self._positions(combinations)
        with self._lock:
            self._shared.release(positions)
            self._shared.board.unskip(positions)

    def reset(self, reset_inprogress: bool = False) -> None:
        """Begin again: what was skipped is todo; what is done stays done.

        Parameters
        ----------
        reset_inprogress : bool
            Whether what is in progress is todo, too, whoever holds it; see `reset_inprogress`.
        """
        with self._lock:
            self._shared.board.unskip_all()
            if reset_inprogress:
                self.reset_inprogress()

    def reset_inprogress(self, *, ended: bool = False) -> list[Any]:
        """Have what is in progress be todo again, and return it.

        Parameters
        ----------
        ended : bool
            Only what is held by processes that have ended. On the same host, the process table
            tells; of another host, a process counts as ended two minutes after its last sign.
        """
        with self._lock:
            if ended:
                return self._elements(self._shared.release_ended())
            inprogress = list(self.get_inprogress())
            self._shared.reset()
            return inprogress

    # -- how ------------------------------------------------------------------------------------

    def _catalogue(self, sweeps: Any) -> Catalogue:
        if hasattr(sweeps, "iloc") and hasattr(sweeps, "to_dict"):
            sweeps = sweeps.to_dict("records")  # a data frame's rows, and not its names
        return Catalogue(saved_sweeps(self._folder) if sweeps is None else sweeps)

    def _begin(self, catalogue: Catalogue, save_sweeps: bool) -> None:
        with self._lock:
            if save_sweeps:
                save(self._folder, catalogue.elements)
            self._shared.begin(catalogue)

    def _next_or(self, default: Any, filtr: Filter | None = None) -> Any:
        return next(iter(self.get_next_batch(1, filtr)), default)

    def _choose(self, n: int, filtr: Filter | None) -> list[int]:
        board = self._shared.board
        if filtr is None or n <= 0:
            return board.todo(n)
        chosen = filtr(self._known_in_state("remaining")) if callable(filtr) else None
        if not isinstance(chosen, Iterable):
            raise TypeError(
                "A filter is a function that takes the elements that remain, and returns those "
                f"that will do, the best first; not {chosen if callable(filtr) else filtr!r:.60}."
            )
        elements = list(itertools.islice(chosen, n))
        positions = self._shared.catalogue.positions(keys_of(elements)).tolist()
        for element, position in zip(elements, positions, strict=True):
            if position < 0 or not board.is_todo(position):
                raise ValueError(
                    f"The filter returned {element!r:.80}, which is none of the elements that it "
                    "was given. It may leave some out and order the others."
                )
        return list(dict.fromkeys(positions))

    def _in_state(self, state: str) -> Elements:
        with self._lock:
            self._shared.update()
            return self._known_in_state(state)

    def _known_in_state(self, state: str) -> Elements:
        return Elements(self._elements(self._shared.board.state(state).tolist()))

    def _elements(self, positions: Iterable[int]) -> list[Any]:
        elements = self._shared.catalogue.elements
        return [elements[position] for position in positions]

    def _positions(self, combinations: Iterable[Any]) -> list[int]:
        found = self._shared.catalogue.positions(keys_of(list(combinations)))
        return [int(position) for position in found if position >= 0]


_NONE = object()
"""Stands for no element: None may be one."""

_sweepers: weakref.WeakSet[ParamSweeper] = weakref.WeakSet()


def _opened(
    folder: str, elements: list[Any], save_sweeps: bool, name: str, takeover: bool
) -> ParamSweeper:
    return ParamSweeper(folder, elements, save_sweeps, name, takeover=takeover)


def _in_order(persistence_dir: Any, sweeps: Any) -> tuple[Any, Any]:
    """Return the two arguments; older scripts for execo have them the other way round."""
    if isinstance(persistence_dir, str | os.PathLike):
        if not os.fspath(persistence_dir):
            raise ValueError("The folder has no name. For the working directory, give '.'.")
        if Path(persistence_dir).is_file():
            raise ValueError(f"{os.fspath(persistence_dir)} is a file. Give a folder.")
        return persistence_dir, sweeps
    if isinstance(sweeps, str | os.PathLike):
        warnings.warn(
            "ParamSweeper takes the folder first, and then what to iterate on: "
            "ParamSweeper(persistence_dir, sweeps).",
            DeprecationWarning,
            stacklevel=3,
        )
        return sweeps, persistence_dir
    raise TypeError(
        f"ParamSweeper takes a folder first, not {persistence_dir!r:.60}: "
        "ParamSweeper(persistence_dir, sweeps)."
    )


_locked: list[ParamSweeper] = []


def _lock_all() -> None:
    _locked[:] = _sweepers
    for sweeper in _locked:
        sweeper._lock.acquire()


def _unlock_all() -> None:
    for sweeper in _locked:
        sweeper._lock.release()
    _locked.clear()


# A fork while another thread is in a sweeper would have half of what that did, and its lock.
os.register_at_fork(before=_lock_all, after_in_parent=_unlock_all, after_in_child=_unlock_all)
