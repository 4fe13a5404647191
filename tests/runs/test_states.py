"""How many items are in which state."""

from __future__ import annotations

import time

from psyflow.outcomes.states import State
from psyflow.report.states import count_states
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef
from tests.support.processes import PATIENCE
from tests.support.study import Study

SLOW = """
pspace = Param(x=range({n}))
GATE = Path(__file__).parent.parent / "gate"
def execute(x):
    if x < 2:
        time.sleep(0.3)  # slow enough for workers to claim one item at a time
    assert x != 1
    while x >= 2 and not GATE.exists():
        time.sleep(0.01)
    return {{"y": x}}
"""


def counts(study: Study, *, is_at_work: bool) -> dict[str, int]:
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    return dict(count_states(Run(task).assess(), is_at_work=is_at_work).counts)


def states(**numbers: int) -> dict[str, int]:
    return dict.fromkeys(State, 0) | numbers


def test_states_while_it_runs_and_after(study: Study) -> None:
    study.task(SLOW.format(n=5))
    assert counts(study, is_at_work=False) == states(todo=5)
    psy = study.start("run")
    deadline = time.monotonic() + PATIENCE
    expected = states(done=1, failed=1, running=1, queued=2)
    # What is finished is in the shard a moment later.
    while counts(study, is_at_work=True) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counts(study, is_at_work=True) == expected
    assert counts(study, is_at_work=False) == states(done=1, failed=1, todo=3)
    # The same items under other numbers, one of them new, one no longer asked for.
    study.task(SLOW.format(n=5).replace("range(5)", "[9, 4, 2, 1, 0]"))
    assert counts(study, is_at_work=True) == states(done=1, failed=1, running=1, queued=1, todo=1)
    (study.folder / "gate").touch()
    psy.communicate(timeout=PATIENCE)
    study.task(SLOW.format(n=5))
    assert counts(study, is_at_work=False) == states(done=4, failed=1)


def test_all_done(study: Study) -> None:
    study.task("pspace = Param(x=range(3))\ndef execute(x):\n    return {'y': x}\n")
    study.psy("run")
    assert counts(study, is_at_work=True) == states(done=3)
