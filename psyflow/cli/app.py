"""From a command line to an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Callable

from psyflow.cli.output import INTERRUPTED, REFUSED, TROUBLE, Notices, describe, exit_code_of, say
from psyflow.cli.parser import parse

__all__ = ["run_command_line"]


def run_command_line(argv: list[str]) -> int:
    """Do what `argv` says, and return the exit code."""
    try:
        arguments = parse(argv)
    except SystemExit as end:  # argparse has said why
        return end.code if isinstance(end.code, int) else REFUSED
    try:
        with Notices().shown() as notices:
            arguments.notices = notices
            status = _command(arguments.module)(arguments)
            # What a pipe's reader has not taken must not turn up as an error at exit.
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return TROUBLE
    except KeyboardInterrupt:
        say(f"psy {arguments.command}: interrupted.")
        return INTERRUPTED
    except Exception as error:
        say(f"psy {arguments.command}: {describe(error)}")
        return exit_code_of(error)


def _command(module: str) -> Callable[[Namespace], int]:
    command: Callable[[Namespace], int] = importlib.import_module(module).execute
    return command
