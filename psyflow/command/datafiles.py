"""Values by name in JSON, CSV and NPZ files."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psyflow.command.patterns import value_of
from psyflow.exceptions import ParseError

__all__ = ["DOCUMENTS", "RECORDS", "flattened"]


def flattened(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in a value with its name, in which a dot leads into a dict.

    Examples
    --------
    >>> list(flattened("", {"n": 1, "test": {"loss": 0.5, "top": {"five": 0.9}}}))
    [('n', 1), ('test.loss', 0.5), ('test.top.five', 0.9)]
    """
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        yield from flattened(f"{name}.{key}" if name else str(key), inner)


def _json(path: Path) -> dict[str, Any]:
    with _damage_told(path):
        found = json.loads(path.read_text(encoding="utf-8-sig", errors="replace"))
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        names = dict.fromkeys(name for one in found for name in one)
        return {name: [one.get(name) for one in found] for name in names}
    if not isinstance(found, dict):
        raise ParseError(f"{path.name} holds {type(found).__name__}, where names are expected.")
    return found


def _npz(path: Path) -> dict[str, Any]:
    import numpy as np

    # Opened here, for NumPy leaves open what it cannot read.
    with _damage_told(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: array.item() if array.ndim == 0 else array for name, array in arrays.items()}


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with _damage_told(path), path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ParseError(f"{path.name} holds no names and values in line {number}.")
            yield dict(flattened("", record))


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with (
        _damage_told(path),
        path.open(encoding="utf-8-sig", errors="replace", newline="") as file,
    ):
        header = file.readline()
        file.seek(0)
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
        # Strictly, or a quote that is left open would take up all rows after it.
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
        names = _distinct([name.strip() for name in next(reader, [])])
        for row in reader:
            if row:
                values = [value_of(text.strip()) if text.strip() else None for text in row]
                # What a line lacks is missing like an empty field: columns keep their places.
                values += [None] * (len(names) - len(values))
                yield dict(zip(names, values, strict=False))


def _distinct(names: list[str]) -> list[str]:
    """Return names of columns with a number where one is there again, as pandas has them.

    Examples
    --------
    >>> _distinct(["a", "b", "a", "a"])
    ['a', 'b', 'a.1', 'a.2']
    """
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        found.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    import zipfile

    try:
        yield
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ParseError(f"{path.name} is no whole JSON: {error.msg} ({where}).") from None
    except RecursionError:
        raise ParseError(f"{path.name} is nested too deeply to be read.") from None
    except (ValueError, csv.Error, zipfile.BadZipFile, EOFError) as error:
        kind = path.suffix[1:].upper()
        raise ParseError(f"{path.name} is no whole {kind}: {error}") from None


DOCUMENTS: dict[str, Callable[[Path], dict[str, Any]]] = {".json": _json, ".npz": _npz}
"""Suffixes of files that hold each name once, and what reads these."""

RECORDS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json_lines,
}
"""Suffixes of files that hold the names again and again, and what reads these line by line."""
