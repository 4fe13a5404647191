"""Texts of exceptions and values: little of them is kept, and nothing raises."""

from __future__ import annotations

import contextlib
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import Skip
from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import SKIP, ShardReader, ShardWriter
from psyflow.reprs import safe_repr
from psyflow.texts import MESSAGE_LIMIT, TRACEBACK_LIMIT, cut_joined, printable, traceback_text
from psyflow.work.evaluate import Evaluator
from psyflow.work.prepared import Prepared

from .test_evaluate import check_only_item_1_fails, evaluate

LONGEST = TRACEBACK_LIMIT + 100


class _Text(str):
    def __len__(self) -> int:
        raise SystemExit


class _Odd(Exception):
    def __init__(self, text: Any) -> None:
        self.text = text

    def __str__(self) -> str:
        if isinstance(self.text, BaseException):
            raise self.text
        return self.text  # type: ignore[no-any-return]


def _chain(length: int, message: str = "x") -> BaseException:
    error = ValueError(message)
    for _ in range(length):
        after = ValueError(message)
        after.__cause__ = error
        error = after
    return error


def _nested(depth: int) -> BaseException:
    error: Exception = ValueError("innermost")
    for _ in range(depth):
        error = ExceptionGroup("group", [error, ValueError("x" * 1000)])
    return error


def _failure_of(error: Callable[[], BaseException]) -> Failure:
    def execute(i: int) -> dict[str, int]:
        if i == 1:
            raise error()
        return {"y": i}

    return check_only_item_1_fails(evaluate(execute), "error")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (lambda: ValueError("begin" + "x" * 50_000_000 + "end"), "characters left out"),
        (lambda: ValueError("x\n" * 10_000_000), "characters left out"),
        (lambda: type("N" * 10**6, (ValueError,), {})("no"), "characters left out"),
        (lambda: _Odd(4), "its text raises TypeError"),
        (lambda: _Odd(_Odd(4)), "its text raises _Odd"),
        (lambda: _Odd(SystemExit(3)), "its text raises SystemExit"),
        (lambda: _Odd(KeyboardInterrupt()), "its text raises KeyboardInterrupt"),
        (lambda: _Odd(_Text("own text")), "own text"),
        (lambda: _chain(1000), "ValueError: x"),
        (lambda: _chain(50, "x" * 1_000_000), "characters left out"),
        (lambda: _nested(5), "group"),
        (lambda: _nested(2000), "group"),
        (lambda: ValueError("\udc80"), "\udc80"),
    ],
)
def test_whatever_an_exception_says_costs_its_item_and_little_space(
    error: Callable[[], BaseException], text: str
) -> None:
    failure = _failure_of(error)
    assert text in failure.exception
    assert len(failure.exception) < MESSAGE_LIMIT + 500
    assert len(failure.traceback) < LONGEST


def test_begin_and_end_of_a_long_message_are_kept() -> None:
    failure = _failure_of(lambda: ValueError("begin" + "x" * 50_000_000 + "end"))
    for text in (failure.exception, failure.traceback):
        assert "begin" in text
        assert text.rstrip().endswith("end")
    assert "49 990 008 characters left out" in failure.exception


class Elaborate(Exception):
    """With a message of two lines."""

    class Within(Exception):
        """Its name has a dot."""


def _noted() -> Exception:
    error = ValueError("noted")
    error.add_note("a note")
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("x"),
        KeyError("x"),
        OSError(2, "No such file", "a/b"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"),
        SystemExit(3),
        Elaborate("one\ntwo"),
        Elaborate.Within("x"),
        _noted(),
        NameError("name 'lenn' is not defined", name="lenn"),
        SyntaxError("odd", ("f.py", 1, 2, "a b", 1, 3)),
        ImportError("cannot import", name="x"),
    ],
    ids=repr,
)
def test_tracebacks_are_as_python_shows_them(error: BaseException) -> None:
    def fail() -> None:
        raise error

    for _ in range(2):  # the second time, the frames are known
        try:
            fail()
        except BaseException as caught:
            caught.__context__ = None
            shown = "".join(traceback.format_exception(caught))
            assert traceback_text(caught, caught.__traceback__) == shown
        error = error.with_traceback(None)


def test_memory_for_texts_is_bounded() -> None:
    error = _chain(30, "x" * 1_000_000)
    tracemalloc.start()
    traceback_text(error, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


def test_a_skip_without_a_text_is_a_skip(tmp_path: Path) -> None:
    class Odd(Skip):
        def __str__(self) -> str:
            raise SystemExit

    def execute(i: int) -> dict[str, int]:
        raise Odd

    with ShardWriter(tmp_path / "a.rows") as writer:
        evaluator = Evaluator(Prepared(execute), writer)
        evaluator.evaluate(np.arange(2), {"i": [0, 1]})
        evaluator.flush()
    frames = ShardReader(tmp_path / "a.rows").new_frames()
    assert [(frame.kind, frame.items.tolist()) for frame in frames] == [(SKIP, [0, 1])]


def test_huge_lines_of_source(tmp_path: Path) -> None:
    source = tmp_path / "wide.py"
    wide = f"return {{'y': i + 0 / (i - 1), 'z': '{'z' * 5_000_000}'}}"
    source.write_text(f"def execute(i):\n    {wide}")
    names: dict[str, Any] = {}
    exec(compile(source.read_text(), source, "exec"), names)
    outcomes = evaluate(names["execute"])
    assert outcomes[1].exception == "ZeroDivisionError: division by zero"
    assert len(outcomes[1].traceback) < LONGEST
    assert outcomes[1].traceback.rstrip().endswith("division by zero")


@given(st.lists(st.text(max_size=6), max_size=8), st.integers(2, 20))
def test_what_is_cut_has_both_ends_and_what_is_not_is_whole(pieces: list[str], limit: int) -> None:
    whole, text = "".join(pieces), cut_joined(pieces, limit)
    if len(whole) <= limit:
        assert text == whole
    else:
        first, last = whole[: limit - limit // 2], whole[len(whole) - limit // 2 :]
        assert text == f"{first} … {len(whole) - limit} characters left out … {last}"


# --------------------------------------------------------------------------- repr

_plain = st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.binary(max_size=4) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers(), inner, max_size=3)
    ),
)


@given(_plain, st.integers(5, 60))
def test_safe_repr_is_what_repr_says_up_to_its_limit(value: Any, limit: int) -> None:
    text = repr(value)
    shown = safe_repr(value, limit)
    if len(text) <= limit:
        assert shown == text
    elif not isinstance(value, str | bytes):
        assert shown == f"{text[: limit - 1]}…"
    else:  # the quotes depend on all of the text
        assert shown[1:] == f"{text[1 : limit - 1]}…"


def _in_itself() -> list[Any]:
    value: list[Any] = [1]
    value.append({"a": value})
    return value


class _Endless:
    def __repr__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (_in_itself(), "[1, {'a': [...]}]"),
        (((1,), ()), "((1,), ())"),
        (_Endless(), "<_Endless whose repr raises SystemExit>"),
        ([_Endless()], "<list whose repr raises SystemExit>"),
        (np.arange(3), "array([0, 1, 2])"),
    ],
)
def test_repr_of_odd_values(value: Any, text: str) -> None:
    assert safe_repr(value, 100) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 20_000_000,
        lambda: b"x" * 20_000_000,
        lambda: [0] * 3_000_000,
        lambda: {"a": [["x" * 20_000_000]]},
        lambda: np.zeros(3_000_000),
    ],
)
def test_of_huge_values_little_is_shown_and_no_more_made(make: Callable[[], Any]) -> None:
    value = make()
    tracemalloc.start()
    with np.printoptions(threshold=10**9):
        text = safe_repr(value, 500)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(text) <= 500
    assert peak < 1_000_000


def test_deeply_nested_values() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert len(safe_repr(value, 500)) <= 500
    with contextlib.suppress(IndexError):
        while True:  # or else the end of the list would recurse
            value = value[0]


# --------------------------------------------------------------------------- terminals


@given(st.text())
def test_printable_text_has_no_commands_and_keeps_all_else(text: str) -> None:
    shown = printable(text)
    commands = set(map(chr, (*range(32), *range(127, 160), *range(0x202A, 0x202F))))
    assert not (commands - set("\n\t")) & set(shown.replace("\r\n", "\n"))
    if not (commands | set(map(chr, range(0x2066, 0x206A)))) & set(text):
        assert shown == text
