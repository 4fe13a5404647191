"""Running a task file as a module, and telling what went wrong in it."""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from psyflow.exceptions import TaskFileError
from psyflow.tasks.surroundings import Surroundings, compile_file

__all__ = ["run_file"]


def run_file(path: Path, surroundings: Surroundings) -> tuple[ModuleType, list[str]]:
    """Run a file as a module of its own, and return it with the `sys.path` it left.

    The module stays in `sys.modules`, so that its functions and classes can be pickled; its name
    depends on `path` alone, so that every process of a run finds it there.

    Raises
    ------
    TaskFileError
        If the file is missing, is not Python, or raises.
    """
    source = surroundings.source_of(path)
    if not source.is_file():
        raise TaskFileError(f'There is no file "{source}".')
    module = ModuleType(_module_name(path))
    module.__file__ = str(path)
    try:
        code = compile_file(source)
        sys.modules[module.__name__] = module
        with surroundings.inside():
            exec(code, vars(module))
            return module, list(sys.path)
    except (Exception, SystemExit) as error:
        sys.modules.pop(module.__name__, None)
        raise _failure(path, source, error) from error


def _module_name(path: Path) -> str:
    # Two task files of one name in different folders must not be taken for each other.
    place = hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=4)
    stem = re.sub(r"\W", "_", path.stem)
    return f"psyflow_{stem}_{place.hexdigest()}"


def _failure(path: Path, source: Path, error: BaseException) -> TaskFileError:
    what = "ends the program" if isinstance(error, SystemExit) else "does not load"
    (last, *_) = reversed(traceback.format_exception_only(error))
    text = _user_traceback(error, str(source))
    return TaskFileError(f'"{path}" {what}: {last.strip()}', text)


def _user_traceback(error: BaseException, filename: str) -> str:
    """Return the traceback from the first line of the user's file on."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename != filename:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))
