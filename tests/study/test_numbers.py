"""Each behaviour that psweep's text states has a test that names its number, as in ``# W18``."""

from __future__ import annotations

import re
from pathlib import Path

STATED = {f"W{n}" for n in range(1, 29)} - {"W20"}


def test_every_stated_behaviour_has_a_test() -> None:
    comments = [
        line.partition("#")[2]
        for path in Path(__file__).parent.glob("test_*.py")
        for line in path.read_text().splitlines()
        if re.match(r"\s+# W\d", line)
    ]
    named = {number for comment in comments for number in re.findall(r"\bW\d+\b", comment)}
    assert STATED - named == set()
