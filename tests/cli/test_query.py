from __future__ import annotations

import json

import pytest

from tests.support.place import Place

LIF = """
from psyflow import Param
pspace = Param(a=range(3)) * Param(mode=["slow", "fast"])
def execute(a, mode):
    return {"y": a / 2, "trace": [a, a + 1], "z": 1 + 2j}
"""
OTHER = """
from psyflow import Param
name = "other-task"
pspace = Param(a=range(3))
def execute(a):
    return {"select": 10 * a, "a b": f"text {a}", "🙂": None if a else 1.5}
"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Two studies that ran once, for tests that only read."""
    place = Place(tmp_path_factory.mktemp("studies"))
    place.task("lif", LIF)
    place.task("other", OTHER)
    assert place.psy("run").returncode == 0
    return place


def query(place, *words: str):
    """Call ``psy query``, and check that it changed nothing."""
    before = place.snapshot()
    asked = place.psy("query", *words)
    assert place.snapshot() == before
    return asked


def rows(place, sql: str):
    asked = query(place, sql, "--json")
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def test_tasks_are_tables(studies):
    asked = query(studies, "SELECT a, avg(y) AS y FROM lif GROUP BY a ORDER BY a")
    assert asked.stdout.splitlines() == ["a    y", "─  ───", "0  0.0", "1  0.5", "2  1.0"]
    assert asked.stderr.startswith("lif: 6 of 6 items done; run ")
    assert query(studies, "select max(y) as y from LIF", "-f", "csv").stdout == "y\r\n1.0\r\n"


def test_odd_names_are_quoted(studies):
    sql = 'SELECT "select", "a b", "🙂" FROM "other-task" ORDER BY a LIMIT 2'
    assert rows(studies, sql) == [
        {"select": 0, "a b": "text 0", "🙂": 1.5},
        {"select": 10, "a b": "text 1", "🙂": None},
    ]


def test_a_name_that_is_a_word_of_sql_is_to_be_quoted(place):
    place.task("select", LIF)
    assert place.psy("run").returncode == 0
    asked = query(place, "SELECT count(*) FROM select")
    assert asked.returncode == 2
    assert 'put it in double quotes: "select"' in asked.stderr
    assert rows(place, 'SELECT count(*) AS n FROM "select"') == [{"n": 6}]


def test_a_column_that_is_not_there_is_told_with_all_that_are(place):
    place.task("lif", "store = '.h5'\n" + LIF.replace(', "z": 1 + 2j', ""))
    assert place.psy("run").returncode == 0
    asked = query(place, "SELECT yy FROM lif")
    assert asked.returncode == 2
    assert 'no column "yy". Known: a, mode, trace, y.' in asked.stderr


def test_tables_are_joined(studies):
    sql = 'SELECT mode, sum("select") AS s FROM lif JOIN "other-task" USING (a) GROUP BY 1'
    found = query(studies, f"{sql} ORDER BY 1", "--json")
    assert json.loads(found.stdout) == [{"mode": "fast", "s": 30}, {"mode": "slow", "s": 30}]
    assert [line.split(":")[0] for line in found.stderr.splitlines()] == ["lif", "other-task"]


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT count(*) AS n FROM lif", [{"n": 6}]),
        ("WITH lf AS (SELECT y FROM lif) SELECT max(y) AS y FROM lf", [{"y": 1.0}]),
        ("SELECT trace[2] AS t FROM lif WHERE a = 2 LIMIT 1", [{"t": 3}]),
        ("SELECT 1 AS x, 2 AS x", [{"x": 1, "x_1": 2}]),
        ("SELECT t.y FROM lif AS t WHERE t.a = 2 AND t.mode = 'slow'", [{"y": 1.0}]),
        ("FROM (SELECT a, y FROM lif) WHERE a = 1 AND y < 0", []),
    ],
)
def test_only_the_columns_that_are_named_are_needed(studies, sql, answer):
    # DuckDB has no complex numbers, and nobody has asked for z.
    assert rows(studies, sql) == answer


def test_a_column_that_cannot_be_there_is_named(studies):
    asked = query(studies, "SELECT * FROM lif")
    assert (asked.returncode, asked.stdout) == (3, "")
    assert "`z` (complex number" in asked.stderr


def test_describe_and_summarize(studies):
    found = rows(studies, 'DESCRIBE "other-task"')
    assert [row["column_name"] for row in found] == ["a", "select", "a b", "🙂"]
    assert rows(studies, 'SUMMARIZE "other-task"')[0]["max"] == "2"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT y FROM lf", 'There is no task "lf". Did you mean "lif"?'),
        (
            "SELECT mod FROM lif",
            'There is no column "mod". Did you mean "mode"? Known: a, mode, trace, y, z.',
        ),
        ("SELECT l.mod FROM lif AS l", 'There is no column "mod". Did you mean "mode"?'),
        ("SELEC y FROM lif", 'syntax error at or near "SELEC" (character 1 of the query)'),
        ("", "A query is one statement, and these are 0."),
        ("SELECT 1; SELECT 2", "A query is one statement, and these are 2."),
        ("DROP TABLE lif", "A query only asks. Write SELECT"),
        ("COPY lif TO 'lif.csv'", "A query only asks. Write SELECT"),
        ("SHOW TABLES", "type: psy list"),
        ("SELECT * FROM read_csv('psy-tasks/task_lif.py')", "disabled by configuration"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled by configuration"),
        ("SELECT * FROM '/etc/hostname'", 'There is no task "/etc/hostname"'),
        ("SELECT 1 / 'x'", "Conversion Error"),
    ],
)
def test_what_is_wrong_with_a_query_is_one_line(studies, sql, said):
    asked = query(studies, sql)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert said in asked.stderr and asked.stderr.startswith("psy query: ")
    assert asked.stderr.count("\n") == 1


def test_variables_of_python_are_no_tables(studies):
    asked = query(studies, "SELECT * FROM tasks")
    assert (asked.returncode, asked.stdout) == (2, "")


def test_runs_without_their_task_files_are_tables_too(studies):
    file = studies.folder / "psy-tasks" / "task_lif.py"
    file.unlink()
    try:
        assert rows(studies, "SELECT count(*) AS n FROM lif") == [{"n": 6}]
    finally:
        file.write_text(LIF)


def test_a_task_without_results_is_told(place):
    place.task("later", LIF)
    asked = query(place, "SELECT a FROM later")
    assert asked.returncode == 2
    assert asked.stderr == 'psy query: Task "later" has no results yet. Type: psy run later\n'
