"""Whether a process is still fit for further items, after the user's function has run in it.

What one item does to its process, the next ones find. Most of it harms nobody. But a process whose
builtins are others, whose files are closed, or which may not write any more, would give wrong
outcomes, or none; it has to be replaced, and the item named that did it.
"""

from __future__ import annotations

import builtins
import errno
import resource
import signal
import sys
from collections.abc import Iterator
from operator import is_
from os import geteuid, stat, umask
from resource import getrlimit, setrlimit

__all__ = ["BrokenProcessError", "Integrity"]

_FREE = {"__import__", "_", "breakpoint", "exit", "help", "input", "open", "print", "quit"}
"""Builtins that are replaced for good reasons, and that nothing here depends on."""

_NEEDED = (
    *("numpy", "numpy._core.multiarray", "numpy._core.numeric", "numpy.core.multiarray"),
    *("copyreg", "pickle", "psyflow.columns"),
)
"""Modules that pickling looks up: others of the same name would be strangers to what is there."""

_all, _map = all, map

_LIMITS = (
    *(resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC),
    *(resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU),
)


class BrokenProcessError(Exception):
    """What items have done to their process leaves it unfit for others."""


class Integrity:
    """What a process is like now, so that it can be told later what has become of it.

    The methods use no builtins: these may be what is broken.

    Examples
    --------
    >>> integrity = Integrity()
    >>> integrity.check()
    >>> builtins.len, own_len = max, len
    >>> integrity.holds()
    False
    >>> integrity.mend()
    "the builtin `len` is not Python's own any more"
    >>> len is own_len
    True
    """

    def __init__(self) -> None:
        present = vars(builtins)
        self._builtins = {name: present[name] for name in present if name not in _FREE}
        self._free = {name: present[name] for name in present if name in _FREE}
        self._modules = {name: sys.modules[name] for name in _NEEDED if name in sys.modules}
        self._user = geteuid()
        self._root = self._present_root()
        self._limits = {number: getrlimit(number) for number in _LIMITS}
        self._has_alarm = signal.getitimer(signal.ITIMER_REAL)[0] > 0
        self._umask = umask(0o077)
        umask(self._umask)

    def holds(self) -> bool:
        """Tell whether the process is fit for further items."""
        return self._damage() is None

    def check(self, *, is_strict: bool = False) -> None:
        """Take back what an item has left that is meant for itself alone, such as an alarm.

        To be called between items.

        Parameters
        ----------
        is_strict : bool
            Whether there must be none of that, because another item may have suffered from it.

        Raises
        ------
        BrokenProcessError
            If the process is not fit for further items.
        """
        damage = self._damage()
        if damage is None and is_strict:
            damage = _replaced(self._free)
            for number in self._other_limits():
                damage = f"the resource limit {number} is another one"
        if damage is not None:
            raise BrokenProcessError(damage)
        builtins.__dict__.update(self._free)
        umask(self._umask)
        self._restore_limits()
        if not self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def is_untouched(self) -> bool:
        """Take back alarms and the umask; tell whether limits, ``print`` and its like are as ever.

        To be called after an item that failed, for its exception may have kept it from doing so.
        """
        umask(self._umask)
        if not self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if [*_map(getrlimit, self._limits)] != [*self._limits.values()]:
            return False
        return _replaced(self._free) is None

    def mend(self) -> str | None:
        """Put builtins and modules back, for what is left to do, and return what was broken."""
        damage = self._damage()
        builtins.__dict__.update(self._builtins)
        builtins.__dict__.update(self._free)
        sys.modules.update(self._modules)
        return damage

    def is_to_blame_for(self, error: BaseException) -> bool:
        """Tell whether a file is full only because an item has set a limit."""
        is_limited = isinstance(error, OSError) and error.errno == errno.EFBIG
        return is_limited and resource.RLIMIT_FSIZE in self._other_limits()

    def _other_limits(self) -> Iterator[int]:
        for number, limit in self._limits.items():
            if getrlimit(number) != limit:
                yield number

    def _restore_limits(self) -> None:
        for number in self._other_limits():
            try:
                setrlimit(number, self._limits[number])
            except (ValueError, OSError) as error:
                raise BrokenProcessError(
                    f"the resource limit {number} is lowered for good"
                ) from error

    def _damage(self) -> str | None:
        """Return what has changed for the worse, in words."""
        if (damage := _replaced(self._builtins)) is not None:
            return damage
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                return f"the module `{name}` is not in `sys.modules` any more"
        if geteuid() != self._user:
            return f"it runs as user {geteuid()}, not as {self._user} any more"
        if self._present_root() != self._root:
            return "its root directory is another one"
        return None

    @staticmethod
    def _present_root() -> tuple[int, int]:
        root = stat("/")  # noqa: PTH116 (the user's code may have replaced parts of Path)
        return root.st_dev, root.st_ino


def _replaced(own: dict[str, object]) -> str | None:
    present = builtins.__dict__
    # As a rule all are there, and this tells it several times as fast as a loop.
    if _all(_map(is_, _map(present.get, own), own.values())):
        return None
    for name, value in own.items():
        if present.get(name) is not value:
            return f"the builtin `{name}` is not Python's own any more"
    return None
