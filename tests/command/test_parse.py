"""What is taken from the outputs of a program."""

from __future__ import annotations

import math
import re
import statistics
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.command.parse import Parse
from psyflow.exceptions import ParseError, UnknownNameError, UsageError


def parsed(folder: Path, spec: Any, stdout: str = "", **options: Any) -> dict[str, Any]:
    if stdout:
        (folder / "stdout").write_bytes(stdout.encode())
    return Parse(spec, **options).of_folder(folder)


def test_the_first_group_is_the_value_and_words_stand_for_numbers(tmp_path: Path) -> None:
    text = "accuracy: 0.937\nepochs: 12\nrun: first-try_2\nnote: it went well \n"
    spec = {
        "acc": r"accuracy: (@float@)",
        "n": r"epochs: (@int@)",
        "run": r"run: (@slug@)",
        "note": r"note: (@str@)",
    }
    found = parsed(tmp_path, spec, text)
    assert found == {"acc": 0.937, "n": 12, "run": "first-try_2", "note": "it went well "}
    quoted = parsed(tmp_path, {"name": r"name: (@str@),"}, 'name: "a b", "c"')
    assert quoted == {"name": "a b"}
    assert [type(value) for value in found.values()] == [float, int, str, str]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1.5e-3", -0.0015),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("1.0D+02", 100.0),
        ("-Infinity", -math.inf),
        ("inf", math.inf),
    ],
)
def test_floats_as_programs_write_them(tmp_path: Path, text: str, value: float) -> None:
    found = parsed(tmp_path, {"x": "x = (@float@)"}, f"x = {text} units")
    assert found == {"x": value}
    assert type(found["x"]) is float


def test_nan_is_a_float_and_a_word_that_begins_like_it_is_none(tmp_path: Path) -> None:
    assert math.isnan(parsed(tmp_path, {"x": "x = (@float@)"}, "x = NaN\n")["x"])
    assert parsed(tmp_path, {"x": "x = (@float@)"}, "x = information\nx = nanny") == {}


def test_a_group_of_any_other_kind_gets_the_type_that_its_text_looks_like(tmp_path: Path) -> None:
    text = "a=1 b=1.0 c=007 d=true e=12ab"
    spec = {name: rf"{name}=(\S+)" for name in "abcde"}
    found = parsed(tmp_path, spec, text)
    assert found == {"a": 1, "b": 1.0, "c": "007", "d": True, "e": "12ab"}
    assert type(found["a"]) is int and type(found["b"]) is float


def test_named_groups_are_columns_of_their_own(tmp_path: Path) -> None:
    text = "E = -1.5 eV in 3 steps"
    spec = {"energy": r"E = (@float@) (?P<unit>\w+) in (?P<steps>@int@)"}
    assert parsed(tmp_path, spec, text) == {"energy": -1.5, "unit": "eV", "steps": 3}
    # The first one has the name of the column, if there is none without a name.
    assert parsed(tmp_path, {"energy": r"E = (?P<value>@float@)"}, text) == {"energy": -1.5}
    assert parsed(tmp_path, {"*": r"E = (?P<value>@float@) (?P<unit>\w+)"}, text) == {
        "value": -1.5,
        "unit": "eV",
    }


def test_the_last_match_counts_unless_another_choice_is_made(tmp_path: Path) -> None:
    text = "loss 3\nloss 1\nloss 2 and loss 4\n"
    choices = ["first", "last", "all", "min", "max", "mean", "sum", "count", "std"]
    spec: dict[str, Any] = {how: ("stdout", "loss (@int@)", how) for how in choices}
    spec["default"] = "loss (@int@)"
    assert parsed(tmp_path, spec, text) == {
        "first": 3,
        "last": 4,
        "all": [3, 1, 2, 4],
        "min": 1,
        "max": 4,
        "mean": 2.5,
        "sum": 10,
        "count": 4,
        "std": statistics.stdev([3, 1, 2, 4]),
        "default": 4,
    }


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_reducers_are_what_their_names_say(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    text = "".join(f"x={value!r}\n" for value in values)
    hows = ["all", "min", "max", "mean", "sum", "count", "std"]
    found = parsed(folder, {how: ("stdout", "x=(@float@)", how) for how in hows}, text)
    assert found["all"] == values
    assert (found["min"], found["max"]) == (min(values), max(values))
    assert found["count"] == len(values)
    assert found["mean"] == pytest.approx(statistics.fmean(values), abs=1e-5)
    assert found["sum"] == pytest.approx(math.fsum(values), abs=1e-5)
    if len(values) > 1:
        assert found["std"] == pytest.approx(float(np.std(values, ddof=1)), abs=1e-4)
    else:
        assert math.isnan(found["std"])


def test_the_least_of_values_with_a_nan_is_nan(tmp_path: Path) -> None:
    for text in ("x=nan\nx=1\n", "x=1\nx=nan\nx=0\n"):
        found = parsed(tmp_path, {"x": ("stdout", "x=(@float@)", "min")}, text)
        assert math.isnan(found["x"])


def test_no_match_is_absent_but_a_count_is_zero(tmp_path: Path) -> None:
    spec = {
        "acc": "accuracy: (@float@)",
        "all": ("stdout", "accuracy: (@float@)", "all"),
        "warnings": ("stdout", "WARNING", "count"),
        "no_such_file": ("log.out", "WARNING", "count"),
    }
    assert parsed(tmp_path, spec, "nothing") == {"warnings": 0}


def test_what_is_required_and_missing_is_a_failure_that_says_what(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_text("nothing\n")
    with pytest.raises(ParseError, match=r'"acc" is required.*a line of stdout that matches "acc'):
        parsed(tmp_path, {"acc": r"acc (@float@)"}, required=True)
    with pytest.raises(ParseError, match="acc"):
        parsed(tmp_path, {"acc": r"acc (@float@)", "n": r"n (@int@)"}, required=["acc"])
    with pytest.raises(ParseError, match="acc"):
        parsed(tmp_path, {"acc": {"pattern": r"acc (@float@)", "required": True}})
    with pytest.raises(ParseError, match=r"a file metrics\.json"):
        parsed(tmp_path, {"*": "metrics.json"}, required=True)
    with pytest.raises(ParseError, match="WARN"):
        parsed(tmp_path, {"n": ("stdout", "WARN", "count")}, required=True)
    with pytest.raises(UnknownNameError, match='mean "acc"'):
        Parse({"acc": r"acc (@float@)"}, required=["ac"])
    assert parsed(tmp_path, {"n": r"no(t)hing"}, required=True) == {"n": "t"}


def test_any_file_of_the_folder_can_be_read_also_several(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.log").write_text("E = 1\n")
    (tmp_path / "out" / "b.log").write_text("E = 2\n")
    spec = {
        "one": ("out/a.log", r"E = (@int@)"),
        "both": ("out/*.log", r"E = (@int@)", "all"),
    }
    assert parsed(tmp_path, spec) == {"one": 1, "both": [1, 2]}


def test_a_breaker_ends_a_row(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"n": 7}')
    text = "loss 0.5\nacc 0.1\nepoch 1 is over\nepoch 2 is over\nloss 0.25\nepoch 3 is over\n"
    spec = {"epoch": r"epoch (@int@)", "loss": r"loss (@float@)", "*": "metrics.json"}
    (tmp_path / "stdout").write_text(text)
    parse = Parse(spec, breaker=r"^epoch \d")
    rows = [
        {"epoch": 1, "loss": 0.5, "n": 7},
        {"epoch": 2, "n": 7},
        {"epoch": 3, "loss": 0.25, "n": 7},
    ]
    assert parse.rows_of_folder(tmp_path) == rows
    found = parse.of_folder(tmp_path)
    assert found["epoch"] == [1, 2, 3] and found["n"] == 7
    assert found["loss"][0] == 0.5 and math.isnan(found["loss"][1])
    (tmp_path / "stdout").write_text(f"{text}nothing\n")
    assert parse.rows_of_folder(tmp_path) == rows
    (tmp_path / "stdout").write_text(f"{text}loss 9\n")
    assert parse.rows_of_folder(tmp_path) == [*rows, {"loss": 9, "n": 7}]


def test_a_breaker_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x 1\nstep\nx 2\nstep\n")
    (tmp_path / "stdout").write_text("y 3\nstep\ny 4\n")
    parse = Parse({"x": ("log", "x (@int@)"), "y": "y (@int@)"}, breaker=("log", "step"))
    assert parse.rows_of_folder(tmp_path) == [{"x": 1, "y": 4}, {"x": 2, "y": 4}]


def test_a_run_without_any_part_is_one_row(tmp_path: Path) -> None:
    assert Parse({"x": "x (@int@)"}, breaker="step").rows_of_folder(tmp_path) == [{}]


def test_rows_do_not_depend_on_where_the_file_is_read_in_pieces(tmp_path: Path) -> None:
    n = 50_000
    text = "".join(f"value {i * 2}\nstep {i}\n" for i in range(n))
    assert len(text) > 1 << 20
    (tmp_path / "stdout").write_text(text)
    parse = Parse({"step": "step (@int@)", "value": "value (@int@)"}, breaker="^step")
    found = parse.of_folder(tmp_path)
    assert found == {"step": list(range(n)), "value": list(range(0, 2 * n, 2))}


def test_values_of_json_with_dots_into_objects(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(
        '{"acc": 0.5, "test": {"loss": 1, "top": {"five": 0.9}}, "history": [1, 2], "none": null}'
    )
    assert parsed(tmp_path, {"*": "metrics.json"}) == {
        "acc": 0.5,
        "test.loss": 1,
        "test.top.five": 0.9,
        "history": [1, 2],
    }
    spec = {
        "loss": ("metrics.json", "test.loss"),
        "top": ("metrics.json", "test.top"),
        "mean": ("metrics.json", "history", "mean"),
        "gone": ("metrics.json", "gone"),
    }
    assert parsed(tmp_path, spec) == {"loss": 1, "top.five": 0.9, "mean": 1.5}


def test_a_name_of_its_own_counts_more_than_one_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"acc": 0.5, "n": 1}')
    spec = {"*": "metrics.json", "acc": "acc (@float@)"}
    assert parsed(tmp_path, spec, "acc 0.75") == {"acc": 0.75, "n": 1}


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"n": 1}')
    (tmp_path / "b.json").write_text('{"n": 2}')
    with pytest.raises(ParseError, match=r'"n" is also in b\.json'):
        parsed(tmp_path, {"*": ["a.json", "b.json"]})


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_values_of_csv(tmp_path: Path, sign: str) -> None:
    lines = [["epoch", "loss", "name"], ["1", "0.5", "a"], ["2", "", "b"], ["3", "0.25", "c"]]
    (tmp_path / "history.csv").write_text("\n".join(sign.join(line) for line in lines))
    assert parsed(tmp_path, {"*": "history.csv"}) == {"epoch": 3, "loss": 0.25, "name": "c"}
    spec = {
        "losses": ("history.csv", "loss", "all"),
        "names": ("history.csv", "name", "all"),
        "least": ("history.csv", "loss", "min"),
    }
    found = parsed(tmp_path, spec)
    assert found["losses"][::2] == [0.5, 0.25] and math.isnan(found["losses"][1])
    assert found["names"] == ["a", "b", "c"] and found["least"] == 0.25


def test_values_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"loss": 1, "t": {"s": 2}}\n\n{"loss": 0.5}\n')
    spec = {"history": ("log.jsonl", "loss", "all"), "*": "log.jsonl"}
    assert parsed(tmp_path, spec) == {"history": [1, 0.5], "loss": 0.5, "t.s": 2}


def test_values_of_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "out.npz", field=np.arange(6.0).reshape(2, 3), n=np.int64(4))
    found = parsed(tmp_path, {"*": "out.npz", "top": ("out.npz", "field", "max")})
    assert found["top"] == 5.0 and found["n"] == 4 and type(found["n"]) is int
    np.testing.assert_array_equal(found["field"], np.arange(6.0).reshape(2, 3))


def test_an_npz_file_runs_no_code(tmp_path: Path) -> None:
    np.savez(tmp_path / "out.npz", x=np.array([object()], dtype=object))
    with pytest.raises(ParseError, match=r"out\.npz is no whole NPZ.*allow_pickle"):
        parsed(tmp_path, {"*": "out.npz"})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"n": 1', r"a\.json is no whole JSON.*line 1, column 8"),
        ("a.json", "3", r"a\.json holds int, where names are expected"),
        ("a.jsonl", '{"n": 1}\n[2]\n', r"a\.jsonl holds no names and values in line 2"),
        ("a.npz", "PK\3\4nonsense", r"a\.npz is no whole NPZ"),
        ("a.csv", 'a,b\n1,"2\n3,4\n', r"a\.csv is no whole CSV"),
        ("a.json", '{"n":' + "[" * 100_000, r"a\.json is nested too deeply"),
    ],
)
def test_a_damaged_data_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ParseError, match=message):
        parsed(tmp_path, {"*": name})


def test_functions_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "cells").write_text("a\nb\n")

    def n_cells(folder: Path) -> int:
        return len((folder / "cells").read_text().splitlines())

    def everything(folder: Path) -> dict[str, Any]:
        return {"n": n_cells(folder), "folder": folder.name}

    assert parsed(tmp_path, {"cells": n_cells, "none": lambda folder: None}) == {"cells": 2}
    both = {"n": 2, "folder": tmp_path.name}
    assert parsed(tmp_path, everything) == parsed(tmp_path, {"*": everything}) == both
    with pytest.raises(ParseError, match="n_cells is to return a dict"):
        parsed(tmp_path, n_cells)


def test_carriage_returns_of_progress_bars_end_lines(tmp_path: Path) -> None:
    text = "\r10% loss 3\r50% loss 2\r100% loss 1\r\ndone\r\n"
    spec = {"loss": ("stdout", r"^(@int@)% loss (?P<loss_value>@int@)$", "all")}
    assert parsed(tmp_path, spec, text) == {"loss": [10, 50, 100], "loss_value": [3, 2, 1]}


@pytest.mark.parametrize(
    "printed",
    [
        b"acc: \x1b[1;32m0.95\x1b[0m\n",
        b"\x1b]0;title 7\x07\x1b[32macc: 0.95\x1b[0m\n",
        "acc: 0.95\n".encode("utf-16"),
        "acc: 0.95\n".encode("utf-8-sig"),
    ],
)
def test_colours_and_marks_of_an_encoding_are_no_part_of_a_line(
    tmp_path: Path, printed: bytes
) -> None:
    (tmp_path / "stdout").write_bytes(printed)
    spec = {"acc": "^acc: (@float@)", "any": ("stdout", "(@float@)", "last")}
    assert parsed(tmp_path, spec) == {"acc": 0.95, "any": 0.95}


@pytest.mark.parametrize("text", ["0x10", "1_000", "1.2.3", "192.168.0.1"])
def test_the_beginning_of_something_else_is_no_number(tmp_path: Path, text: str) -> None:
    assert parsed(tmp_path, {"v": "v=(@float@)", "w": "v=(@int@)"}, f"v={text}\n") == {}


@pytest.mark.parametrize("text", ["1.5", "1e5"])
def test_the_beginning_of_a_float_is_no_whole_number(tmp_path: Path, text: str) -> None:
    assert parsed(tmp_path, {"n": "n=(@int@)"}, f"n={text}\n") == {}


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        (r"v(@int@)\.", "v3.11", 3),
        (r"took (@int@)", "took 12ms.", 12),
        (r"took (@float@)", "took 1.5s", 1.5),
        (r"(@int@)", "12.", 12),
        (r"\((@int@)", "(3,4)", 3),
    ],
)
def test_a_number_ends_where_its_text_or_the_pattern_says(
    tmp_path: Path, pattern: str, text: str, value: float
) -> None:
    assert parsed(tmp_path, {"v": pattern}, f"{text}\n") == {"v": value}


def test_lists_of_one_pattern_keep_their_places(tmp_path: Path) -> None:
    spec = {"step": ("stdout", r"step (@int@)(?: loss (?P<loss>@float@))?", "all")}
    found = parsed(tmp_path, spec, "step 1 loss 0.5\nstep 2\nstep 3 loss 0.25\n")
    assert found["step"] == [1, 2, 3]
    assert found["loss"][::2] == [0.5, 0.25] and math.isnan(found["loss"][1])


def test_columns_of_csv_keep_their_places_where_a_line_is_short(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("a,b\n1,2\n3\n5,6,7\n")
    spec = {"a": ("h.csv", "a", "all"), "b": ("h.csv", "b", "all")}
    found = parsed(tmp_path, spec)
    assert found["a"] == [1, 3, 5]
    assert found["b"][::2] == [2, 6] and math.isnan(found["b"][1])


def test_of_two_columns_of_one_name_neither_is_lost(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("a,b,a\n1,2,3\n")
    assert parsed(tmp_path, {"*": "h.csv"}) == {"a": 1, "b": 2, "a.1": 3}


def test_no_number_is_cut_where_a_line_is(tmp_path: Path) -> None:
    text = " ".join(str(n) for n in range(10**5, 10**5 + 400_000))
    (tmp_path / "stdout").write_text(text)
    spec = {"least": ("stdout", "(@int@)", "min"), "n": ("stdout", "(@int@)", "count")}
    assert parsed(tmp_path, spec) == {"least": 10**5, "n": 400_000}


def test_a_number_of_many_digits_is_kept_as_text(tmp_path: Path) -> None:
    digits = "9" * 5000
    assert parsed(tmp_path, {"n": "(@int@)", "m": r"(\d+)"}, digits) == {"n": digits, "m": digits}


def test_what_is_not_utf8_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_bytes(b"\xff\xfe temp\xe9rature 3\nE = 2\n")
    assert parsed(tmp_path, {"e": "E = (@int@)", "t": "rature (@int@)"}) == {"e": 2, "t": 3}


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "stdout").open("w") as file:
        for i in range(40):
            file.write(f"epoch {i}\n" + "one of many lines\n" * 50_000)
        file.write("x" * 5_000_000)  # one line without an end
        file.write("\nresult 3\n")
    size = (tmp_path / "stdout").stat().st_size
    assert size > 30_000_000
    tracemalloc.start()
    found = parsed(tmp_path, {"r": "result (@int@)", "n": ("stdout", r"^epoch \d+", "count")})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {"r": 3, "n": 40}
    # Blocks of a million characters, and no more for a larger file.
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a": "a ("}, r'"a \(" is no regular expression: missing \).* at position 2'),
        ({"a": "@float@ [a("}, "at position 8"),
        ({"a": "no group"}, r"has no group.*\(@float@\)"),
        ({"a": r"x (@flaot@)"}, r'no @flaot@\. Did you mean "float"'),
        ({"a": ("stdout", "(a)", "lst")}, 'no reducer for "a" "lst". Did you mean "last"'),
        ({"a": "x\n(y)"}, "line break"),
        ({"a": r"x\n(y)"}, "line break"),
        ({"a": ("f",)}, "should be"),
        ({"a": 3}, "should be"),
        ({"a": ("../f", "(a)")}, "not in the folder"),
        ({"a": ("/etc/f", "(a)")}, "not in the folder"),
        ({"a": {"patern": "(a)"}}, 'Did you mean "pattern"'),
        ({"a": {"file": "x.json"}}, 'takes one of "pattern"'),
        ({"*": "(a)"}, "names from the groups"),
        ({"a": {"file": "x.txt", "key": "n"}}, "no data file"),
        ({"a": "(a)", "b": "b (?P<a>c)(d)"}, 'two entries have the column "a"'),
        ({"": "(a)"}, "no name"),
        ("accuracy (@float@)", "a dict of columns"),
    ],
)
def test_a_mistake_is_told_before_anything_is_read(spec: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Parse(spec)


def test_a_sum_of_texts_names_the_column_and_the_text(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r'"a" in stdout: there is no mean of \'abc\''):
        parsed(tmp_path, {"a": ("stdout", r"x (\w+)", "mean")}, "x abc")


def test_a_compiled_pattern_keeps_its_flags(tmp_path: Path) -> None:
    spec = {
        "a": re.compile(r"ACCURACY: (@float@)", re.IGNORECASE),
        "b": re.compile(r"accuracy:\s (\S+)  # a remark (of mine", re.VERBOSE),
        "c": r"(?i)Accuracy: (\S+)",
    }
    assert parsed(tmp_path, spec, "accuracy: 0.5") == {"a": 0.5, "b": 0.5, "c": 0.5}


_PIECES = st.sampled_from(
    ["a", "b", "ab", "1", r"\.", ".", "(?:ab)?", "a*", "b+", "a{2,3}", "[ab]", "(?:a|b)", r"\d"]
)


@given(
    st.lists(_PIECES, min_size=1, max_size=5),
    st.lists(_PIECES, max_size=3),
    st.lists(st.text("ab1.", max_size=8), max_size=12),
    st.booleans(),
)
def test_every_pattern_finds_what_re_finds_line_by_line(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[str],
    after: list[str],
    lines: list[str],
    has_choice: bool,
) -> None:
    text = f"{''.join(before)}(b|1?){''.join(after)}" + ("|a(b)" if has_choice else "")
    folder = tmp_path_factory.mktemp("run")
    (folder / "stdout").write_text("".join(f"{line}\n" for line in lines))
    expected = [
        match[1] for line in lines for match in re.finditer(text, line) if match[1] is not None
    ]
    found = Parse({"x": ("stdout", text, "all")}).of_folder(folder)
    assert [str(value) for value in found.get("x", [])] == expected


def test_the_columns_that_are_known_and_the_files_that_are_read() -> None:
    parse = Parse({"e": (r"log", r"E (@float@) (?P<unit>\w+)"), "*": "m.json", "n": lambda f: 1})
    assert parse.names == ["e", "unit", "n"]
    assert parse.files == ["log", "m.json"]
    assert repr(parse) == "Parse(e, *, n)"
