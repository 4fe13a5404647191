"""Each behaviour of execo that its manual states has a test, which names it in a comment."""

from __future__ import annotations

import re
from pathlib import Path

STATED = {*range(1, 26)} - {4, 23, 25}
"""Numbers of behaviours; the others are known of execo otherwise."""

TESTS = Path(__file__).parents[1]


def test_each_stated_behaviour_is_named_by_a_test() -> None:
    files = [*(TESTS / "sweeper").glob("test_*.py"), TESTS / "test_engine.py"]
    comments = re.findall(r"#((?: E\d+)+)$", "\n".join(f.read_text() for f in files), re.M)
    named = {int(number) for comment in comments for number in re.findall(r"E(\d+)", comment)}
    assert STATED - named == set()
