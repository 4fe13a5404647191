"""Running a task file as a module, and telling what went wrong in it."""

from __future__ import annotations

import sys
import traceback
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType, TracebackType

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.frozen import name_of
from psyflow.tasks.remedies import remedy_for
from psyflow.tasks.surroundings import Surroundings, compile_file
from psyflow.texts import MESSAGE_LIMIT, cut, traceback_text

__all__ = ["is_running", "run_file"]

_running: ContextVar[tuple[Path, ...]] = ContextVar("_running", default=())


def is_running() -> bool:
    """Tell whether this is called by a task file that is being run."""
    return bool(_running.get())


def run_file(path: Path, surroundings: Surroundings) -> tuple[ModuleType, list[str]]:
    """Run a file as the module that it would be if it were imported.

    Its name is that of the file, wherever that is. So whatever has the task folder on `sys.path`
    finds what is in it: a process that `execute` starts, or a notebook.

    Returns
    -------
    module
        Which stays in `sys.modules`, so that its functions and classes can be pickled.
    path : list of str
        The `sys.path` that it left.

    Raises
    ------
    TaskFileError
        If the file is missing, is not Python, or raises.
    """
    source = surroundings.source_of(path)
    if not source.is_file():
        raise TaskFileError(f'There is no file "{source}".')
    if path in _running.get():
        raise TaskFileError(
            f'"{path}" asks for its own task while it is loaded, which would never end. Write '
            'what runs or loads that below `if __name__ == "__main__":`, or into a script.'
        )
    name = name_of(path)
    token = _running.set((*_running.get(), path))
    try:
        code = compile_file(source)
        with surroundings.inside():
            module = surroundings.new_module(name, path)
            exec(code, vars(module))
            return module, list(sys.path)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise _failure(path, source, error, surroundings) from error
    finally:
        _running.reset(token)


def _failure(
    path: Path, source: Path, error: BaseException, surroundings: Surroundings
) -> TaskFileError:
    (last, *_) = reversed(traceback.format_exception_only(error))
    frames = _users_frames(error, str(source))
    what = "ends the program" if isinstance(error, SystemExit) else "does not load"
    said = cut(last.strip(), MESSAGE_LIMIT)
    text, hint = traceback_text(error, frames), remedy_for(error, path)
    report = f'"{path}" {what}:\n\n{text.rstrip()}' + (f"\n{hint}" if hint else "")
    message = f'"{path}" {what}: {said}'
    return TaskFileError(f"{message}. {hint}" if hint else message, text, report)


def _users_frames(error: BaseException, filename: str) -> TracebackType | None:
    """Return the traceback from the first line of the user's file on."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != filename:
        frames = frames.tb_next
    return frames
