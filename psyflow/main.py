"""The program `psy`."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

from psyflow.cli.app import run_command_line
from psyflow.cli.environment import enter_active_environment
from psyflow.cli.late import have_numpy_late
from psyflow.cli.streams import let_go

__all__ = ["main", "psy_main"]


def psy_main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says, and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The command line without the program's name; that of this process if None.

    Returns
    -------
    int
        0: done; 1: items failed; 2: the command line makes no sense; 3: something else went
        wrong; 130: interrupted.

    Examples
    --------
    >>> psy_main(["--version"])  # doctest: +ELLIPSIS
    psyflow ...
    0
    """
    return run_command_line(sys.argv[1:] if argv is None else list(argv))


def main() -> None:
    """Be the program: end this process with the exit code of `psy_main`."""
    _open_closed_streams()
    enter_active_environment()
    have_numpy_late()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As on stderr: what the terminal cannot show is no reason to show nothing.
        sys.stdout.reconfigure(errors="backslashreplace")
    status = run_command_line(sys.argv[1:], is_program=True)
    let_go(sys.stderr)
    # The kernel is quicker at taking back the memory.
    gc.freeze()
    sys.exit(status)


def _open_closed_streams() -> None:
    """Open the standard streams that the shell has closed; Python has made None of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It gets the stream's number, or else a file opened later on would be the stream.
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
            setattr(sys, name, open(null, mode, buffering=1))  # noqa: PTH123, SIM115
