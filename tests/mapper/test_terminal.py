"""What a map shows on terminals."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.screen import on_screen

MAP = """
import time, psyflow
def NAME(x):
    time.sleep(0.2)
    return {"y": 1 / (x - 3)}
psyflow.map(NAME, psyflow.Param(x=range(10)), pool_size=1)
"""


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize(
    "name", ["f", "発火率の計算と表示", "a_function_with_a_name_that_is_longer_than_all"]
)
def test_what_is_done_failed_and_left_has_room_on_one_line(
    tmp_path: Path, name: str, columns: int
) -> None:
    (tmp_path / "script.py").write_text(MAP.replace("NAME", name), encoding="utf-8")
    shown = on_screen([sys.executable, "script.py"], tmp_path, columns)
    drawn = shown.raw.split("\r\x1b[K")[1:]
    assert any(re.search("of 10 items done, 1 failed, [^,]+ left", line) for line in drawn), drawn
    assert columns == 40 or all(name[0] in line for line in drawn)
    assert any("9 of 10 items done, 1 failed" in line for line in shown.screen.lines)
    assert not [line for line in shown.screen.wrapped if "finished" in line]
