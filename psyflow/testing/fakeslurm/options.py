"""Command lines of Slurm's programs, read as getopt does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn

__all__ = ["Grammar", "RefusedError"]


class RefusedError(Exception):
    """A program refuses: what it prints to stderr, and its exit code."""

    def __init__(self, stderr: str, code: int = 1) -> None:
        super().__init__(stderr)
        self.stderr = stderr
        self.code = code


class Grammar:
    """The options of one program.

    Parameters
    ----------
    program : str
    values, flags, flags_with_values : iterable of str
        Long names of the options that need a value, have none, and may have one.
    short : str
        What letters stand for, as in ``"w=width a=all"``.
    code : int
        Exit code for what is wrong.
    stop_at_operand : bool
        Whether options end at the first word that is none.

    Examples
    --------
    >>> grammar = Grammar("ls", ["width"], ["all"], short="w=width a=all")
    >>> grammar.parse(["-aw5", "file", "--wid=6"])
    ({'all': '', 'width': '6'}, ['file'])
    """

    def __init__(
        self,
        program: str,
        values: Iterable[str] = (),
        flags: Iterable[str] = (),
        flags_with_values: Iterable[str] = (),
        *,
        short: str = "",
        code: int = 1,
        stop_at_operand: bool = False,
    ) -> None:
        self.program = program
        self._kinds = {
            **dict.fromkeys(values, "value"),
            **dict.fromkeys(flags, "flag"),
            **dict.fromkeys(flags_with_values, "either"),
        }
        self._short = dict(pair.split("=") for pair in short.split())
        self._code = code
        self._stop_at_operand = stop_at_operand

    def parse(self, words: Iterable[str]) -> tuple[dict[str, str], list[str]]:
        """Return the options by their long names, and the operands.

        Raises
        ------
        RefusedError
            For an option that the program, or the fake of it, does not have.
        """
        options: dict[str, str] = {}
        operands: list[str] = []
        left = iter(words)
        for word in left:
            if word == "--":
                operands += left
            elif word.startswith("--"):
                self._long(word, left, options)
            elif word.startswith("-") and word != "-":
                self._letters(word, left, options)
            else:
                operands.append(word)
                if self._stop_at_operand:
                    operands += left
        return options, operands

    def _long(self, word: str, left: Iterator[str], options: dict[str, str]) -> None:
        typed, has_value, value = word[2:].partition("=")
        name = self._complete(typed, word)
        kind = self._kinds[name]
        if kind == "flag" and has_value:
            self._refuse(f"option '--{name}' doesn't allow an argument")
        if kind == "value" and not has_value:
            value = self._next(left, f"option '--{name}' requires an argument")
        options[name] = value

    def _complete(self, typed: str, word: str) -> str:
        if typed in self._kinds:
            return typed
        possible = [name for name in self._kinds if name.startswith(typed)]
        if not possible:
            self._refuse(f"unrecognized option '{word}'")
        if len(possible) > 1:
            names = " ".join(f"'--{name}'" for name in sorted(possible))
            self._refuse(f"option '{word}' is ambiguous; possibilities: {names}")
        return possible[0]

    def _letters(self, word: str, left: Iterator[str], options: dict[str, str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter not in self._short:
                self._refuse(f"invalid option -- '{letter}'")
            name = self._short[letter]
            options[name] = ""
            if self._kinds[name] != "flag":
                if self._kinds[name] == "value" and not letters:
                    letters = self._next(left, f"option requires an argument -- '{letter}'")
                options[name], letters = letters, ""

    def _next(self, left: Iterator[str], complaint: str) -> str:
        word = next(left, None)
        if word is None:
            self._refuse(complaint)
        return word

    def _refuse(self, complaint: str) -> NoReturn:
        known = ", ".join(f"--{name}" for name in sorted(self._kinds))
        raise RefusedError(
            f"{self.program}: {complaint}\nFakeSlurm's {self.program} knows {known}\n", self._code
        )
