"""What a fingerprint is made of, and how two fingerprints differ."""

from __future__ import annotations

import difflib
import hashlib
import io
import itertools
import os
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psyflow.exceptions import TaskFileError

__all__ = [
    "Change",
    "LineChange",
    "Part",
    "SourceLine",
    "changes",
    "digest",
    "file_part",
    "parts_from_json",
    "parts_to_json",
]

_SHOWN_WIDTH = 72
_NO_CONTENT = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that results depend on: a function, a constant, an import, a file.

    Attributes
    ----------
    digest : str
        Hexadecimal digest of the content that counts (no comments, docstrings, formatting).
    source : str
        The lines as they were written, empty for a data file. Lines between two statements that
        belong together are blank, so that line `i` of `source` is line ``line + i`` of `file`.
    line : int
        Number of the first line in `file`, from 1; 0 for a data file.
    file : str
        Path of the file, relative to the task folder if it is in there.
    """

    digest: str
    source: str
    line: int
    file: str


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A logical line of code: its file, the number of its first line there, and its text."""

    file: str
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class LineChange:
    """A logical line that differs; `old` or `new` is None if it was added or removed."""

    old: SourceLine | None
    new: SourceLine | None


@dataclass(frozen=True, slots=True)
class Change:
    """A part that differs between two fingerprints; `old` or `new` is None if it has none.

    Attributes
    ----------
    name : str
        Qualified name of the part: ``"execute"``, ``"helpers.f"``, a path.
    old, new : Part or None
    """

    name: str
    old: Part | None
    new: Part | None

    def describe(self) -> str:
        r"""Say in one line what changed.

        Examples
        --------
        >>> old = Part("1", "def execute(x):\n    return x", 11, "task_a.py")
        >>> new = Part("2", "def execute(x):\n    return x + 1", 11, "task_a.py")
        >>> Change("execute", old, new).describe()
        'execute: line 12: `return x` -> `return x + 1`'
        """
        part = self.new or self.old
        assert part is not None
        if not part.source:
            return f"{self.name}: {self._verb('the content changed')}"
        # The name of a part of another module begins with the module's, which says the file.
        place = f"{part.file}, line" if "." in self.name else "line"
        if self.old is None or self.new is None:
            first = _logical_lines(part)[0]
            return f"{self.name}: {self._verb('')}, {place} {first.number}: `{first.show(0)}`"
        return f"{self.name}: {_difference(self.old, self.new, place)}"

    def lines(self) -> list[LineChange]:
        r"""List the logical lines that differ; none for a data file.

        Examples
        --------
        >>> old = Part("1", "def execute(x):\n    return x", 11, "task_a.py")
        >>> new = Part("2", "def execute(x):\n    return x + 1", 21, "task_a.py")
        >>> (line,) = Change("execute", old, new).lines()
        >>> line.old, line.new
        (SourceLine(file='task_a.py', number=12, text='return x'),
         SourceLine(file='task_a.py', number=22, text='return x + 1'))
        """
        before = _logical_lines(self.old) if self.old else []
        after = _logical_lines(self.new) if self.new else []
        return [
            LineChange(
                SourceLine(self.old.file, old.number, old.text) if self.old and old else None,
                SourceLine(self.new.file, new.number, new.text) if self.new and new else None,
            )
            for kind, i, i_end, j, j_end in _opcodes(before, after)
            if kind != "equal"
            for old, new in itertools.zip_longest(before[i:i_end], after[j:j_end])
        ]

    def _verb(self, changed: str) -> str:
        if self.old is None:
            return "new"
        return "no longer used" if self.new is None else changed


def changes(old: Mapping[str, Part], new: Mapping[str, Part]) -> list[Change]:
    """List the parts that differ in content, in the order of `new`, then those that are gone.

    Examples
    --------
    >>> part = Part("1", "N = 3", 1, "task_a.py")
    >>> changes({"N": part}, {"N": part})
    []
    """
    differing = [
        Change(name, old.get(name), part)
        for name, part in new.items()
        if name not in old or old[name].digest != part.digest
    ]
    return differing + [Change(name, old[name], None) for name in old if name not in new]


def digest(text: str) -> str:
    """Return the digest of `text` that parts carry."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def file_part(path: str | os.PathLike[str]) -> Part:
    """Return the part for a file that results depend on, by its content, read in pieces.

    Raises
    ------
    TaskFileError
        If the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            hashed = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    except OSError as error:
        raise TaskFileError(
            f'The file "{path}" in `file_dep` cannot be read: {error.strerror or error}. '
            "Paths in `file_dep` are relative to the task file."
        ) from error
    return Part(hashed.hexdigest(), "", 0, os.fspath(path))


def parts_to_json(parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Turn parts into what `json.dumps` takes."""
    return {name: asdict(part) for name, part in parts.items()}


def parts_from_json(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
    """Turn what `parts_to_json` gave into parts again.

    Examples
    --------
    >>> parts = {"N": Part("1", "N = 3", 1, "task_a.py")}
    >>> parts_from_json(parts_to_json(parts)) == parts
    True
    """
    return {
        name: Part(
            str(entry["digest"]), str(entry["source"]), int(entry["line"]), str(entry["file"])
        )
        for name, entry in data.items()
    }


@dataclass(frozen=True, slots=True)
class _Line:
    """A logical line: its number in the file, its text, and the tokens that count."""

    number: int
    text: str
    tokens: str

    def show(self, position: int) -> str:
        """Give the part of the text around `position` that fits into one line."""
        if len(self.text) <= _SHOWN_WIDTH:
            return self.text
        start = max(0, min(position - _SHOWN_WIDTH // 3, len(self.text) - _SHOWN_WIDTH))
        end = start + _SHOWN_WIDTH
        return f"{'…' * (start > 0)}{self.text[start:end]}{'…' * (end < len(self.text))}"


def _logical_lines(part: Part) -> list[_Line]:
    """Split the source of `part` into logical lines, without comments and docstrings."""
    try:
        return _tokenized_lines(part)
    except (tokenize.TokenError, SyntaxError):
        # The source may be of another Python version than the one that is running.
        lines = enumerate(part.source.splitlines(), part.line)
        return [_Line(i, line.strip(), line.strip()) for i, line in lines if line.strip()]


def _tokenized_lines(part: Part) -> list[_Line]:
    lines: list[_Line] = []
    pending: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(part.source).readline):
        if token.type == tokenize.NEWLINE:
            if [t.type for t in pending] != [tokenize.STRING]:
                lines.append(_logical_line(pending, part.line))
            pending = []
        elif token.type not in _NO_CONTENT:
            pending.append(token)
    return lines


def _logical_line(tokens: list[tokenize.TokenInfo], offset: int) -> _Line:
    pieces = [tokens[0].string]
    for before, token in itertools.pairwise(tokens):
        apart = token.start[0] != before.end[0] or token.start[1] > before.end[1]
        pieces.append(" " * apart + token.string)
    text = "".join(pieces).replace("\n", "\\n")
    return _Line(tokens[0].start[0] - 1 + offset, text, " ".join(t.string for t in tokens))


def _difference(old: Part, new: Part, place: str) -> str:
    """Describe the first logical line that differs."""
    before, after = _logical_lines(old), _logical_lines(new)
    for kind, i, _, j, _ in _opcodes(before, after):
        if kind == "insert":
            return f"{place} {after[j].number}: added `{after[j].show(0)}`"
        if kind == "delete":
            return f"{place} {before[i].number}: removed `{before[i].show(0)}`"
        if kind == "replace":
            at = _common_length(before[i].text, after[j].text)
            return f"{place} {after[j].number}: `{before[i].show(at)}` -> `{after[j].show(at)}`"
    return f"{place} {new.line}: changed"


def _opcodes(old: list[_Line], new: list[_Line]) -> Sequence[tuple[str, int, int, int, int]]:
    matcher = difflib.SequenceMatcher(
        None, [line.tokens for line in old], [line.tokens for line in new], autojunk=False
    )
    return matcher.get_opcodes()


def _common_length(a: str, b: str) -> int:
    """Return how many characters `a` and `b` share at the start."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
