"""How it is said what to take from the outputs of a program."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any, TypeAlias

from psyflow.command.datafiles import DOCUMENTS, RECORDS
from psyflow.command.entries import EVERYTHING, STDOUT, DataEntry, FunctionEntry, TextEntry
from psyflow.command.patterns import Pattern
from psyflow.command.reducers import REDUCERS
from psyflow.exceptions import UnknownNameError, UsageError

__all__ = ["Entry", "Text", "breaker_of", "entries_of"]

Entry: TypeAlias = TextEntry | DataEntry | FunctionEntry
Text: TypeAlias = "str | re.Pattern[str]"

_OPTIONS = ("file", "pattern", "key", "reduce", "function", "required")
_DATA = {*DOCUMENTS, *RECORDS}


def breaker_of(breaker: Any) -> tuple[str, Pattern | None]:
    """Return the file that a breaker breaks, and its pattern; None for no breaker."""
    if breaker is None:
        return "", None
    file, text = (STDOUT, breaker) if _is_text(breaker) else breaker
    return file, Pattern(text, "breaker", is_counted=True)


def entries_of(name: str, one: Any, required: bool | Collection[str]) -> list[Entry]:
    """Return what `parse` says of one column, or under ``"*"``, as entries.

    Raises
    ------
    UsageError
        If it says nothing that could be.
    """
    if not isinstance(name, str) or not name:
        raise UsageError(f"parse: {name!r} is no name of a column.")
    is_required = required if isinstance(required, bool) else name in required
    several = one if isinstance(one, list) and name == EVERYTHING else [one]
    return [_entry(name, each, is_required) for each in several]


def _entry(name: str, one: Any, is_required: bool) -> Entry:
    if isinstance(one, Mapping):
        return _entry_in_words(name, one, is_required)
    if callable(one):
        return FunctionEntry(name, one, is_required)
    if name == EVERYTHING and isinstance(one, str) and _suffix(one) in _DATA:
        return _data_entry(name, one, None, None, is_required)
    if _is_text(one):
        return _text_entry(name, STDOUT, one, None, is_required)
    return _entry_of_sequence(name, one, is_required)


def _entry_of_sequence(name: str, one: Any, is_required: bool) -> Entry:
    words = tuple(one) if isinstance(one, tuple | list) else ()
    is_data = (
        bool(words)
        and isinstance(words[0], str)
        and _suffix(words[0])
        in {
            *DOCUMENTS,
            *RECORDS,
        }
    )
    if name == EVERYTHING and is_data and len(words) == 2:
        return _data_entry(name, words[0], None, words[1], is_required)
    if len(words) not in (2, 3) or not isinstance(words[0], str):
        raise UsageError(
            f'parse: "{name}" is {one!r:.80}, which should be a pattern, (file, pattern), (file, '
            "pattern, reducer), (data file, name) or a function of the folder."
        )
    file, text, how = words if len(words) == 3 else (*words, None)
    if is_data and isinstance(text, str):
        return _data_entry(name, file, text, how, is_required)
    return _text_entry(name, file, text, how, is_required)


def _entry_in_words(name: str, words: Mapping[str, Any], is_required: bool) -> Entry:
    for word in words:
        if word not in _OPTIONS:
            raise UnknownNameError(f'option of "{name}" in parse', str(word), _OPTIONS)
    is_required = bool(words.get("required", is_required))
    ways = [way for way in ("pattern", "key", "function") if way in words]
    if len(ways) > 1 or (not ways and name != EVERYTHING):
        raise UsageError(f'parse: "{name}" takes one of "pattern", "key" and "function".')
    how, file = words.get("reduce"), words.get("file", STDOUT)
    if "pattern" in words:
        return _text_entry(name, file, words["pattern"], how, is_required)
    if "function" in words:
        return FunctionEntry(name, words["function"], is_required)
    return _data_entry(name, file, words.get("key"), how, is_required)


def _text_entry(name: str, file: str, text: Any, how: Any, is_required: bool) -> TextEntry:
    if not _is_text(text):
        raise UsageError(f'parse: "{name}" has no pattern but {text!r:.60}.')
    _check(name, file, how)
    pattern = Pattern(text, name, is_counted=how == "count")
    if name == EVERYTHING and not pattern.all_named:
        raise UsageError(
            f'parse: "*" takes names from the groups of a pattern, such as (?P<energy>@float@), '
            f'and "{pattern.text}" has none.'
        )
    return TextEntry(name, file, pattern, how or "last", is_required)


def _data_entry(name: str, file: str, key: Any, how: Any, is_required: bool) -> DataEntry:
    _check(name, file, how)
    if _suffix(file) not in _DATA:
        known = " ".join([*DOCUMENTS, *RECORDS])
        raise UsageError(f'parse: "{name}": {file} is no data file. Their suffixes are: {known}.')
    return DataEntry(name, file, key, how, is_required)


def _check(name: str, file: Any, how: Any) -> None:
    if how is not None and how not in REDUCERS:
        raise UnknownNameError(f'reducer for "{name}"', str(how), REDUCERS)
    if not isinstance(file, str) or not file:
        raise UsageError(f'parse: "{name}" names no file but {file!r:.60}.')
    if PurePath(file).is_absolute() or ".." in PurePath(file).parts:
        raise UsageError(f'parse: "{name}": {file} is not in the folder of the program.')


def _suffix(file: str) -> str:
    return PurePath(file).suffix.lower()


def _is_text(value: Any) -> bool:
    return isinstance(value, str | re.Pattern)
