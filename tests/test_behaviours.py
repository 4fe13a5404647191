"""Each behaviour of the tools whose words psyflow has is named by a test, as in ``# W18``.

V is paramsurvey, W psweep, E execo_engine. Most are stated in the texts of these tools; others are
known of them, and here as well.
"""

from __future__ import annotations

import re
from pathlib import Path

BEHAVIOURS = (
    {f"V{n}" for n in range(1, 43)}
    | {f"W{n}" for n in range(1, 34)} - {"W32"}
    | {f"E{n}" for n in range(1, 26)}
)
"""But for two programs of psweep's, in whose place there is ``psy export``."""


def named_in(text: str) -> set[str]:
    """Return the numbers in comments that begin with one."""
    lines = re.findall(r"# ([VWE]\d.*)$", text, re.MULTILINE)
    return {number for line in lines for number in re.findall(r"\b[VWE]\d+\b", line)}


def test_each_behaviour_is_named_by_a_test() -> None:
    files = Path(__file__).parent.rglob("test_*.py")
    named = set().union(*(named_in(file.read_text()) for file in files))
    assert BEHAVIOURS - named == set()


def test_numbers_are_found_in_comments_alone() -> None:
    text = """
# V1 V2
    # W3, W4: more of them
def test_it():  # E6
    V7
"""
    assert named_in(text) == {"V1", "V2", "W3", "W4", "E6"}
