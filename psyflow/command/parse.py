"""What is taken from the outputs of a program: by patterns, from data files, by functions."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from psyflow.command.entries import EVERYTHING, TextEntry, rows_of_text
from psyflow.command.spec import Text, breaker_of, entries_of
from psyflow.exceptions import ParseError, UnknownNameError, UsageError

__all__ = ["Parse"]


class Parse:
    r"""What to take from the outputs of a program.

    Parameters
    ----------
    spec : mapping of str to an entry, or callable
        For each column, one of

        - ``r"accuracy: (@float@)"``: a regular expression for the lines of standard output, of
          which the first group is the value. ``@float@``, ``@int@``, ``@slug@`` and ``@str@`` are
          words for numbers and texts. A group with a name, as in ``(?P<unit>\w+)``, is a column of
          its own. Of several matches, the last counts.
        - ``("log.out", r"E = (@float@)")``, ``("log.out", r"E = (@float@)", "mean")``: the same
          for another file of the program's folder, and with another choice: ``first``, ``last``,
          ``all``, ``min``, ``max``, ``mean``, ``sum``, ``count``, ``std``.
        - ``("metrics.json", "test.accuracy")``, ``("history.csv", "loss", "all")``: a value of a
          data file (``.json``, ``.jsonl``, ``.csv``, ``.tsv``, ``.npz``) by its name. A dot leads
          into JSON objects; of the lines of a table, the last counts.
        - a function of the folder (a Path), which returns the value.
        - ``{"file": …, "pattern": …, "reduce": …, "required": True}``: the same in words; also
          ``"key"`` for data files, and ``"function"``.

        Under ``"*"``, all that a data file has, ``"*": "metrics.json"``, or a function that
        returns a dict; also a list of these.
        A callable in place of the mapping is as good as ``{"*": callable}``.
    required : bool or collection of str
        Of which columns it is a failure to find nothing; otherwise they are absent. True: of all.
    breaker : str or tuple of str, optional
        A pattern, or a file and a pattern. Each line of the file that matches it ends a row of
        what the patterns find in that file; so does the end of the file, if there was anything
        more.

    Attributes
    ----------
    names : list of str
        The columns that are known without looking at any output, in order.
    files : list of str
        The files that are read.

    Raises
    ------
    UsageError
        If `spec` cannot be, such as for a pattern without a group.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "stdout").write_text("loss 0.5\nloss 0.25\nE = -1.5 eV\n")
    >>> _ = (folder / "metrics.json").write_text('{"test": {"top5": 0.9}}')
    >>> parse = Parse({
    ...     "energy": r"E = (@float@) (?P<unit>\w+)",
    ...     "history": ("stdout", "loss (@float@)", "all"),
    ...     "*": "metrics.json",
    ...     "volts": r"U = (@float@)",
    ... })
    >>> parse.of_folder(folder)
    {'energy': -1.5, 'unit': 'eV', 'history': [0.5, 0.25], 'test.top5': 0.9}
    """

    def __init__(
        self,
        spec: Mapping[str, Any] | Callable[[Path], Mapping[str, Any]],
        *,
        required: bool | Collection[str] = (),
        breaker: Text | tuple[str, Text] | None = None,
    ) -> None:
        if callable(spec):
            spec = {EVERYTHING: spec}
        if not isinstance(spec, Mapping):
            raise UsageError(f"parse is a dict of columns and patterns, not {spec!r:.60}.")
        required = (required,) if isinstance(required, str) else required
        self._entries = [
            entry for name, one in spec.items() for entry in entries_of(name, one, required)
        ]
        self._break_file, self._breaker = breaker_of(breaker)
        self.names = self._distinct_names()
        self._required = set() if isinstance(required, bool) else set(required)
        for name in self._required - {*self.names, *spec}:
            raise UnknownNameError("column to parse", name, {*self.names, *spec})
        self.files = list(dict.fromkeys(one.file for one in self._entries if one.file))

    @classmethod
    def of(cls, spec: Parse | Mapping[str, Any] | Callable[[Path], Mapping[str, Any]]) -> Parse:
        """Return `spec` if it is a `Parse` already, else one that is made of it."""
        return spec if isinstance(spec, Parse) else cls(spec)

    @property
    def reads(self) -> Collection[str] | None:
        """All files that are looked at, if these are known: a function may look at any."""
        files = {posixpath.normpath(file) for file in (*self.files, self._break_file) if file}
        is_known = all(one.file and not {*one.file} & {*"*?["} for one in self._entries)
        return files if is_known else None

    def __repr__(self) -> str:
        return f"Parse({', '.join(entry.name for entry in self._entries)})"

    def of_folder(self, folder: Path) -> dict[str, Any]:
        """Return what there is in the folder of a program.

        With a `breaker`, what its file has is a list for each column, with NaN where a row has
        nothing.

        Parameters
        ----------
        folder : Path

        Returns
        -------
        dict
            Without the columns for which nothing was found.

        Raises
        ------
        ParseError
            If a required value is not there, a data file is damaged, or a sum is of texts.
        """
        rows = self.rows_of_folder(folder)
        if self._breaker is None:
            return rows[0]
        broken = [one for one in self._texts() if one.file == self._break_file]
        lists = {name for one in broken for name in one.names}
        return {
            name: [row.get(name, math.nan) for row in rows] if name in lists else value
            for name, value in _in_order(rows, self.names).items()
        }

    def rows_of_folder(self, folder: Path) -> list[dict[str, Any]]:
        """Return what there is in the folder of a program: one row, or, with a `breaker`, several.

        What comes from other files than that which is broken is in each row.

        Parameters
        ----------
        folder : Path

        Returns
        -------
        list of dict
            At least one.

        Raises
        ------
        ParseError
            As `of_folder` does.
        """
        folder = Path(folder)
        rows: list[dict[str, Any]] = [{}]
        common = self._values_of_others(folder)
        for file in dict.fromkeys(one.file for one in self._texts()):
            is_broken = self._breaker is not None and file == self._break_file
            texts = [one for one in self._texts() if one.file == file]
            found = rows_of_text(folder, file, texts, self._breaker if is_broken else None)
            if is_broken:
                rows = found
            else:
                common |= found[0]
        rows = [_in_order([{**common, **row}], self.names) for row in rows]
        self._check_required(rows, folder)
        return rows

    def _values_of_others(self, folder: Path) -> dict[str, Any]:
        """Return what no pattern finds, of which what has a name of its own counts more."""
        named: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for entry in self._entries:
            if isinstance(entry, TextEntry):
                continue
            values = entry.values(folder)
            if entry.name != EVERYTHING:
                named |= values
                continue
            values = {name: value for name, value in values.items() if name not in self.names}
            for name in values.keys() & others.keys():
                raise ParseError(f'"{name}" is also in {entry.file or "what a function returns"}.')
            others |= values
        return {**others, **named}

    def _texts(self) -> list[TextEntry]:
        return [one for one in self._entries if isinstance(one, TextEntry)]

    def _check_required(self, rows: list[dict[str, Any]], folder: Path) -> None:
        found = {name for row in rows for name in row}
        for entry in self._entries:
            wanted = self._required & set(entry.names)
            if entry.is_required:
                wanted.add(entry.name)
            if entry.name == EVERYTHING and EVERYTHING in wanted and entry.is_there(folder):
                wanted.remove(EVERYTHING)
            if isinstance(entry, TextEntry) and entry.how == "count":
                found -= {name for name in wanted if not any(row.get(name) for row in rows)}
            for name in sorted(wanted - found):
                raise ParseError(f'"{name}" is required, and there is not {entry.wants}.')

    def _distinct_names(self) -> list[str]:
        names = [name for entry in self._entries for name in entry.names]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f'parse: two entries have the column "{twice}". Rename one of them.')
        return names


def _in_order(rows: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Return the first values of the names, in their order, and then what else there is."""
    found: dict[str, Any] = {}
    for row in reversed(rows):
        found |= row
    first = {name: found[name] for name in names if name in found}
    return {**first, **found}
