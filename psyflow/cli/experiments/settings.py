"""What an experiment is: a program, its variables, and how it is run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from psyflow.cli.experiments.variables import Variable
from psyflow.exceptions import UsageError

__all__ = ["Experiment", "QUICK"]

QUICK = "quick_experiment"
"""The name of an experiment that has none."""

Command: TypeAlias = str | Sequence[str]
_SIGNS = "|&;<>"


@dataclass(frozen=True)
class Experiment:
    """A program over a grid, or over the rows of a table.

    Attributes
    ----------
    name : str
        Of its task, and of its folder.
    commands : list of (str or list of str)
        Run in order. A list has the words of a command line that is split already.
    variables : list of Variable
    is_table : bool
        Whether the variables are columns, of which each row is a combination.
    workdir : str
        Where the program starts.
    repeat, max_tries : int
    timeout : float or None
        Seconds.
    patterns : dict of str to str
        What is taken from the standard output.
    shell : bool
        Whether ``/bin/sh`` runs the commands.
    """

    name: str = QUICK
    commands: Sequence[Command] = ()
    variables: Sequence[Variable] = ()
    is_table: bool = False
    workdir: str = ""
    repeat: int = 1
    max_tries: int = 3
    timeout: float | None = None
    patterns: Mapping[str, Any] = field(default_factory=dict)
    shell: bool = False

    def check(self) -> None:
        """Raise `UsageError` if it cannot be run."""
        if not self.commands:
            raise UsageError(
                "What is to run? Give it as --cmd './sim {n}', or as the last words: -- ./sim {n}"
            )
        if not self.shell:
            self._check_for_signs()
        names = [variable.name for variable in self.variables]
        if self.repeat > 1:
            names.append("repeat")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f'Two variables have the name "{twice}".')
        self._check_commands()
        self._check_patterns()

    def _check_commands(self) -> None:
        """Raise `UsageError` of a command line that is none, before a task file has it."""
        from psyflow.command import Command

        Command([*self.commands], shell=self.shell)

    def _check_patterns(self) -> None:
        """Raise `UsageError` of a pattern that is none, before a task file keeps it for good."""
        from psyflow.command import Parse

        for name in self.patterns:
            if any(variable.name == name for variable in self.variables):
                raise UsageError(
                    f'-p {name}: "{name}" is a variable, whose column that would hide. Give what '
                    "is found another name."
                )
        Parse(self.patterns)

    def _check_for_signs(self) -> None:
        """Raise `UsageError` if a command line has signs that mean something to a shell alone."""
        for command in self.commands:
            if not isinstance(command, str):
                continue  # its words are as they are
            lexer = shlex.shlex(command, posix=False, punctuation_chars=True)
            lexer.whitespace_split = True
            try:
                signs = [word for word in lexer if set(word) <= set(_SIGNS)]
            except ValueError as error:
                raise UsageError(
                    f"The command line {command!r} cannot be split: {error}"
                ) from None
            if signs:
                raise UsageError(
                    f"{signs[0]} in the command line would be given to the program as it is. "
                    "Add --shell, if a shell is to run it."
                )

    @property
    def n_combinations(self) -> int:
        """How many psets there are, without repetitions."""
        lengths = [len(variable.values) for variable in self.variables]
        if self.is_table:
            return lengths[0]
        product = 1
        for length in lengths:
            product *= length
        return product
