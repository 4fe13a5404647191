"""Questions in SQL to tables of results, which DuckDB answers: only what it names is read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from psyflow.columns import Column, Numbers, pack_numbers
from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.results.extras import needed
from psyflow.results.table import Results

__all__ = ["Wish", "ask"]

_ALL_COLUMNS = ("STAR", "POSITIONAL_REFERENCE")
_NO_COLUMN = re.compile(
    r'Referenced column "(.+?)" (?:was )?not found|does not have a column named "(.+?)"'
)
_SETTINGS = {"enable_external_access": "false", "python_enable_replacements": "false"}


@dataclass(frozen=True)
class Wish:
    """What a question needs of the tables.

    Parameters
    ----------
    tables : list of str
        Their names, as in the question.
    words : frozenset of str or None
        In lower case, whatever may be the name of a column; None if all columns are needed.
    known : set of str
        The names of all columns of the tables that were asked about so far.
    """

    tables: list[str]
    words: frozenset[str] | None
    known: set[str] = field(default_factory=set)

    def columns(self, known: Iterable[str]) -> list[str]:
        """Return those of the columns of a table that are needed, at least one if there are any.

        Examples
        --------
        >>> Wish(["lif"], frozenset(["lif", "y"])).columns(["a", "Y"])
        ['Y']
        """
        names = list(known)
        self.known.update(names)
        if self.words is None:
            return names
        return [name for name in names if name.lower() in self.words] or names[:1]


def ask(sql: str, tasks: Sequence[str], load: Callable[[str, Wish], Results]) -> Results:
    """Return the answer to a question.

    Parameters
    ----------
    sql : str
        One statement that only asks: SELECT, FROM, DESCRIBE, SUMMARIZE, … Files and the network
        are out of its reach.
    tasks : sequence of str
        The names of the tables that there are. Upper and lower case are the same.
    load : callable
        Returns the table of a task, given its name and what is needed of it.

    Raises
    ------
    UsageError
        If it is no such statement, or DuckDB says what is wrong with it; if DuckDB is not there.
    UnknownNameError
        If there is no task of some name.

    Examples
    --------
    >>> lif = Results({"a": [1, 1, 2], "y": np.array([2.0, 4.0, 5.0])}, parameters=["a"])
    >>> ask("SELECT a, avg(y) AS y FROM lif GROUP BY a ORDER BY a", ["lif"], lambda *_: lif)
    Results: 2 rows
    a  y
    1  3.0
    2  5.0
    """
    duckdb = needed("duckdb")
    known: set[str] = set()
    with duckdb.connect(config=_SETTINGS) as connection:
        try:
            wish = _wish(connection, sql)
            known = wish.known
            for table in wish.tables:
                results = load(_task_named(table, tasks), wish)
                connection.register(table, _for_duckdb(results, wish))
            answer = connection.execute(sql)
            names = [name for name, *_ in answer.description]
            return _table(names, answer.fetchall())
        except duckdb.Error as error:
            raise _about(str(error), known) from error


def _wish(connection: Any, sql: str) -> Wish:
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0]
    parsed = json.loads(row[0])
    if parsed["error"]:
        if parsed.get("error_type") == "parser":
            place = int(parsed.get("position", 0)) + 1
            hint = _hint_for(connection, parsed["error_message"])
            raise UsageError(f"{parsed['error_message']} (character {place} of the query){hint}")
        raise UsageError("A query only asks. Write SELECT … FROM a task …")
    statements = parsed["statements"]
    if len(statements) != 1:
        raise UsageError(f"A query is one statement, and these are {len(statements)}.")
    nodes = list(_nodes(statements[0]))
    if any(node.get("show_type") == "SHOW_SPECIAL" for node in nodes):
        raise UsageError("The tables are the tasks. To see their names, type: psy list")
    tables = _tables(nodes)
    takes_all = _takes_all(nodes) or any(_is_star_of(node, tables) for node in nodes)
    return Wish(tables, None if takes_all else frozenset(_words(statements)))


def _hint_for(connection: Any, message: str) -> str:
    """Return what helps if a name of a task or a column is a word of SQL, too."""
    found = re.search(r'at or near "(\w+)"', message)
    sql = "SELECT count(*) FROM duckdb_keywords() WHERE keyword_name = ?"
    if found is None or not connection.execute(sql, [found[1].lower()]).fetchall()[0][0]:
        return ""
    return f'. If {found[1]} is a task or a column, put it in double quotes: "{found[1]}"'


def _nodes(value: Any, *, is_flat: bool = False) -> Iterator[Mapping[str, Any]]:
    """Yield all objects of a document, however deep; if `is_flat`, without those of subqueries."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value:
        is_query = isinstance(part, dict) and "select_list" in part
        if isinstance(part, dict | list) and not (is_flat and is_query):
            yield from _nodes(part, is_flat=is_flat)


def _words(value: Any) -> Iterator[str]:
    """Yield all texts of a document in lower case."""
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, str):
            yield part.lower()
        elif isinstance(part, dict | list):
            yield from _words(part)


def _tables(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    # What is defined within the query is no task.
    own = {
        entry["key"].lower()
        for node in nodes
        for entry in (node.get("cte_map") or {}).get("map", [])
    }
    found = {
        node["table_name"]: node["table_name"].lower()
        for node in nodes
        if node.get("type") == "BASE_TABLE" and not node.get("schema_name")
    }
    return [name for name, plain in found.items() if plain not in own]


def _takes_all(nodes: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a query may need columns that it does not name."""
    tables = [node for node in nodes if node.get("type") == "BASE_TABLE"]
    rows = {(node.get("alias") or node["table_name"]).lower() for node in tables}
    return (
        any(node.get("ref_type") in ("NATURAL", "POSITIONAL") for node in nodes)
        or any(node.get("type") == "PIVOT" for node in nodes)
        or any(node["column_name_alias"] for node in tables)
        # A row as a whole goes by the name of its table.
        or any(
            node["column_names"][-1].lower() in rows
            for node in nodes
            if node.get("class") == "COLUMN_REF"
        )
    )


def _is_star_of(query: Mapping[str, Any], tables: Sequence[str]) -> bool:
    """Tell whether a part of a query is one that takes all columns of a table, not named."""
    if "select_list" not in query:
        return False
    nodes = list(_nodes(query, is_flat=True))
    has_table = any(node.get("table_name") in tables for node in nodes)
    return has_table and any(node.get("class") in _ALL_COLUMNS for node in nodes)


def _task_named(name: str, tasks: Sequence[str]) -> str:
    found = [task for task in tasks if task == name]
    found += [task for task in tasks if task.lower() == name.lower()]
    if not found:
        raise UnknownNameError("task", name, tasks)
    return found[0]


def _for_duckdb(results: Results, wish: Wish) -> Any:
    """Return the needed columns in a form that DuckDB takes: that of NumPy is the quickest."""
    needed_ones = {name: results[name] for name in wish.columns(results)}
    arrays = {name: _array(column) for name, column in needed_ones.items()}
    if needed_ones and all(array is not None for array in arrays.values()):
        return arrays
    return Results(needed_ones).to_arrow()


def _array(column: Column) -> Any:
    packed = pack_numbers(column)
    array = packed.array if isinstance(packed, Numbers) else packed
    is_plain = isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "biufU"
    return array if is_plain else None


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Results:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    table: dict[str, Column] = {}
    for name, values in zip(names, columns, strict=True):
        free, number = name, 1
        while free in table:
            free, number = f"{name}_{number}", number + 1
        table[free] = list(values)
    return Results(table)


def _about(message: str, columns: Iterable[str]) -> UsageError:
    """Return an error that says what DuckDB says, but for names, of which it knows too few."""
    found = _NO_COLUMN.search(message)
    if found is None:
        return UsageError(_one_line(message))
    return UnknownNameError("column", found[1] or found[2], columns)


def _one_line(text: str) -> str:
    r"""Return what DuckDB says without the picture of where it is.

    Examples
    --------
    >>> _one_line("Binder Error: There is no z.\nIt may be y.\n\nLINE 1: SELECT z\n   ^")
    'Binder Error: There is no z. It may be y.'
    """
    return " ".join(text.partition("\nLINE ")[0].split())
