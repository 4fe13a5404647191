from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.cli.arguments import FORMATS
from psyflow.results import Results
from psyflow.results.choice import Chosen
from psyflow.results.text.written import TEXT_FORMATS, written


def text(columns, form: str) -> str:
    return "".join(written(Chosen(Results(columns)), form))


def test_the_command_line_knows_all_formats():
    assert ("table", *TEXT_FORMATS) == FORMATS


@given(st.lists(st.floats(), min_size=1))
def test_floats_come_back_from_every_exact_format(values):
    columns = {"y": np.array(values), "i": list(range(len(values)))}
    for form, reader in (("csv", csv.DictReader), ("tsv", None)):
        if reader is None:
            rows = [line.split("\t") for line in text(columns, form).splitlines()[1:]]
            found = [row[0] for row in rows]
        else:
            found = [row["y"] for row in reader(io.StringIO(text(columns, form), newline=""))]
        read = [float(value) if value else math.nan for value in found]
        np.testing.assert_array_equal(read, values)
    read = [row["y"] for row in json.loads(text(columns, "json"))]
    words = {None: math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    np.testing.assert_array_equal([words.get(v, v) for v in read], values)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_text_comes_back_from_csv_and_json(values):
    columns = {"a,b": values, "i": list(range(len(values)))}
    rows = list(csv.DictReader(io.StringIO(text(columns, "csv"), newline=""), strict=True))
    assert [row["a,b"] for row in rows] == values
    lines = text(columns, "jsonl").split("\n")[:-1]
    assert [json.loads(line)["a,b"] for line in lines] == values


def test_float32_is_read_back_as_such():
    values = np.random.default_rng(0).random(100).astype(np.float32)
    lines = text({"y": values}, "csv").splitlines()[1:]
    assert (np.array(lines, dtype=np.float32) == values).all()


def test_absent_is_nothing_and_empty_text_is_quoted():
    assert text({"a": ["", None, "x"], "b": [1, 2, 3]}, "csv") == 'a,b\r\n"",1\r\n,2\r\nx,3\r\n'
    # A line without anything would be no row.
    assert text({"a": [None, 1.5]}, "csv") == 'a\r\n""\r\n1.5\r\n'


def test_tables_without_rows_or_columns():
    assert text({"a": [], "b": []}, "csv") == "a,b\r\n"
    assert text({"a": []}, "json") == "[]\n" == text({}, "json")
    assert text({}, "md") and text({}, "tex")


@pytest.mark.parametrize("form", TEXT_FORMATS)
def test_signs_with_a_meaning_are_escaped(form):
    written_text = text({"a|b_&%": ["x|y_&%\n"], "n": [1]}, form)
    if form == "md":
        assert written_text.splitlines()[0] == r"| a\|b\_&% | n |"
        assert written_text.count("\n") == 3
    if form == "tex":
        assert r"a|b\_\&\% & n \\" in written_text
        assert r"x|y\_\&\%\textbackslash{}n & $1$ \\" in written_text
