"""Spaces in notebooks."""

from __future__ import annotations

import pytest

from psyflow import Param


@pytest.mark.parametrize(
    ("space", "said", "n_lines"),
    [
        (
            Param(a=range(10**9)) * Param(b=["x", "y"]),
            "2000000000 psets: a (1000000000) × b (2)",
            7,
        ),
        (Param(a=[1], b=[2]), "1 pset<", 2),
        (Param(), "0 psets<", 1),
        (Param(a=[1]) + Param(b=[2]), "2 psets<", 3),
        (Param(a=["<b>&"]), "&lt;b&gt;&amp;", 2),
    ],
)
def test_a_space_is_a_table_of_its_first_psets(space, said, n_lines):
    shown = space._repr_html_()
    assert said in shown
    assert shown.count("<tr>") == n_lines
