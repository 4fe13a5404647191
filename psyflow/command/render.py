"""Command lines with fields, and what they become with the values of a pset.

A template is taken apart before any value is known: the values go into its words as they are, so
that nothing in them can begin a new word, end a quotation or be run. For a shell, they are quoted
as the place where they stand wants it.
"""

from __future__ import annotations

import os
import re
import shlex
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from psyflow.exceptions import UsageError

__all__ = ["Field", "Line", "Pieces", "ShellLine", "Text", "Words", "pieces_of"]

_FORMATTER = string.Formatter()
_NAME = re.compile(r"[^.\[\]{}!:]+")
_MARK = re.compile("\0([0-9]+)\0")


@dataclass(frozen=True)
class Field:
    """A field of a template, such as ``{lr:.3g}``.

    Attributes
    ----------
    name : str
        The parameter.
    path : str
        The parameter, and what of it: ``point.x``, ``size[0]``.
    conversion : str or None
        ``r``, ``s`` or ``a``.
    spec : str
        How its value is written, such as ``.3g``; may have fields itself.
    quotes : str
        Of a shell's command: the quotation that it stands in.
    """

    name: str
    path: str
    conversion: str | None
    spec: str
    quotes: str = ""

    @property
    def names(self) -> set[str]:
        """The parameters that it takes."""
        return {self.name, *(name for piece in _parsed(self.spec) for name in _names(piece))}

    def text(self, values: Mapping[str, Any]) -> str:
        """Return what stands in its place.

        Raises
        ------
        ValueError
            If the value cannot be written so, or has a NUL, which no argument can have.
        """
        try:
            value, _ = _FORMATTER.get_field(self.path, (), values)
            value = _FORMATTER.convert_field(value, self.conversion)
            text = str(_FORMATTER.format_field(value, _FORMATTER.vformat(self.spec, (), values)))
        except Exception as error:
            raise ValueError(f"The field {self} cannot be written: {error}.") from error
        if "\0" in text:
            raise ValueError(f"The field {self} has a NUL character, which no argument can have.")
        try:
            os.fsencode(text)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"The field {self} is no text that can be encoded: {error}."
            ) from None
        return text

    def __str__(self) -> str:
        conversion = f"!{self.conversion}" if self.conversion else ""
        return f"{{{self.path}{conversion}{':' if self.spec else ''}{self.spec}}}"


Pieces: TypeAlias = tuple["str | Field", ...]


def pieces_of(template: str) -> Pieces:
    """Take a template apart into text and fields.

    Raises
    ------
    UsageError
        If a brace is left open, or a field has no name.

    Examples
    --------
    >>> [str(piece) for piece in pieces_of("--lr={lr:.3g} {{}}")]
    ['--lr=', '{lr:.3g}', ' {}']
    """
    pieces: list[str | Field] = []
    for piece in _parsed(template):
        if isinstance(piece, str) and pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return tuple(pieces)


def _parsed(template: str) -> Iterator[str | Field]:
    try:
        parsed = list(_FORMATTER.parse(template))
    except ValueError as error:
        raise UsageError(
            f"{template!r}: {error}. A brace that is no field is written twice: {{{{ }}}}."
        ) from error
    for literal, path, spec, conversion in parsed:
        if literal:
            yield literal
        if path is not None:
            yield _field(template, path, spec or "", conversion)


def _field(template: str, path: str, spec: str, conversion: str | None) -> Field:
    found = _NAME.match(path)
    if found is None or not found.group().isidentifier():
        raise UsageError(
            f"{template!r}: {{{path}}} names no parameter. A field is the name of one, such as "
            "{lr} or {lr:.3g}; a brace that is no field is written twice: {{ }}."
        )
    return Field(found.group(), path, conversion, spec)


def _names(piece: str | Field) -> set[str]:
    return piece.names if isinstance(piece, Field) else set()


class Text:
    """A text with fields.

    Parameters
    ----------
    template : str

    Examples
    --------
    >>> text = Text("run-{n:03d}.log")
    >>> text.names, text.render({"n": 7}), text.pattern
    ({'n'}, 'run-007.log', 'run-*.log')
    """

    def __init__(self, template: str) -> None:
        self._pieces = pieces_of(template)

    @property
    def names(self) -> set[str]:
        """The parameters that it takes."""
        return {name for piece in self._pieces for name in _names(piece)}

    @property
    def pattern(self) -> str:
        """The glob of the texts that it may become."""
        return "".join("*" if isinstance(p, Field) else p for p in self._pieces)

    def render(self, values: Mapping[str, Any], *, expand: bool = False) -> str:
        """Return the text for some values.

        Parameters
        ----------
        values : mapping
        expand : bool
            Whether variables of the environment, and ``~``, are replaced: in the template only.

        Raises
        ------
        ValueError
            If a value cannot be written as its field wants.
        """
        plain = (os.path.expandvars, str)[not expand]
        texts = [p.text(values) if isinstance(p, Field) else plain(p) for p in self._pieces]
        if expand and texts and isinstance(self._pieces[0], str):
            texts[0] = os.path.expanduser(texts[0])  # noqa: PTH111
        return "".join(texts)


class Words:
    """A command that is no shell's: words, each of which becomes exactly one argument.

    Parameters
    ----------
    command : str or sequence of str
        Text is taken apart as a shell does it, before any value is known; a sequence has words.

    Examples
    --------
    >>> words = Words("./sim --n={n} 'two words' {name}")
    >>> words.render({"n": 3, "name": "a 'b; $c"})
    ['./sim', '--n=3', 'two words', "a 'b; $c"]
    """

    def __init__(self, command: str | Sequence[str]) -> None:
        texts = [command] if isinstance(command, str) else list(command)
        if not all(isinstance(text, str) for text in texts):
            raise UsageError(f"A command is text or a list of texts, not {command!r}.")
        if any("\0" in text for text in texts):
            raise UsageError(f"{command!r} has a NUL character, which no argument can have.")
        self.words = _split(command) if isinstance(command, str) else [*map(pieces_of, texts)]
        if not self.words:
            raise UsageError("A command is empty: it has to begin with a program.")

    @property
    def names(self) -> set[str]:
        """The parameters that it takes."""
        return {name for word in self.words for piece in word for name in _names(piece)}

    @classmethod
    def of(cls, words: Sequence[Pieces]) -> Words:
        """Return a command of words that are taken apart already."""
        made = cls.__new__(cls)
        made.words = [*words]
        return made

    def plain(self, index: int) -> str | None:
        """Return a word if it is the same for all psets."""
        if index >= len(self.words) or any(isinstance(p, Field) for p in self.words[index]):
            return None
        return "".join(map(str, self.words[index]))

    def render(self, values: Mapping[str, Any]) -> list[str]:
        """Return the arguments for some values.

        Raises
        ------
        ValueError
            If a value cannot be written as its field wants.
        """
        return [
            "".join(p.text(values) if isinstance(p, Field) else p for p in word)
            for word in self.words
        ]


def _split(command: str) -> list[Pieces]:
    """Split a template into words, whatever its fields look like."""
    pieces = pieces_of(command)
    marked = "".join(p if isinstance(p, str) else f"\0{i}\0" for i, p in enumerate(pieces))
    try:
        words = shlex.split(marked)
    except ValueError as error:
        raise UsageError(f"{command!r}: {str(error).lower()}.") from error
    return [tuple(_unmarked(word, pieces)) for word in words]


def _unmarked(word: str, pieces: Pieces) -> Iterator[str | Field]:
    # Split at the marks: text and numbers of pieces take turns.
    for place, part in enumerate(_MARK.split(word)):
        if place % 2:
            yield pieces[int(part)]
        elif part:
            yield part


class ShellLine:
    r"""A command of a shell, with values that are quoted as the place where they stand wants it.

    Parameters
    ----------
    command : str

    Raises
    ------
    UsageError
        If a field stands where no quoting is safe.

    Examples
    --------
    >>> line = ShellLine('echo {x} "say {x}" | wc')
    >>> line.render({"x": "it's $(rm *)"})[2]
    'echo \'it\'"\'"\'s $(rm *)\' "say "\'it\'"\'"\'s $(rm *)\'"" | wc'
    """

    def __init__(self, command: str) -> None:
        if not isinstance(command, str):
            raise UsageError(f"With shell=True, a command is text, not {command!r}.")
        if not command.strip() or "\0" in command:
            raise UsageError(f"With shell=True, a command is text that a shell runs: {command!r}.")
        self._pieces = _placed(command)

    @property
    def names(self) -> set[str]:
        """The parameters that it takes."""
        return {name for piece in self._pieces for name in _names(piece)}

    def plain(self, index: int) -> str | None:
        """Return None: only the shell knows its words."""
        return None

    def render(self, values: Mapping[str, Any]) -> list[str]:
        """Return the arguments for some values: the shell, and what it is to run.

        Raises
        ------
        ValueError
            If a value cannot be written as its field wants.
        """
        return ["/bin/sh", "-c", "".join(_quoted(piece, values) for piece in self._pieces)]


Line: TypeAlias = Words | ShellLine


def _quoted(piece: str | Field, values: Mapping[str, Any]) -> str:
    if isinstance(piece, str):
        return piece
    # Always quoted: bare, `X=1` or `if` would be no argument where a command begins.
    inner = "'" + piece.text(values).replace("'", "'\"'\"'") + "'"
    return f"{piece.quotes}{inner}{piece.quotes}"


def _placed(command: str) -> Pieces:
    """Tell of each field which quotation it stands in."""
    pieces: list[str | Field] = []
    scan = _Quotations()
    for piece in pieces_of(command):
        if isinstance(piece, str):
            scan.go_on(piece)
            pieces.append(piece)
            continue
        if scan.is_unsafe:
            raise UsageError(
                f'{command!r}: {piece} stands where no quoting is safe: inside "$(…)" or '
                f"`…`, in arithmetic, in a comment, after << or after a \\. Give the value to a "
                f"variable before: x={piece}; …"
            )
        pieces.append(Field(piece.name, piece.path, piece.conversion, piece.spec, scan.quotes))
        scan.go_on("x")  # as a part of a word
    return tuple(pieces)


class _Quotations:
    """Follows the text of a shell's command, to tell in which quotation the next field stands."""

    def __init__(self) -> None:
        self.quotes = ""
        self._is_escaped = False
        self._is_comment = False
        self._has_document = False
        self._is_nested = False
        self._before = " "

    @property
    def is_unsafe(self) -> bool:
        """Whether a value cannot be quoted here."""
        return self._is_escaped or self._is_comment or self._has_document or self._is_nested

    def go_on(self, text: str) -> None:
        """Take up what comes next."""
        for character in text:
            self._take(character)
            self._before = character

    def _take(self, character: str) -> None:
        if self._is_comment:
            self._is_comment = character != "\n"
        elif self._is_escaped:
            self._is_escaped = False
        elif character == "\\" and self.quotes != "'":
            self._is_escaped = True
        elif self.quotes:
            self._in_quotes(character)
        else:
            self._bare(character)

    def _in_quotes(self, character: str) -> None:
        if character == self.quotes:
            self.quotes = ""
        elif self.quotes == '"' and (character == "`" or self._before + character in ("$(", "${")):
            self._is_nested = True

    def _bare(self, character: str) -> None:
        pair = self._before + character
        if pair in ("$'", '$"', "((", "${") or character == "`":
            # What is in there has quotations of its own; from here on, they are not followed.
            self._is_nested = True
        elif character in "'\"":
            self.quotes = character
        elif character == "#" and self._before in " \t\n;&|()":
            self._is_comment = True
        elif pair == "<<":
            self._has_document = True
