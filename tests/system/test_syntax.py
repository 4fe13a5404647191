"""Parsing while other threads do."""

from __future__ import annotations

import ast
import gc
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from psyflow.system.syntax import parsed

SOURCE = "\n".join(
    f"def f{i}(x, y=(1, [2, {{3}}])): return [x + {i}, (y, (x, [y]))]" for i in range(60)
)


@pytest.fixture
def other_threads_have_their_turn() -> Iterator[None]:
    """Have the collector, which runs while a tree is built, let others go on."""

    def wait(*_: object) -> None:
        threading.Event().wait(1e-6)

    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(wait)
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    yield
    gc.callbacks.remove(wait)
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def errors_in_threads(parse: Callable[[str], ast.Module]) -> list[str]:
    errors: list[str] = []

    def run() -> None:
        try:
            for _ in range(5):
                assert len(parse(SOURCE).body) == 60
        except Exception as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


@pytest.mark.usefixtures("other_threads_have_their_turn")
def test_threads_that_parse_at_once_do_not_fail() -> None:
    assert errors_in_threads(parsed) == []


def test_what_is_no_python_is_said_with_its_file() -> None:
    with pytest.raises(SyntaxError) as caught:
        parsed("def", "a.py")
    assert caught.value.filename == "a.py"
