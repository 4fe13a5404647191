"""The interpreter of jobs as the words of a command."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

__all__ = ["interpreter_words"]


def interpreter_words(python: str | Sequence[str], folder: Path) -> list[str]:
    """Return the words of a command line that ends in a Python interpreter.

    Parameters
    ----------
    python : str or sequence of str
        The path of a program, or a command line.
    folder : Path
        Where relative paths start from: the program, if its name has a ``/``, and words with a
        ``/`` that are there.

    Examples
    --------
    >>> interpreter_words("apptainer exec /images/a.sif python", Path("/study"))
    ['apptainer', 'exec', '/images/a.sif', 'python']
    >>> interpreter_words("env/bin/python", Path("/study"))
    ['/study/env/bin/python']
    """
    if not isinstance(python, str):
        words = list(python)
    elif os.path.lexists(folder / Path(python).expanduser()):
        words = [python]  # with spaces in it, perhaps
    else:
        words = shlex.split(python)
    program, *rest = words
    if program.startswith("~"):
        program = os.path.expanduser(program)  # noqa: PTH111 (Path would take `./` away)
    if "/" in program:
        program = _from(folder, program)
    return [program, *(_from(folder, word) if _is_there(folder, word) else word for word in rest)]


def _is_there(folder: Path, word: str) -> bool:
    return "/" in word and not word.startswith("-") and os.path.lexists(folder / word)


def _from(folder: Path, path: str) -> str:
    # Links are not followed: what a virtual environment is, its path says.
    return os.path.abspath(folder / path)  # noqa: PTH100
