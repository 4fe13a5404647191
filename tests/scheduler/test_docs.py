"""What docs/schedulers.md and its pages say is true."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from psyflow.scheduler import scheduler_by_name, scheduler_names
from psyflow.scheduler.slurm.texts import parse_squeue

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "schedulers.md").read_text()
SLURM = (DOCS / "schedulers" / "slurm.md").read_text()


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's code defines, after all of it ran."""
    names: dict[str, Any] = {"__name__": "schedulers_page"}
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", None, None)
            runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
            assert runner.run(test, clear_globs=False).failed == 0
        else:
            exec(block, names)
    return names


def test_code_runs(names: dict[str, Any]) -> None:
    assert {"LabQueue", "TestLabQueue"} <= set(names)


def test_state_table_is_true() -> None:
    table = dict(re.findall(r"^\| `(\S+)` \w+ \| (.*) \|$", SLURM, re.MULTILINE))
    table["*Q"] = table["*Q"].rpartition(";")[2]  # PD is held only for some reasons
    told = {code: state for state, text in table.items() for code in re.findall(r"[A-Z]+\b", text)}
    known = "PD R CG CF CD F TO NF CA PR OOM BF DL RV SE SI ST S RQ RH RD RF RS SO"
    assert set(told) == set(known.split())
    for code, state in told.items():
        assert parse_squeue(f"7|{code}|None|t")["7"].status == state


def test_each_scheduler_has_a_page_in_the_table() -> None:
    row = r"^\| \[`(\w+)\(.*\)`\]\(schedulers/(\w+)\.md\).* \| `(\w+)` \|"
    linked = re.findall(row, PAGE, re.MULTILINE)
    assert all(page == name for _, page, name in linked)
    assert sorted(name for _, _, name in linked) == scheduler_names()
    for name, page, _ in linked:
        assert name == scheduler_by_name(page).__name__
        assert (DOCS / "schedulers" / f"{page}.md").exists()
