"""What a fingerprint is made of, and how two fingerprints differ."""

from __future__ import annotations

import ast
import difflib
import hashlib
import io
import itertools
import os
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.moves import ALIAS, find_moves
from psyflow.fingerprint.normal import is_idle, normalize

__all__ = [
    "ALIAS",
    "ORDER",
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

ORDER = "<order>"
"""Ends the name of a part that says in which order a module's statements stand."""

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
    files : dict of str to str, optional
        Of a folder or glob, the files and their digests.
    """

    digest: str
    source: str
    line: int
    file: str
    files: dict[str, str] | None = None


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
    also : tuple of Change
        Further data files that differ, of which the first one stands for all.
    """

    name: str
    old: Part | None
    new: Part | None
    also: tuple[Change, ...] = ()

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
            return f"{self.name}: {self._verb('the content changed')}{self._more()}"
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

    @property
    def is_of_data(self) -> bool:
        """Whether it is of a file that `file_dep` names."""
        return _is_data(self.name, self.new or self.old)

    def _more(self) -> str:
        n_more = len(self.also)
        return f" ({n_more} more file{'s differ' if n_more > 1 else ' differs'})" if n_more else ""

    def _verb(self, changed: str) -> str:
        if self.old is None:
            return "new"
        return "no longer used" if self.new is None else changed


def changes(old: Mapping[str, Part], new: Mapping[str, Part]) -> list[Change]:
    """List the parts that differ in content: first `execute`, then other code, then values.

    What is gone comes last. Within each of them, the order is that of `new`. Data files that
    differ are together one change; in which way `file_dep` names them makes no difference. What
    has moved to another module, and is there what it was, does not differ.

    Examples
    --------
    >>> part = Part("1", "N = 3", 1, "task_a.py")
    >>> changes({"N": part}, {"N": part})
    []
    """
    if _data(old) != _data(new):
        old, new = _file_by_file(old), _file_by_file(new)
    old, new = _without_new_orders(old, new), _without_new_orders(new, old)
    moves = find_moves(old, new, _differ)
    differing = [
        Change(name, before, part)
        for name, part in new.items()
        for before in [old.get(moves.old_name.get(name, name))]
        if name not in moves.copied
        and (_is_added(name) if before is None else _differ(before, part))
    ]
    known = {*new, *moves.old_name.values(), *moves.copied}
    gone = [Change(name, old[name], None) for name in old if name not in known]
    # Whatever used an import has changed too, or is of a kind that an older psyflow had counted.
    differing.sort(key=_rank)
    return _together(differing + gone) if differing or not all(map(_is_idle, gone)) else []


def _is_data(name: str, part: Part | None) -> bool:
    # Of a compiled module, the name is no path.
    return part is not None and not part.source and part.file == name


def _data(parts: Mapping[str, Part]) -> dict[str, str]:
    return {name: part.digest for name, part in parts.items() if _is_data(name, part)}


def _file_by_file(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Put the files of folders and globs in the place of these."""
    found: dict[str, Part] = {}
    for name, part in parts.items():
        if part.files is None:
            found[name] = part
        else:
            found |= {file: Part(content, "", 0, file) for file, content in part.files.items()}
    return found


def _together(found: list[Change]) -> list[Change]:
    """Leave the first data file to stand for all of them."""
    data = [change for change in found if change.is_of_data]
    if len(data) < 2:
        return found
    first = replace(data[0], also=tuple(data[1:]))
    return [
        first if change is data[0] else change
        for change in found
        if change is data[0] or not change.is_of_data
    ]


def _without_new_orders(parts: Mapping[str, Part], others: Mapping[str, Part]) -> dict[str, Part]:
    """Leave out orders that the other fingerprint lacks: it is older, or has other parts, too."""
    return {n: part for n, part in parts.items() if n in others or not n.endswith(ORDER)}


def _is_added(name: str) -> bool:
    # An older psyflow had no parts for these; and what gets a new name is added too, or used anew.
    return not name.rpartition(".")[2].startswith(ALIAS)


def _rank(change: Change) -> int:
    """Say how much a change tells: a constant is often there only for what uses it now."""
    assert change.new is not None
    if change.name in ("execute", "setup"):
        return ("execute", "setup").index(change.name)
    if change.name.endswith(ORDER):
        return 4
    return 2 if change.new.source.startswith(("def ", "async def ", "class ", "@")) else 3


def _differ(old: Part, new: Part) -> bool:
    # An older psyflow took more of the source to count, and its digests are still to be known.
    return old.digest != new.digest and _digest_of(old.source) != new.digest


def _digest_of(source: str) -> str | None:
    """Return the digest that a part with `source` would have now, None if that is no Python."""
    statements = _statements(source)
    return None if statements is None else digest("\n".join(map(ast.unparse, statements)))


def _is_idle(change: Change) -> bool:
    """Tell whether what is gone did nothing but import, or set logging up, in the first place."""
    assert change.old is not None
    statements = _statements(change.old.source)
    return bool(change.old.source) and statements is not None and all(map(is_idle, statements))


def _statements(source: str) -> list[ast.stmt] | None:
    try:
        return normalize(ast.parse(source)).body
    except (SyntaxError, ValueError):
        return None


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
    return {
        name: {key: value for key, value in asdict(part).items() if value is not None}
        for name, part in parts.items()
    }


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
            str(entry["digest"]),
            str(entry["source"]),
            int(entry["line"]),
            str(entry["file"]),
            entry.get("files"),
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
