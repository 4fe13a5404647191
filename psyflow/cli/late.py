"""NumPy, imported when something of it is first used.

NumPy takes longer to import than all else that `psy` needs to see that nothing has to run. In
`sys.modules`, an empty module has its place, which becomes NumPy at the first look into it, be it
the user's, psyflow's or another library's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["have_numpy_late"]

_TYPING = "numpy.typing"
# What the import system asks of a module that is there.
_KNOWN = frozenset({"__spec__", "__class__", "__dict__", "__name__"})


def have_numpy_late() -> None:
    """Have NumPy imported at its first use from now on, unless it is there already."""
    if "numpy" in sys.modules or (spec := importlib.util.find_spec("numpy")) is None:
        return
    _path[:] = sys.path
    for late in (_Late(spec), _Late(ModuleSpec(_TYPING, None))):
        sys.modules[late.__name__] = late
    sys.meta_path.insert(0, _Once())


class _Late(ModuleType):
    """A module that is loaded at the first look into it, by whichever thread.

    Parameters
    ----------
    spec : ModuleSpec
        Of NumPy; or that of its `typing`, as far as it is known before NumPy is there.
    """

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec

    def __getattribute__(self, name: str) -> Any:
        if name in _KNOWN:
            return super().__getattribute__(name)
        if name == "typing" and isinstance(late := sys.modules.get(_TYPING), _Late):
            return late  # `import numpy.typing as npt` is no use of it
        with _loading:
            # Whoever comes while another thread loads it has waited for that.
            if type(self) is _Late and self not in _begun:
                _begun.append(self)
                try:
                    with _own_path():
                        _load(self)
                finally:
                    _begun.remove(self)
        return ModuleType.__getattribute__(self, name)


class _Once:
    """Finds modules of NumPy that are there already, as they are.

    To import ``numpy.linalg``, the import system looks into `numpy` for where that is, which loads
    it with all that it imports, and would then load ``numpy.linalg`` a second time.
    """

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        module = sys.modules.get(name) if name.startswith("numpy.") and target is None else None
        if module is None or isinstance(module, _Late) or module.__spec__ is None:
            return None
        # What makes it a `Loader` for type checkers takes some time to import.
        return ModuleSpec(name, _AsItIs(module, module.__spec__))  # type: ignore[arg-type]


class _AsItIs:
    """Loads a module that is there already."""

    def __init__(self, module: ModuleType, spec: ModuleSpec) -> None:
        self._module = module
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # which the import system has just replaced


_loading = threading.RLock()
_begun: list[ModuleType] = []
_path: list[str] = []


@contextlib.contextmanager
def _own_path() -> Iterator[None]:
    """Import by the path with which `psy` began: a task folder may have a `secrets.py`."""
    path = sys.path[:]
    sys.path[:] = _path
    try:
        yield
    finally:
        sys.path[:] = path


def _load(late: _Late) -> None:
    """Make a module what it stands for; while that is under way, this thread sees it as it is."""
    spec = late.__spec__
    if late.__name__ == _TYPING:
        spec = PathFinder.find_spec(_TYPING, sys.modules["numpy"].__path__)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {late.__name__!r}", name=late.__name__)
    late.__spec__ = spec
    attributes = importlib.util.module_from_spec(spec).__dict__
    late.__dict__.update(attributes)
    spec.loader.exec_module(late)
    if spec.name != _TYPING:
        # As if the import system had put it there.
        late.__dict__["typing"] = sys.modules[_TYPING]
    late.__class__ = ModuleType  # type: ignore[assignment]
