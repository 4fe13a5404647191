"""How two fingerprints differ, and how that is said."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from psyflow.fingerprint.lines import logical_lines, opcodes
from psyflow.fingerprint.moves import ALIAS, find_moves
from psyflow.fingerprint.normal import is_idle, normalize
from psyflow.fingerprint.parts import ORDER, Part, digest
from psyflow.system.syntax import parsed

__all__ = ["Change", "LineChange", "SourceLine", "changes"]


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
            first = logical_lines(part)[0]
            at = f", {place} {first.number}" if part.line else ""
            return f"{self.name}: {self._verb('')}{at}: `{first.show(0)}`"
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
        before = logical_lines(self.old) if self.old else []
        after = logical_lines(self.new) if self.new else []
        return [
            LineChange(
                SourceLine(self.old.file, old.number, old.text) if self.old and old else None,
                SourceLine(self.new.file, new.number, new.text) if self.new and new else None,
            )
            for kind, i, i_end, j, j_end in opcodes(before, after)
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
        return normalize(parsed(source)).body
    except (SyntaxError, ValueError):
        return None


def _difference(old: Part, new: Part, place: str) -> str:
    """Describe the first logical line that differs."""
    before, after = logical_lines(old), logical_lines(new)
    for kind, i, _, j, _ in opcodes(before, after):
        if kind == "insert":
            return f"{place} {after[j].number}: added `{after[j].show(0)}`"
        if kind == "delete":
            return f"{place} {before[i].number}: removed `{before[i].show(0)}`"
        if kind == "replace":
            at = _common_length(before[i].text, after[j].text)
            said = f"`{before[i].show(at)}` -> `{after[j].show(at)}`"
            # Of a setting, which may be given in several files, only the value is known.
            return f"{place} {after[j].number}: {said}" if new.line else said
    return f"{place} {new.line}: changed"


def _common_length(a: str, b: str) -> int:
    """Return how many characters `a` and `b` share at the start."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
