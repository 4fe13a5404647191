"""Logs of jobs in which what many items failed with is told once, with the items."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["folded"]

MOST_NAMED = 10
_MARK = re.compile(r"Item (\d+) (failed|is skipped)(.*)", re.DOTALL)
_LONGEST = 2000
"""Lines of what is said of one item, that is kept until all of it is known."""


class _Said(NamedTuple):
    """What a log says of an item; of none, if `item` is negative."""

    item: int
    what: str
    """Without the item, as far as it is known to go."""
    rest: str
    """What follows, and may be of something else."""


class _Kind:
    """What some items ended with."""

    def __init__(self) -> None:
        self.n = 0
        self.items: list[int] = []
        self.is_told = False

    def count(self, item: int) -> None:
        self.n += 1
        if len(self.items) < MOST_NAMED:
            self.items.append(item)

    def __str__(self) -> str:
        if self.n == 1:
            return f"Item {self.items[0]}"
        more = f" and {self.n - len(self.items)} more" if self.n > len(self.items) else ""
        return f"{self.n} items ({', '.join(map(str, sorted(self.items)))}{more})"


def folded(log: Path, mended: Callable[[str], str] = str) -> Iterator[str]:
    """Yield the text of a job's log, in which each failure of many items is told once.

    Where only the messages differ, they are all there, and the traceback is that of the first.

    Parameters
    ----------
    log : Path
        It may be longer than what fits into memory, and grow.
    mended : callable
        Is given what is said of an item, and returns what to show of it.
    """
    kinds: dict[int, _Kind] = {}
    n_said = 0
    doubtful: list[tuple[int, int]] = []
    for said in _parts(log):
        n_said += 1
        if said.item >= 0 and not said.rest:
            kinds.setdefault(hash(said.what), _Kind()).count(said.item)
        elif said.item >= 0:
            doubtful.append((hash(said.what), said.item))
    for what, item in doubtful:
        # If others ended with the very same, what follows is something else.
        if what in kinds:
            kinds[what].count(item)
    stacks: dict[int, int] = {}
    # What has been written since is there the next time.
    for said, _ in zip(_parts(log), range(n_said), strict=False):
        kind = kinds.get(hash(said.what)) if said.item >= 0 else None
        if kind is None:
            yield f"{f'Item {said.item} ' * (said.item >= 0)}{said.what}{said.rest}"
            continue
        if not kind.is_told:
            kind.is_told = True
            yield f"{kind} {_once(mended(said.what), kind, stacks)}"
        yield said.rest


def _once(what: str, kind: _Kind, stacks: dict[int, int]) -> str:
    """Leave out a traceback that was shown before, for another message."""
    if kind.n > 1 and what.startswith("is "):
        what = f"are {what[3:]}"
    message, begin, traceback = what.partition("\nTraceback (most recent call last):\n")
    if not begin:
        return what
    item, exception = kind.items[0], message.partition(": ")[2]
    first = stacks.setdefault(hash(traceback.rstrip().removesuffix(exception)), item)
    return what if first == item else f"{message}\n(with the traceback of item {first})\n\n"


def _parts(log: Path) -> Iterator[_Said]:
    with log.open(errors="replace", newline="") as file:
        lines: list[str] = []
        item = -1
        for line in file:
            mark = _MARK.match(line) if line.startswith("Item ") else None
            if mark is not None or line.startswith("=== ") or len(lines) > _LONGEST:
                yield from _said(item, lines)
                item = int(mark[1]) if mark is not None else -1
                lines = [f"{mark[2]}{mark[3]}"] if mark is not None else [line]
            else:
                lines.append(line)
        yield from _said(item, lines)


def _said(item: int, lines: Iterable[str]) -> Iterator[_Said]:
    text = "".join(lines)
    if item < 0:
        yield _Said(item, text, "")
    else:
        what, end, rest = text.partition("\n\n")
        yield _Said(item, f"{what}{end}", rest)
