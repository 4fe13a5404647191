"""The entries of what is parsed, each of which makes values of the folder of a program."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psyflow.command.datafiles import DOCUMENTS, RECORDS, flattened
from psyflow.command.patterns import Group, Pattern, blocks_of
from psyflow.command.reducers import REDUCERS, Reducer
from psyflow.exceptions import ParseError

__all__ = ["EVERYTHING", "STDOUT", "DataEntry", "FunctionEntry", "TextEntry", "rows_of_text"]

STDOUT = "stdout"
"""The file that a pattern without a file is for."""

EVERYTHING = "*"
"""The name of an entry that brings its own names."""


class _Reducers:
    """Reducers of some names, made as they are needed."""

    def __init__(self, how: str, file: str) -> None:
        self._how, self._file = how, file
        self._of: dict[str, Reducer] = {}

    def add(self, name: str, value: Any) -> None:
        if name not in self._of:
            self._of[name] = REDUCERS[self._how]()
        try:
            self._of[name].add(value)
        except ParseError as error:
            raise ParseError(f'"{name}" in {self._file}: {error}.') from None

    def values(self) -> dict[str, Any]:
        return {name: one.value for name, one in self._of.items() if one.has_value}


def paths_of(folder: Path, file: str) -> list[Path]:
    """Return the files that a name stands for, which may be a pattern such as ``run-*.log``."""
    found = sorted(folder.glob(file)) if any(sign in file for sign in "*?[") else [folder / file]
    return [path for path in found if path.is_file()]


@dataclass
class TextEntry:
    """What the groups of a pattern match in the lines of a file.

    Attributes
    ----------
    name : str
    file : str
    pattern : Pattern
    how : str
        One of `REDUCERS`.
    is_required : bool
    """

    name: str
    file: str
    pattern: Pattern
    how: str
    is_required: bool
    groups: dict[str, Group | None] = field(init=False)

    def __post_init__(self) -> None:
        if self.name == EVERYTHING:
            self.groups = {**self.pattern.all_named}
        else:
            self.groups = {self.name: self.pattern.first, **self.pattern.named}

    @property
    def names(self) -> list[str]:
        """The names that it gives values."""
        return list(self.groups)

    @property
    def wants(self) -> str:
        """What there has to be, for messages."""
        return f'a line of {self.file} that matches "{self.pattern.text}"'

    def is_there(self, folder: Path) -> bool:
        """Tell whether any line matches."""
        rows = rows_of_text(folder, self.file, [self], None)
        return bool(rows[0])


@dataclass
class DataEntry:
    """What a data file has by a name, or all that it has.

    Attributes
    ----------
    name, file
        As in `TextEntry`.
    key : str or None
        None for all.
    how : str or None
        None for the value as it is, or the last one of many.
    is_required : bool
    """

    name: str
    file: str
    key: str | None
    how: str | None
    is_required: bool

    @property
    def names(self) -> list[str]:
        """The names that it gives values, as far as that is known without its file."""
        return [] if self.key is None else [self.name]

    @property
    def wants(self) -> str:
        """What there has to be, for messages."""
        return f"a file {self.file}" if self.key is None else f'"{self.key}" in {self.file}'

    def is_there(self, folder: Path) -> bool:
        """Tell whether there is the file."""
        return bool(paths_of(folder, self.file))

    def values(self, folder: Path) -> dict[str, Any]:
        """Return the values in the file, by name."""
        reducers = _Reducers(self.how or "last", self.file)
        found: dict[str, Any] = {}
        for path in paths_of(folder, self.file):
            suffix = path.suffix.lower()
            if suffix in RECORDS:
                for record in RECORDS[suffix](path):
                    for name, value in self._chosen(record):
                        reducers.add(name, value)
            else:
                for name, value in self._chosen(DOCUMENTS[suffix](path)):
                    if self.how is None:
                        found[name] = value
                        continue
                    for one in _elements(value):
                        reducers.add(name, one)
        found = {name: value for name, value in found.items() if value is not None}
        return {**found, **reducers.values()}

    def _chosen(self, record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        if self.key is None:
            yield from flattened("", record)
        elif self.key in record:
            yield from flattened(self.name, record[self.key])
        else:
            for name, value in flattened("", record):
                if name == self.key:
                    yield self.name, value
                elif name.startswith(f"{self.key}."):
                    yield self.name + name[len(self.key) :], value


def _elements(value: Any) -> list[Any]:
    if hasattr(value, "ravel"):
        value = value.ravel().tolist()
    return value if isinstance(value, list) else [value]


@dataclass
class FunctionEntry:
    """What a function makes of the folder.

    Attributes
    ----------
    name : str
    function : callable
        Of the folder, a Path.
    is_required : bool
    """

    name: str
    function: Callable[[Path], Any]
    is_required: bool
    file: str = ""

    @property
    def names(self) -> list[str]:
        """The names that it gives values, as far as that is known without calling it."""
        return [] if self.name == EVERYTHING else [self.name]

    @property
    def wants(self) -> str:
        """What there has to be, for messages."""
        return f"a value from {getattr(self.function, '__name__', 'its function')}"

    def is_there(self, folder: Path) -> bool:
        """Tell whether there is the folder, for that is what the function is for."""
        return folder.is_dir()

    def values(self, folder: Path) -> dict[str, Any]:
        """Return what the function says; None is no value."""
        value = self.function(folder)
        if self.name != EVERYTHING:
            return {} if value is None else {self.name: value}
        if not isinstance(value, Mapping):
            name = getattr(self.function, "__name__", "the function")
            raise ParseError(f"{name} is to return a dict of names and values, not {value!r:.60}.")
        return dict(value)


def rows_of_text(
    folder: Path, file: str, entries: Sequence[TextEntry], breaker: Pattern | None
) -> list[dict[str, Any]]:
    """Return what `entries` find in one file: one row, or, with a breaker, one for each part.

    Parameters
    ----------
    folder : Path
    file : str
        The one that all `entries` are for.
    entries : sequence of TextEntry
    breaker : Pattern or None
        A line that matches it is the last of a part. What follows the last one is a part as well,
        if anything is found there.
    """
    parts: dict[int, list[_Reducers]] = {}
    n_parts = 0
    paths = paths_of(folder, file)
    for block in (block for path in paths for block in blocks_of(path)):
        breaks = (
            list(dict.fromkeys(start for start, _ in breaker.matches(block))) if breaker else []
        )
        for place, entry in enumerate(entries):
            for start, match in entry.pattern.matches(block):
                part = n_parts + bisect_left(breaks, start)
                if part not in parts:
                    parts[part] = [_Reducers(entry.how, file) for entry in entries]
                _take(entry, match, parts[part][place])
        n_parts += len(breaks)
    nothing = [_Reducers(one.how, file) for one in entries] if paths else []
    numbers = [*range(n_parts), *(part for part in parts if part >= n_parts)] or [0]
    return [_row(entries, parts.get(part, nothing)) for part in numbers]


def _take(entry: TextEntry, match: Any, reducers: _Reducers) -> None:
    for name, group in entry.groups.items():
        if group is None:  # matches are counted
            reducers.add(name, 1)
            continue
        text = match[group.number]
        if text is not None:
            reducers.add(name, group.made(text))
        elif len(entry.groups) > 1:
            # The lists of one pattern keep their places beside each other.
            reducers.add(name, None)


def _row(entries: Sequence[TextEntry], found: Sequence[_Reducers]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for entry, reducers in zip(entries, found, strict=False):
        if entry.how == "count":
            # None is a number as well.
            row |= dict.fromkeys(entry.groups, 0)
        row |= reducers.values()
    return row
