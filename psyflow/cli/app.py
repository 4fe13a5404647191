"""From a command line to an exit code."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from psyflow.cli.output import INTERRUPTED, REFUSED, TROUBLE, Notices, describe, exit_code_of, say
from psyflow.cli.parser import parse
from psyflow.cli.streams import doors, let_go
from psyflow.conventions import default_taskdir
from psyflow.exceptions import PsyflowError

__all__ = ["run_command_line"]


def run_command_line(argv: list[str], *, is_program: bool = False) -> int:
    """Do what `argv` says, and return the exit code.

    Parameters
    ----------
    argv : list of str
        The command line without the program's name.
    is_program : bool
        Whether this process is there for nothing else, and has run nobody else's code.
    """
    try:
        arguments = parse(argv)
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else REFUSED
    try:
        if getattr(arguments, "taskdir", "") is None:
            arguments.taskdir = _default_taskdir()
        with _no_collection() if is_program else contextlib.nullcontext():
            command = importlib.import_module(arguments.module)
            server = _server_for(command, arguments, is_program)
        from psyflow.system.trust import trusting  # help and version do without it

        must_arrive = not arguments.acts or getattr(arguments, "dry_run", False)
        with (
            trusting(getattr(arguments, "trust", False)),
            # What it forks has no doors: a log holds what was printed.
            server as arguments.server,
            doors(must_arrive=must_arrive),
            Notices().shown() as arguments.notices,
        ):
            status: int = command.execute(arguments)
            # What a pipe's reader has not taken must not turn up as an error at exit.
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        return TROUBLE
    except KeyboardInterrupt:
        let_go(sys.stdout)
        say(f"psy {arguments.command}: interrupted.")
        return INTERRUPTED
    except Exception as error:
        let_go(sys.stdout)
        say(f"psy {arguments.command}: {describe(error)}")
        return exit_code_of(error)
    finally:
        let_go(sys.stdout)


def _default_taskdir() -> str:
    try:
        return str(default_taskdir())
    except OSError as error:
        where = os.environ.get("PWD", ".")
        raise PsyflowError(
            f"the folder where you are, {where}, cannot be looked into ({error.strerror}), so "
            "nobody knows whether it has a task folder. Change to a folder that you may read, or "
            "name the task folder: --taskdir DIR"
        ) from error


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Do not look for garbage, neither now among what comes, nor ever, for it is there to stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _server_for(
    command: ModuleType, arguments: Namespace, is_program: bool
) -> contextlib.AbstractContextManager[Any]:
    """Return what forks jobs for a command that has some, if this process may be forked."""
    if is_program and hasattr(command, "server"):
        server: contextlib.AbstractContextManager[Any] = command.server(arguments)
        return server
    return contextlib.nullcontext()
