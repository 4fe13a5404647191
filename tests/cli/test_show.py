from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
import shutil
import subprocess

import numpy as np
import pytest

from psyflow.store import H5Store, NpzStore, _h5read

_read_column = _h5read.Table._read_column

LIF = """
from psyflow import Param
pspace = Param(a=range(3)) * Param(mode=["slow", "fast"]) * Param(c=[7])
def execute(a, mode, c):
    return {"y": a / 3 + (mode == "fast"), "word": mode[0]}
"""
TRIALS = """
from psyflow import Param
pspace = Param(a=[1, 2]) * Param(repeat=range(4))
def execute(a, repeat):
    return {"y": a + repeat / 10, "word": "w"}
"""
NAMES = ["select", "a b", "p.q", 'qu"ote', "🙂", "tab\there", "-dash", "a,b"]
ODD = f"""
from psyflow import Param
pspace = Param(x=range(3))
def execute(x):
    row = {{name: x for name in {NAMES!r}}}
    texts = ["two\\nlines", "\\x1b[31mred\\u202e", "日本語" * 30]
    values = [[1] * x, 1 + 2j, None if x == 1 else b"ab"]
    return row | {{"text": texts[x], "ragged": [1] * x, "mixed": values[x]}}
"""


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def lif(place):
    place.task("lif", LIF)
    assert place.psy("run").returncode == 0
    return place


def show(place, *words: str):
    """Call ``psy show``, and check that it changed nothing."""
    before = place.snapshot()
    shown = place.psy("show", *words)
    assert place.snapshot() == before
    return shown


def table(place, *words: str) -> list[list[str]]:
    shown = show(place, *words, "-f", "csv")
    assert shown.returncode == 0, shown.stderr
    return list(csv.reader(io.StringIO(shown.stdout)))


# -- the last line of psy run ---------------------------------------------------------------------


def test_the_last_line_of_a_run_says_where_the_rows_are(lif):
    line = "6 rows in psy-work/lif/result.pkl; look at them: psy show lif\n"
    assert lif.told.endswith(line)
    for _ in range(2):
        lif.psy("run")
        assert lif.told == line  # also when nothing had to run


def test_of_a_partial_result_it_says_how_many_of_how_many_rows_there_are(place):
    place.task("t", LIF.replace("    return", "    assert a\n    return"))
    assert place.psy("run").returncode == 1
    assert place.told.endswith("4 of 6 rows in psy-work/t/result.pkl; look at them: psy show t\n")
    assert place.told.count("look at them") == 1


def test_of_no_row_it_says_nothing(place):
    place.task("t", LIF.replace("    return", "    assert c == 8\n    return"))
    assert place.psy("run").returncode == 1
    assert "look at them" not in place.told


def test_with_several_tasks_there_is_a_line_for_each_at_the_end(lif):
    lif.task("other", LIF)
    lif.psy("run")
    assert [line.split()[-1] for line in lif.told.splitlines()[-2:]] == ["lif", "other"]


# -- the table ------------------------------------------------------------------------------------


def test_the_table_says_once_what_does_not_vary(lif):
    shown = show(lif, "lif")
    assert shown.returncode == 0
    assert shown.stdout.splitlines() == [
        "The same in all rows: c = 7",
        "",
        "a  mode       y  word",
        "─  ────  ──────  ────",
        "0  slow  0.0000  s",
        "0  fast  1.0000  f",
        "1  slow  0.3333  s",
        "1  fast  1.3333  f",
        "2  slow  0.6667  s",
        "2  fast  1.6667  f",
    ]
    assert shown.stderr.startswith("lif: 6 of 6 items done; run ")


def test_rows_and_columns_are_chosen(lif):
    rows = table(lif, "lif", "--where", "a>0", "--where", "mode=slow", "--columns", "y,a")
    assert rows == [["y", "a"], [repr(1 / 3), "1"], [repr(2 / 3), "2"]]


@pytest.mark.parametrize("words", [("--sort", "-y"), ("--sort=-y",), ("--sort", "-mode,-a")])
def test_rows_are_sorted_also_downwards(lif, words):
    rows = table(lif, "lif", *words, "--top", "2", "--columns", "a")
    assert rows == [["a"], ["2"], ["1"]]


def test_groups_are_means_with_their_spread(lif):
    shown = show(lif, "lif", "--by", "mode", "--columns", "mode,y")
    assert shown.stdout.splitlines()[-2:] == ["slow  0.33 ± 0.83", "fast  1.33 ± 0.83"]
    assert "over a, c." in shown.stderr and "left out" not in shown.stderr
    assert "left out: word." in show(lif, "lif", "--by", "mode").stderr
    rows = table(lif, "lif", "--by", "mode", "--sort", "-y", "--columns", "mode,y")
    assert rows[0] == ["mode", "y_mean", "y_ci95", "y_n"]
    assert [row[0] for row in rows[1:]] == ["fast", "slow"]
    assert float(rows[1][1]) == pytest.approx(4 / 3)


def test_repetitions_are_means_unless_all_rows_are_wanted(place):
    place.task("t", TRIALS)
    place.psy("run")
    shown = show(place, "t")
    assert shown.stdout.splitlines() == [
        "The same in all rows: n = 4",
        "",
        "a            y",
        "─  ───────────",
        "1  1.15 ± 0.21",
        "2  2.15 ± 0.21",
    ]
    assert "over repeat. For every row: --all." in shown.stderr
    assert len(table(place, "t", "--all")) == 9
    assert table(place, "t", "--by", "repeat")[0][0] == "repeat"


def test_of_a_long_table_the_ends_are_shown(place):
    place.task("t", LIF.replace("range(3)", "range(100)"))
    place.psy("run")
    lines = show(place, "t").stdout.splitlines()
    assert len(lines) == 25 and lines[14] == "… 180 more rows: --all …"
    assert len(show(place, "t", "--all").stdout.splitlines()) == 204
    assert len(show(place, "t", "--top", "60").stdout.splitlines()) == 64


def test_what_does_not_fit_is_named(lif, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lif.task("wide", LIF.replace('{"y"', '{**{f"out{i}": i + a for i in range(30)}, "y"'))
    lif.psy("run", "wide")
    lines = show(lif, "wide").stdout.splitlines()
    assert max(map(len, lines)) <= 40
    text = " ".join(lines)
    assert "27 more columns, which do not fit: out" in text and "--columns" in text


def test_ten_thousand_columns(place):
    place.task("t", LIF.replace('{"y"', '{**{f"o{i}": a for i in range(10_000)}, "y"'))
    place.psy("run")
    shown = show(place, "t")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) < 20
    assert max(map(len, shown.stdout.splitlines())) <= 200


def test_hostile_names_and_values_stay_in_their_line(place):
    place.task("odd", ODD)
    place.psy("run")
    shown = show(place, "odd", "--all")
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == 5
    assert "\x1b" not in shown.stdout and "\u202e" not in shown.stdout
    assert r"two\nlines" in shown.stdout and "日本語日本語" in shown.stdout
    for name in NAMES:
        quoted = f'"{name}"' if "," in name else name
        shown = show(place, "odd", f"--columns={quoted}", "--sort", "-x", "-f", "json")
        assert json.loads(shown.stdout) == [{name: 2}, {name: 1}, {name: 0}], shown.stderr


def test_the_pager_is_asked_on_a_terminal_only(lif, tmp_path):
    lif.task("long", LIF.replace("range(3)", "range(50)"))
    lif.psy("run", "long")
    command = lif.command("show", "long", "--all")
    pager = f"cat > {tmp_path / 'paged'}"
    assert lif.program(*command[4:], env={"PAGER": pager}).stdout
    assert not (tmp_path / "paged").exists()
    own, other = pty.openpty()
    env = {**os.environ, "PAGER": pager, "LINES": "24", "COLUMNS": "80"}
    subprocess.run(command, cwd=lif.folder, stdout=other, stderr=other, env=env, check=True)
    os.close(other), os.close(own)
    assert len((tmp_path / "paged").read_text().splitlines()) == 104


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["show", "t", "--columns", "y", "--all"], {"y"}),
        (["show", "t", "--columns", "y", "--where", "a=1", "--sort", "-b"], {"y", "a", "b"}),
        (["show", "t", "--columns", "y", "--by", "b"], {"y", "a", "b"}),
        (["show", "t", "--effects", "y"], {"y", "a", "b"}),
        (["export", "t", "out.csv", "--columns", "a"], {"a"}),
        (["query", "SELECT avg(y) FROM t WHERE b > 0"], {"y", "b"}),
        (["show", "t"], set()),
    ],
)
def test_only_what_is_needed_is_read(place, monkeypatch, words, read):
    place.task(
        "t",
        "from psyflow import Param\nstore = '.h5'\n"
        "pspace = Param(a=range(10)) * Param(b=range(10))\n"
        "def execute(a, b):\n    return {'y': a * b, 'other': a - b, 'more': [a] * 100}\n",
    )
    assert place.psy("run").returncode == 0
    whole = []

    def read_column(table, column, start, stop):
        if stop - start > 50:
            whole.append(column.name)
        return _read_column(table, column, start, stop)

    monkeypatch.setattr(_h5read.Table, "_read_column", read_column)
    shown = place.psy(*words)
    assert shown.returncode == 0, shown.stderr
    assert set(whole) == read


def test_means_of_no_numbers_are_told_not_refused(lif):
    shown = show(lif, "lif", "--by", "a", "--columns", "a,word,y", "-f", "csv")
    assert shown.stdout.splitlines()[0] == "a,y_mean,y_ci95,y_n"
    assert "left out: word." in shown.stderr


# -- other forms ----------------------------------------------------------------------------------


def test_every_format(lif):
    words = ("lif", "--where", "a=1", "--columns", "a,mode,y")
    assert table(lif, *words)[1] == ["1", "slow", repr(1 / 3)]
    assert show(lif, *words, "-f", "tsv").stdout == (
        f"a\tmode\ty\n1\tslow\t{1 / 3!r}\n1\tfast\t{4 / 3!r}\n"
    )
    rows = [{"a": 1, "mode": "slow", "y": 1 / 3}, {"a": 1, "mode": "fast", "y": 4 / 3}]
    assert json.loads(show(lif, *words, "--json").stdout) == rows
    lines = show(lif, *words, "-f", "jsonl").stdout.splitlines()
    assert list(map(json.loads, lines)) == rows
    assert show(lif, *words, "-f", "md").stdout.splitlines()[1:3] == [
        "| ---: | --- | ---: |",
        "| 1 | slow | 0.3333 |",
    ]
    assert r"$1$ & slow & $0.3333$ \\" in show(lif, *words, "-f", "tex").stdout


def test_json_has_words_for_what_json_lacks(place):
    values = [math.nan, math.inf, -math.inf, 1 + 2j, b"ab", None, {"a": (1, 2)}]
    path = place.folder / "t.pkl"
    from psyflow.store import PickleStore

    PickleStore().save(path, {"v": values, "array": np.arange(14).reshape(7, 2)})
    shown = show(place, "t.pkl", "--json")
    assert [row["v"] for row in json.loads(shown.stdout)] == [
        None, "Infinity", "-Infinity", "1+2j", "YWI=", None, {"a": [1, 2]},
    ]  # fmt: skip
    assert json.loads(shown.stdout)[6]["array"] == [12, 13]
    assert "7 rows" in shown.stderr


# -- effects --------------------------------------------------------------------------------------


def test_effects_tell_what_an_output_depends_on(lif):
    shown = show(lif, "lif", "--effects", "y", "--json")
    shares = {row["effect"]: row["share"] for row in json.loads(shown.stdout)}
    assert shares["a"] + shares["mode"] == pytest.approx(1)
    assert shares["mode"] == pytest.approx(0.25 / (0.25 + 2 / 27))
    assert show(lif, "lif", "--effects", "word").returncode == 2
    assert "no column" in show(lif, "lif", "--effects", "mod").stderr


# -- which result ---------------------------------------------------------------------------------


def test_a_folder_or_a_file_is_a_result_too(lif, tmp_path):
    shutil.copytree(lif.work / "lif", tmp_path / "sent")
    for name in ("psy-work/lif", "psy-work/lif/result.pkl", str(tmp_path / "sent")):
        shown = show(lif, name, "-f", "csv")
        assert shown.stdout == show(lif, "lif", "-f", "csv").stdout
        assert shown.stderr.startswith("lif: 6 of 6 items done; run ")


@pytest.mark.parametrize("store", [H5Store(), NpzStore()])
def test_a_long_file_is_shown_by_its_ends(place, store):
    store.save(place.folder / f"t{store.ext}", {"i": np.arange(1000), "text": ["x"] * 1000})
    shown = show(place, f"t{store.ext}")
    lines = shown.stdout.splitlines()
    assert [lines[4], lines[-1]] == ["  0", "999"] and lines[14] == "… 980 more rows: --all …"
    assert "text = x" in lines[0]
    assert shown.stderr == f"t{store.ext}: 1000 rows; nobody knows of which run.\n"


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["liff"], 'There is no task "liff". Did you mean "lif"?'),
        (["lif", "--sort", "wird"], 'There is no column "wird". Did you mean "word"?'),
        (["lif", "--columns", "wird"], 'There is no column "wird". Did you mean "word"?'),
        (["lif", "--where", "wird=1"], 'There is no column "wird". Did you mean "word"?'),
        (["lif", "--where", "word"], "'word' is no condition"),
        (["lif", "--by", "moda"], 'There is no parameter "moda". Did you mean "mode"?'),
        (["lif", "--top", "0"], "1 or more"),
        (["lif", "--top", "x"], "1 or more"),
        (["lif", "--by", ","], "names of columns"),
        (["lif", "-f", "xml"], "invalid choice: 'xml'"),
        (["nowhere/result.npz"], "nowhere/result.npz"),
        (["lif", "--top"], "expected one argument"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(lif, words, said):
    shown = show(lif, *words)
    assert shown.returncode in (2, 3) and said in shown.stderr and not shown.stdout
    assert "Traceback" not in shown.stderr


def test_no_rows_yet(place):
    place.task("t", LIF)
    shown = show(place, "t")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == 'psy show: Task "t" has no results yet. Type: psy run t\n'


def test_only_failures(place):
    place.task("t", LIF.replace("    return", "    assert c == 8\n    return"))
    place.psy("run")
    shown = show(place, "t")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "t: no rows; 6 of 6 items failed. See them: psy failures t\n"


def test_no_row_fulfils_a_condition(lif):
    shown = show(lif, "lif", "--where", "a=77", "-f", "csv")
    assert (shown.returncode, shown.stdout) == (0, "a,c,mode,y,word\r\n")
    assert "No row of 6 fulfils a=77." in shown.stderr


def test_values_without_a_form_as_text_are_named_before_anything_is_printed(place):
    place.task(
        "t",
        "from psyflow import Param\nclass Thing:\n    pass\n"
        "pspace = Param(x=range(2))\ndef execute(x):\n    return {'thing': Thing()}\n",
    )
    place.psy("run")
    shown = show(place, "t", "-f", "csv")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert 'Column "thing" cannot be in csv' in shown.stderr
    assert show(place, "t").returncode == 0
