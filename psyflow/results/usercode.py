"""The code of a run, for values in its results that only its classes can make."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from psyflow.record.plan import Plan
from psyflow.system.trust import made_with, require_own
from psyflow.tasks.borrowed import Borrowed
from psyflow.tasks.surroundings import Surroundings

__all__ = ["UserCode", "code_of"]


@contextlib.contextmanager
def code_of(plan: Plan) -> Iterator[UserCode]:
    """Have classes of the task's modules at hand while files of a run are loaded.

    None of its code runs before a value is met that needs it. A module that can be imported, or is
    already, is taken as it is, if it is of the task and still has the class. Otherwise it is the
    one that the plan has frozen, with the classes as they were when the values were made.

    Raises
    ------
    UntrustedFileError
        When a value needs code that is not known to be of this user's making.
    """
    code = UserCode(plan)
    with made_with(code):
        try:
            yield code
        finally:
            code.give_back()


class UserCode:
    """Finds what a pickle names in the modules of a task.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    is_mixed : bool
        Whether some values are made of modules as they are, and others of what was frozen of the
        same modules. If all are loaded once more, they are not.
    """

    def __init__(self, plan: Plan) -> None:
        self.is_mixed = False
        self._plan = plan
        self._task = Path(plan.task_file)
        self._known: dict[tuple[str, str], Any] = {}
        self._edited: set[str] = set()

    def __call__(self, module: str, name: str) -> Any:
        """Return what a name in a module means; None if that is no module of the task."""
        if (module, name) not in self._known:
            is_ours = self._surroundings.has(module)
            self._known[module, name] = self._found(module, name) if is_ours else None
        return self._known[module, name]

    def give_back(self) -> None:
        """Put other modules of the same names back."""
        self._borrowed.give_back()

    @functools.cached_property
    def _surroundings(self) -> Surroundings:
        code = self._plan.frozen.code
        return Surroundings(self._task.parent, code if code.is_dir() else None)

    @functools.cached_property
    def _borrowed(self) -> Borrowed:
        return Borrowed(self._surroundings)

    def _found(self, module: str, name: str) -> Any:
        present = None if module in self._edited else self._present(module)
        if present is not None:
            try:
                return _named(present, name)
            except AttributeError:
                self._begin_with_frozen(module)
        source = self._surroundings.code or self._task
        require_own(source, self._plan.layout.origin(self._plan.run_id))
        return _named(self._borrowed.imported(module), name)

    def _begin_with_frozen(self, module: str) -> None:
        """Take no more of a module as it is, for it has not all of the classes any more."""
        self._edited.add(module)
        outdated = [known for known in self._known if known[0] == module]
        self.is_mixed = self.is_mixed or bool(outdated)
        for known in outdated:
            del self._known[known]

    def _present(self, module: str) -> ModuleType | None:
        """Return a module as whoever imports it gets it; None if that is none of the task's."""
        if module not in sys.modules and self._is_on_path(module.partition(".")[0]):
            # It may be at work just now; what is frozen was whole.
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(module)
        present = sys.modules.get(module)
        is_ours = present is not None and self._surroundings.is_home_of(present)
        return present if is_ours else None

    def _is_on_path(self, outermost: str) -> bool:
        try:
            spec = importlib.util.find_spec(outermost)
        except ValueError:  # It was made by hand.
            return False
        if spec is None:
            return False
        return spec.origin is None or self._surroundings.owns(outermost, Path(spec.origin))


def _named(module: object, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), module)
