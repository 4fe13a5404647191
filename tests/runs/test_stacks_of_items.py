"""Where items were that took too long or crashed, and where running ones are."""

from __future__ import annotations

import json
import signal

import pytest

from tests.support.processes import eventually
from tests.support.study import Study

TASK = """
import ctypes
{settings}
pspace = Param(x=range(3))
def deep(x):
    if x == 1:
        {body}
def execute(x):
    deep(x)
    return {{"y": x}}
"""


@pytest.mark.parametrize(
    ("body", "settings", "kind"),
    [
        ("ctypes.string_at(0)", "", "crash"),
        ("os.abort()", "", "crash"),
        ("while True: pass", "timeout = 1.0", "timeout"),
        ("time.sleep(600)", "timeout = 1.0", "timeout"),
        ("os.system('sleep 600')", "timeout = 1.0", "timeout"),
    ],
)
def test_the_failure_has_the_stack(study: Study, body: str, settings: str, kind: str) -> None:
    study.task(TASK.format(body=body, settings=settings))
    study.psy("run", code=1)
    (group,) = json.loads(study.psy("failures", "--json").stdout)["t"]["groups"]
    (failure,) = group["failures"]
    assert failure["kind"] == kind
    last = failure["traceback"].splitlines()
    assert last[0] == "Stack of its process (most recent call last):"
    assert "in execute" in last[1]
    assert "psyflow/work" not in failure["traceback"]
    assert any(line.endswith("in deep") for line in last)
    assert body.partition(":")[0] in failure["traceback"]
    assert "in deep" in study.psy("log", "t", "1").stdout


def test_a_running_item_is_asked_and_goes_on(study: Study) -> None:
    study.task(TASK.format(body="wait_at_gate()", settings=""))
    run = study.start("run")

    def stack() -> str:
        return study.program("log", "t", "1", "--stack").stdout

    eventually(lambda: "in wait_at_gate" in stack())
    assert "t: item 1 for" in (told := study.psy("log", "t", "--stack").stdout)
    assert told.index("in execute") < told.index("in deep") < told.index("in wait_at_gate")
    assert "Item 0 is not running" in study.psy("log", "t", "0", "--stack", code=3).stderr
    study.open_gate()
    assert run.wait() == 0
    assert "no item has been running" in study.psy("log", "t", "--stack").stderr


def test_a_kill_from_outside_leaves_none(study: Study) -> None:
    study.task(TASK.format(body=f"os.kill(os.getpid(), {signal.SIGKILL.value})", settings=""))
    study.psy("run", code=1)
    (group,) = json.loads(study.psy("failures", "--json").stdout)["t"]["groups"]
    assert group["failures"][0]["traceback"] == ""
