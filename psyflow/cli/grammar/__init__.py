"""The words of the commands of `psy`: what each is for, and which arguments it takes.

A command is two modules of one name: its words are here, its work is in ``cli/commands``.
"""

from __future__ import annotations

import importlib
from argparse import ArgumentParser
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["COMMANDS", "Command", "command_named"]

COMMANDS = (
    "run",
    "submit",
    "status",
    "watch",
    "show",
    "plot",
    "export",
    "query",
    "why",
    "accept",
    "restore",
    "failures",
    "log",
    "debug",
    "list",
    "test",
    "clean",
    "kill",
    "merge",
    "push",
    "pull",
    "doctor",
    "new-task",
    "exec",
    "parse",
)
"""Their names, in the order of the help."""


class Command(NamedTuple):
    """The words of a command.

    Attributes
    ----------
    summary : str
        What it does, for the list of commands.
    description : str
        The same at length.
    examples : str
    acts : bool
        Whether its work is to be done whether anybody reads what it prints, or not.
    add_arguments : callable
    takes_program : bool
        Whether what follows ``--`` is the command line of another program.
    about_dashes : str
        What to do about values that begin with a dash, which are taken for options.
    """

    summary: str
    description: str
    examples: str
    acts: bool
    add_arguments: Callable[[ArgumentParser], None]
    takes_program: bool = False
    about_dashes: str = ""


def command_named(name: str) -> Command:
    """Return the words of the command `name`, which is one of `COMMANDS`."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    command: Command = module.COMMAND
    return command
