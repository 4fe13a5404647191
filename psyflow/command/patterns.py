"""Regular expressions with words for numbers, and where they match in the lines of a file."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from psyflow.exceptions import UsageError, did_you_mean

__all__ = ["MACROS", "Group", "Pattern", "blocks_of", "value_of"]

LINE_LIMIT = 1 << 20
"""Characters after which a line is cut, so that no file needs more memory than that."""

_HEAD_BYTES = 64
_LONGEST_INT = 4300
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROLS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""What colours a text, or moves a cursor, on a terminal."""


def _float(text: str) -> float:
    # Fortran writes 1.0D+00.
    return float(text.lower().replace("d", "e"))


def _int(text: str) -> int | str:
    # Python reads no longer ones.
    return int(text) if len(text) < _LONGEST_INT else text


def _str(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1] if is_quoted else text


class _Macro(NamedTuple):
    regex: str
    made: Callable[[str], Any]


_EXPONENT = r"(?:[eEdD][-+]?[0-9]+)?"
_NUMBER = rf"(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}"

_GOES_ON = r"(?![0-9]|\.[0-9]|[eE][-+]?[0-9]|_[0-9]|(?<=\b0)[xX][0-9a-fA-F])"
"""What does not follow a number that a pattern ends with: it would be the beginning of another."""

MACROS = {
    "float": _Macro(rf"(?:[-+]?(?:{_NUMBER}|(?i:nan|inf(?:inity)?)\b))", _float),
    "int": _Macro(r"(?:[-+]?[0-9]+)", _int),
    "slug": _Macro(r"(?:[\w-]+)", str),
    "str": _Macro(r'(?:"[^"]*"|.+)', _str),
}
"""What stands for ``@NAME@`` in a pattern, and what makes a value of the text."""

_TOKEN = re.compile(
    r"""
      (?P<macro>@[A-Za-z_]+@)
    | (?P<escape>\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|[0-9]{1,3}|.))
    | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<comment>\(\?\#[^)]*\))
    | (?P<open>\((?P<kind>\?(?:P<(?P<name>\w+)>)?)?)
    | (?P<close>\))
    | (?P<quantifier>(?:[*+?]|\{[0-9]*,?[0-9]*\})[?+]?)
    | (?P<bar>\|)
    | (?P<any>[.^$])
    | (?P<char>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(MACROS["float"].regex)
_WORDS = {"True": True, "true": True, "False": False, "false": False}


def value_of(text: str) -> Any:
    """Return a text as the Python value that it looks like.

    Examples
    --------
    >>> [value_of(text) for text in ("12", "1.50", "1e-3", "nan", "true", "007", "relu")]
    [12, 1.5, 0.001, nan, True, '007', 'relu']
    """
    if _INT.fullmatch(text):
        return _int(text)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        return _float(text)
    return _WORDS.get(text, text)


class Group(NamedTuple):
    """What a group of a pattern becomes.

    Attributes
    ----------
    number : int
    made : callable
        From its text to its value.
    """

    number: int
    made: Callable[[str], Any]


class Pattern:
    r"""A regular expression in which ``@float@``, ``@int@``, ``@slug@`` and ``@str@`` are words.

    Parameters
    ----------
    text : str or re.Pattern
        A compiled one brings its flags.
    of : str
        What it is the pattern of, for messages.
    is_counted : bool
        Whether only its matches count, so that no group is needed.

    Attributes
    ----------
    first : Group or None
        The first group without a name; if each has one, the first of all.
    all_named : dict of str to Group
        Those that have names.
    named : dict of str to Group
        The same without the first.
    literal : str
        A text that is in each line that matches; ``""`` if none is known.

    Raises
    ------
    UsageError
        If it is no regular expression, has no group, or can never match within a line.

    Examples
    --------
    >>> energy = Pattern(r"E = (@float@) (?P<unit>\w+)", "energy")
    >>> energy.literal, energy.first.number, list(energy.named)
    ('E = ', 1, ['unit'])
    >>> [match.groups() for _, match in energy.matches("T = 1\nE = -1.5 eV\n")]
    [('-1.5', 'eV')]
    """

    def __init__(self, text: str | re.Pattern[str], of: str, is_counted: bool = False) -> None:
        self._of = of
        flags = 0 if isinstance(text, str) else text.flags & ~re.UNICODE
        self.text = text if isinstance(text, str) else text.pattern
        self._compile(self.text, flags)  # as it is, for the positions in messages
        self._scan()
        self.regex = self._compile(_TOKEN.sub(self._expanded, self.text), flags)
        if self.regex.flags & (re.IGNORECASE | re.VERBOSE):
            self.literal = ""
        if not self.regex.groups and not is_counted:
            raise UsageError(
                f'"{of}": the pattern "{self.text}" has no group, which would say what to take. '
                "Put parentheses around that, such as: (@float@)"
            )
        self._tell_groups()

    def matches(self, block: str) -> Iterator[tuple[int, re.Match[str]]]:
        """Yield each match within a line of `block`, and where in the block that line starts."""
        for start, line in self._lines(block):
            for match in self.regex.finditer(line):
                yield start, match

    def _lines(self, block: str) -> Iterator[tuple[int, str]]:
        """Yield the lines that may match, and where they start."""
        start, n = 0, len(block)
        while start < n:
            if self.literal:
                at = block.find(self.literal, start)
                if at < 0:
                    return
                start = block.rfind("\n", start, at) + 1 or start
            end = block.find("\n", start)
            end = n if end < 0 else end
            yield start, block[start:end]
            start = end + 1

    def _compile(self, text: str, flags: int) -> re.Pattern[str]:
        try:
            return re.compile(text, flags)
        except re.error as error:
            raise UsageError(
                f'"{self._of}": the pattern "{self.text}" is no regular expression: {error.msg}'
                + ("." if error.pos is None else f" at position {error.pos}.")
            ) from None

    def _tell_groups(self) -> None:
        made = self._made
        if len(made) != self.regex.groups:  # some stood in a comment
            made = [value_of] * self.regex.groups
        groups = [Group(number, of) for number, of in enumerate(made, 1)]
        self.all_named = {
            name: groups[number - 1] for name, number in self.regex.groupindex.items()
        }
        unnamed = [group for group in groups if group not in self.all_named.values()]
        self.first = next(iter(unnamed or groups), None)
        self.named = {name: of for name, of in self.all_named.items() if of != self.first}

    def _expanded(self, token: re.Match[str]) -> str:
        macro = MACROS.get(token[0][1:-1]) if token["macro"] else None
        if macro is None:
            return token[0]
        is_number = macro.made in (_float, _int)
        is_last = not self.text[token.end() :].strip(")")
        return macro.regex + (_GOES_ON if is_number and is_last else "")

    def _scan(self) -> None:
        """Find what the groups hold, and a text that must be there."""
        self._made: list[Callable[[str], Any]] = []
        depth, run, runs = 0, "", [""]
        has_choice = False
        for token in _TOKEN.finditer(self.text):
            kind = token.lastgroup if token.lastgroup not in ("kind", "name") else "open"
            self._check(token)
            if kind == "open":
                self._note_group(token)
                depth += 1
            depth -= kind == "close"
            has_choice |= kind == "bar" and not depth
            character = "" if depth else _literal_of(token)
            if character:
                run += character
                continue
            # What is repeated, perhaps never, is the last character alone.
            runs.append(run[:-1] if kind == "quantifier" else run)
            run = ""
        self.literal = "" if has_choice else max([*runs, run], key=len)

    def _check(self, token: re.Match[str]) -> None:
        text, after = token[0], self.text[token.end() : token.end() + 1]
        if text in ("\\n", "\\r", "\n", "\r") and after not in ("?", "*"):
            raise UsageError(
                f'"{self._of}": the pattern "{self.text}" asks for a line break, but each line '
                "is looked at alone. Take a pattern for each line."
            )
        name = text[1:-1]
        if token["macro"] and name not in MACROS:
            suggestion = did_you_mean(name, MACROS, 0.6)
            if suggestion:
                known = " ".join(f"@{known}@" for known in MACROS)
                raise UsageError(f'"{self._of}": there is no {text}.{suggestion} Known: {known}.')

    def _note_group(self, token: re.Match[str]) -> None:
        if token["kind"] and not token["name"]:
            return  # it captures nothing
        inside = self.text[token.end() :]
        made = next(
            (macro.made for name, macro in MACROS.items() if inside.startswith(f"@{name}@)")),
            value_of,
        )
        self._made.append(made)


def _literal_of(token: re.Match[str]) -> str:
    """Return the characters that a token stands for, if it stands for nothing else."""
    if token["char"]:
        return token[0]
    if token["escape"] and not token[0][1].isalnum():
        return token[0][1]
    if token["macro"] and token[0][1:-1] not in MACROS:
        return token[0]
    return ""


def blocks_of(path: Path) -> Iterator[str]:
    r"""Yield the text of a file in blocks of whole lines, with ``\n`` for each line's end.

    Carriage returns, as progress bars write them, end lines too, and colours for a terminal are
    left out. What is not UTF-8 is replaced, unless it is UTF-16. A line of more than `LINE_LIMIT`
    characters is cut.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        is_utf16 = head.startswith(_UTF16) and b"\0" in head
        encoding = "utf-16" if is_utf16 else "utf-8-sig"
        file.seek(0)
        with io.TextIOWrapper(file, encoding=encoding, errors="replace") as text:
            for block in _blocks(text):
                yield _CONTROLS.sub("", block) if "\x1b" in block else block


def _blocks(file: IO[str]) -> Iterator[str]:
    rest = ""
    while text := file.read(LINE_LIMIT):
        text = rest + text
        end = text.rfind("\n") + 1 or _end_of_part(text)
        rest = text[end:]
        if end:
            yield text[:end]
    if rest:
        yield rest


def _end_of_part(line: str) -> int:
    """Return where to cut a line that is too long, or 0; between words, for it may be a number."""
    if len(line) < LINE_LIMIT:
        return 0
    return max(line.rfind(sign, len(line) // 2) for sign in " \t,;") + 1 or len(line)
