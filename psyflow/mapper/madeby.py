"""Which code has made the rows of a map's result file: a record beside the file.

The record names the file that it is of by its size and time, or its checksum. Before rows are
added, it is marked: the file may then be any of the states on the way, should the process die.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from psyflow.fingerprint import Change, Part, changes, parts_from_json, parts_to_json
from psyflow.fingerprint.functions import FunctionCode
from psyflow.system.files import keep_copy, move, write_atomic
from psyflow.system.reading import checksum_of, is_there, read_whole

__all__ = ["CodeRecord", "put_aside"]


@dataclass(frozen=True)
class _Record:
    code: dict[str, dict[str, object]]
    unwatched: list[str]
    is_changing: bool
    values: dict[str, dict[str, object]] | None = None  # earlier versions noted none
    size: int = -1
    mtime_ns: int = -1
    checksum: int = -1


class CodeRecord:
    """The record of the code that has made a file.

    Parameters
    ----------
    path : Path
        The result file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = record_of(path)

    def changes(self, code: FunctionCode) -> list[Change] | None:
        """Return what differs from the code that has made the file; None if nobody knows it."""
        record = self._current()
        if record is None:
            return None
        # Where statements differ, values do because of them.
        return changes(_parts(record), code.parts) or _changes_of_values(record, code)

    def unwatched(self) -> list[str]:
        """Return what the record says is not compared."""
        record = self._read()
        return [] if record is None else record.unwatched

    def begin(self, code: FunctionCode) -> None:
        """Note that rows of some code are about to be added."""
        self._write(_noted(code, is_changing=True))

    def end(self, code: FunctionCode) -> None:
        """Note that all rows are of some code, unless that is noted already."""
        record = self._current()
        if not is_there(self._path) or (record is not None and _is_of(record, code)):
            return
        stat, checksum = self._path.stat(), checksum_of(self._path)
        stamp = (stat.st_size, stat.st_mtime_ns, checksum)
        self._write(_noted(code, False, *stamp))

    def _write(self, record: _Record) -> None:
        write_atomic(self._file, json.dumps(asdict(record), indent=1))

    def _current(self) -> _Record | None:
        """Return the record, if it is of the file that is there."""
        record = self._read()
        return record if record is not None and self._describes(record) else None

    def _describes(self, record: _Record) -> bool:
        if record.is_changing:
            return True
        stat = self._path.stat()
        if stat.st_size != record.size:
            return False
        return stat.st_mtime_ns == record.mtime_ns or checksum_of(self._path) == record.checksum

    def _read(self) -> _Record | None:
        """Return the record; None if there is none, or none that this psyflow can read."""
        try:
            fields = json.loads(read_whole(self._file))
            known = {n: fields[n] for n in _Record.__dataclass_fields__ if n in fields}
            record = _Record(**known)
            _parts(record)
            _values(record)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record


def record_of(path: Path) -> Path:
    """Return where the record of a result file is.

    Examples
    --------
    >>> record_of(Path("squares.npz")).name
    'squares.npz.code.json'
    """
    return path.with_name(f"{path.name}.code.json")


def put_aside(path: Path) -> Path:
    """Give a file, with its record, a name with the date, which nothing has yet; return that."""
    now, number = time.strftime("%Y%m%dT%H%M%S"), 1
    aside = path.with_name(f"{path.stem}.{now}{path.suffix}")
    while is_there(aside) or is_there(record_of(aside)):
        number += 1
        aside = path.with_name(f"{path.stem}.{now}-{number}{path.suffix}")
    if is_there(record_of(path)):
        # It stays, too: until the file has gone, it is the record of that.
        keep_copy(record_of(path), record_of(aside))
    move(path, aside)
    return aside


def _parts(record: _Record) -> dict[str, Part]:
    return parts_from_json(record.code)


def _values(record: _Record) -> dict[str, Part]:
    return parts_from_json(record.values or {})


def _noted(code: FunctionCode, is_changing: bool, *stamp: int) -> _Record:
    parts, values = parts_to_json(code.parts), parts_to_json(code.values)
    return _Record(parts, code.unwatched, is_changing, values, *stamp)


def _changes_of_values(record: _Record, code: FunctionCode) -> list[Change]:
    return [] if record.values is None else changes(_values(record), code.values)


def _is_of(record: _Record, code: FunctionCode) -> bool:
    is_settled = not record.is_changing and record.unwatched == code.unwatched
    is_of_code = _digests(_parts(record)) == _digests(code.parts)
    is_of_values = record.values is not None and _digests(_values(record)) == _digests(code.values)
    return is_settled and is_of_code and is_of_values


def _digests(parts: Mapping[str, Part]) -> dict[str, str]:
    return {name: part.digest for name, part in parts.items()}
