"""Which files a process uses, as Python's audit events tell.

A hook cannot be taken away again. While nobody watches, it returns at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

__all__ = ["FilesUsed", "Line", "watch"]

Line: TypeAlias = tuple[str, int]
"""A file with code, and the number of a line in it."""

_MAKING = os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WRITING = os.O_WRONLY | os.O_RDWR | _MAKING
_READ, _CHANGED, _MADE = range(3)
_MOST = 10_000
_NO_LINE: Line = ("", 0)
_EVENTS = {
    "open",
    "os.rename",
    "os.system",
    "subprocess.Popen",
    "sqlite3.connect",
    "ctypes.dlopen",
}


@dataclass
class FilesUsed:
    """The files that were used while this was watching, by absolute paths.

    Attributes
    ----------
    roots : tuple of str
        What the paths of the files begin with that are of interest.
    code : str
        The folder of the code whose modules are told.
    read : dict of str to set of Line
        The line of a module of `code` that was being run when the file was read, the last of them
        if one was importing another; ``("", 0)`` if none was.
    written, made : set of str
        The files that were opened for writing, and those of them that were made or made longer.
    error : Exception or None
        Why this has ended before it was to.
    """

    roots: tuple[str, ...]
    code: str
    read: dict[str, set[Line]] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    error: Exception | None = None

    def end(self) -> None:
        """Watch no more."""
        if _state.watching is self:
            _state.watching = None

    def take(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note of what an audit event tells."""
        match event, arguments:
            case "open", (path, mode, flags):
                self._note(path, _how(mode, flags))
            case "os.rename", (_, path, *_):
                self._note(path, _MADE)
            case "subprocess.Popen", (_, [*words], cwd, _):
                self._note_command(words, cwd)
            case "os.system", (command,):
                self._note_command([command], None)
            case "sqlite3.connect" | "ctypes.dlopen", (path, *_):
                self._note(path)

    def _note_command(self, words: Sequence[object], cwd: object) -> None:
        texts = [os.fsdecode(word) for word in words if isinstance(word, str | bytes)]
        for name in (name for text in texts for name in {text, *text.split()}):
            self._note(name, cwd=cwd)

    def _note(self, path: object, how: int = _READ, *, cwd: object = None) -> None:
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        if not isinstance(path, str | bytes) or not path or len(self.read) > _MOST:
            return
        name = os.path.join(os.fsdecode(cwd) if isinstance(cwd, str) else "", os.fsdecode(path))  # noqa: PTH118
        absolute = os.path.abspath(name)  # noqa: PTH100
        if not absolute.startswith(self.roots):
            return
        if how == _READ:
            self.read.setdefault(absolute, set()).add(self._line())
        else:
            self.written.add(absolute)
        if how == _MADE:
            self.made.add(absolute)

    def _line(self) -> Line:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_name == "<module>" and code.co_filename.startswith(self.code):
                return code.co_filename, frame.f_lineno
            frame = frame.f_back
        return _NO_LINE


def _how(mode: object, flags: object) -> int:
    """Tell whether a file that is opened so is read, may be changed, or is made."""
    if isinstance(mode, str):
        return _MADE if set("wax") & set(mode) else _CHANGED if "+" in mode else _READ
    if not isinstance(flags, int) or not flags & _WRITING:
        return _READ
    return _MADE if flags & _MAKING else _CHANGED


class _State:
    """Whether the hook is there, and who is watching."""

    has_hook = False
    watching: FilesUsed | None = None


_state = _State()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    watching = _state.watching
    if watching is None or event not in _EVENTS:
        return
    try:
        watching.take(event, arguments)
    except Exception as error:
        # It would be raised in the user's code, which did nothing wrong.
        watching.error = error
        watching.end()


def watch(roots: Iterable[Path], code: Path) -> FilesUsed:
    """Begin to watch, instead of whoever did before, and return what is seen from now on.

    Parameters
    ----------
    roots : iterable of Path
        The folders whose files are of interest.
    code : Path
        The folder of the code whose modules are told.

    Examples
    --------
    >>> used = watch([Path(__file__).parent], Path("/study/code"))
    >>> with Path(__file__).open() as file:
    ...     pass
    >>> used.end()
    >>> used.read[__file__]
    {('', 0)}
    """
    if not _state.has_hook:
        sys.addaudithook(_hook)
        _state.has_hook = True
    _state.watching = FilesUsed(tuple(f"{root}{os.sep}" for root in roots), f"{code}{os.sep}")
    return _state.watching
