"""Every code block of docs/schedulers.md runs."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from psyflow.scheduler.slurm_texts import parse_squeue

PAGE = (Path(__file__).parents[2] / "docs" / "schedulers.md").read_text()


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's code defines, after all of it ran; task files are checked on the way."""
    names: dict[str, Any] = {"__name__": "schedulers_page"}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", None, None)
            runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
            assert runner.run(test, clear_globs=False).failed == 0
        else:
            exec(block, names)
        if "scheduler = " in block:
            names["scheduler"].check_args(names["scheduler_args"])
    return names


def test_code_runs(names: dict[str, Any]) -> None:
    assert {"LabQueue", "TestLabQueue", "Slurm", "Sqsub"} <= set(names)


def test_state_table_is_true() -> None:
    table = dict(re.findall(r"^\| `(\S+)` \w+ \| (.*) \|$", PAGE, re.MULTILINE))
    table["*Q"] = table["*Q"].rpartition(";")[2]  # PD is held only for some reasons
    told = {code: state for state, text in table.items() for code in re.findall(r"[A-Z]+\b", text)}
    known = "PD R CG CF CD F TO NF CA PR OOM BF DL RV SE SI ST S RQ RH RD RF RS SO"
    assert set(told) == set(known.split())
    for code, state in told.items():
        assert parse_squeue(f"7|{code}|None|t")["7"].status == state
