"""Long output, screen by screen."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["page"]

_PAGER = "less"
# As git has it: end at once if all fits, obey colours, and leave on the screen what was shown.
_SETTINGS = {"LESS": "FRX", "LV": "-c"}


def page(lines: Sequence[str]) -> None:
    """Print lines; on a terminal that they do not fit on, with ``$PAGER``, or else ``less``.

    ``PAGER=cat``, or an empty one, means none.
    """
    command = _pager() if sys.stdout.isatty() and _is_long(lines) else None
    text = "".join(f"{line}\n" for line in lines)
    if command is None:
        sys.stdout.write(text)
    else:
        _page(command, text)


def _is_long(lines: Sequence[str]) -> bool:
    # There is a prompt after them, and a line on whose rows they are.
    return len(lines) + 2 > shutil.get_terminal_size().lines


def _pager() -> str | None:
    """Return a command line for the shell; None if there is no such program."""
    command = os.environ.get("PAGER", _PAGER).strip()
    try:
        words = shlex.split(command)
    except ValueError:
        return None  # its quotes are not closed
    if words in ([], ["cat"]) or shutil.which(words[0]) is None:
        return None
    return command


def _page(command: str, text: str) -> None:
    sys.stdout.flush()
    pager = subprocess.Popen(
        command, shell=True, stdin=subprocess.PIPE, env={**_SETTINGS, **os.environ}
    )
    while True:
        try:
            pager.communicate(text.encode(errors="surrogateescape") if pager.stdin else None)
            return
        except KeyboardInterrupt:
            continue  # it is for the pager, which goes on
        except BrokenPipeError:
            pager.wait()
            return
