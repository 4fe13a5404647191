"""The paths among the values of a space, wherever in a value they are."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.pspace.objects import pickled
from psyflow.pspace.space import ParameterSpace

__all__ = ["items_with", "may_have_paths", "paths_in", "with_paths"]

_KIND = type(Path())


def may_have_paths(pickle_of_value: bytes) -> bool:
    """Tell at once of most values that no `Path` is in them.

    Examples
    --------
    >>> may_have_paths(pickled([1, "a.csv"])), may_have_paths(pickled([Path("a.csv")]))
    (False, True)
    """
    return b"pathlib" in pickle_of_value


def paths_in(value: object) -> set[str]:
    """Return the paths in a value, with ``/``.

    Examples
    --------
    >>> sorted(paths_in({"a": [Path("x.csv"), (1, Path("y.csv"))], "b": "z.csv"}))
    ['x.csv', 'y.csv']
    """
    found = set()

    def note(path: Path) -> Any:
        found.add(path.as_posix())
        return path.__reduce__()

    pickled(value, {_KIND: note})
    return found


def items_with(space: ParameterSpace, paths: Collection[str]) -> npt.NDArray[np.int64]:
    """Return the items of a space in whose psets any of some paths is, ascending.

    Examples
    --------
    >>> from psyflow import Param
    >>> files = Param(file=[Path("a.csv"), Path("b.csv")])
    >>> items_with(files * Param(n=[1, 2]), {"b.csv"}).tolist()
    [2, 3]
    """
    marked = _marked(space, paths)
    everything = np.arange(len(space))
    return np.flatnonzero(
        np.any(space.key_take(everything) != marked.key_take(everything), axis=1)
    )


def _marked(space: ParameterSpace, paths: Collection[str]) -> ParameterSpace:
    return with_paths(space, lambda path: f"{path}\0" if path in paths else path)


def with_paths(space: ParameterSpace, renamed: Callable[[str], str]) -> ParameterSpace:
    """Return the space with other paths in the place of its own, in whatever values they are.

    Examples
    --------
    >>> from psyflow import Param
    >>> with_paths(Param(file=[Path("/a/x")]), lambda path: path.replace("/a/", "/b/"))[0]
    {'file': PosixPath('/b/x')}
    """

    def rename(path: Path) -> Any:
        name = path.as_posix()
        return path.__reduce__() if renamed(name) == name else (_KIND, (renamed(name),))

    made: ParameterSpace = pickle.loads(pickled(space, {_KIND: rename}))
    return made
