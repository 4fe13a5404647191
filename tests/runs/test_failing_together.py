"""Items that all fail in the same way: said at once, and the end where no other can escape."""

from __future__ import annotations

import re

import pytest

from psyflow.record.alike import alike
from psyflow.record.assess import Assessment
from psyflow.record.plan import Plan
from psyflow.tasks import TaskDef
from psyflow.work.alike import NOTEWORTHY
from tests.support.study import Study

TASK = """
{settings}
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    time.sleep(0.01)
    {body}
    return {{"y": x**2}}
"""
MANY = 3000


def text(body: str, settings: str = "", n: int = MANY) -> str:
    return TASK.format(body=body, settings=settings, n=n)


def plan_of(study: Study) -> Plan:
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    plan = Plan.present(Assessment(task).layout)
    assert plan is not None
    return plan


def test_what_no_item_escapes_ends_the_run(study: Study) -> None:
    study.task(text("x = no_such_name"))
    done = study.psy("run", code=1)
    assert NOTEWORTHY <= len(study.calls()) < MANY / 2
    assert done.stderr.count("Traceback") == 1
    assert "in execute\n" in done.stderr
    assert "Every other item would fail there, too: the run stops." in done.stderr
    assert "Correct the code, and go on: psy run t" in done.stderr
    assert "have not run" in done.stderr


def test_no_other_item_is_spoken_of_where_there_is_none(study: Study) -> None:
    study.task(text("x = no_such_name", n=NOTEWORTHY))
    done = study.psy("run", code=1)
    assert "Every other item" not in done.stderr
    assert "No other item was to run. Correct the code, and go on: psy run t" in done.stderr


def test_after_the_correction_all_is_computed(study: Study) -> None:
    study.task(text("x = no_such_name", n=100))
    study.psy("run", code=1)
    study.task(text("pass", n=100))
    study.psy("run")
    assert len(study.load()["y"]) == 100


@pytest.mark.parametrize("settings", ['max_failures = "100%"', "max_failures = 30"])
def test_max_failures_chooses_otherwise(study: Study, settings: str) -> None:
    study.task(text("x = no_such_name", settings, n=40))
    done = study.psy("run", code=1)
    assert len(study.calls()) >= 30
    assert "too: the run stops" not in done.stderr
    assert ("so many items failed" in done.stderr) == ("30" in settings)


def test_a_corner_that_fails_ends_nothing(study: Study) -> None:
    body = "if x < 60: x = no_such_name\n    wait_at_gate()"
    study.task(text(body, n=80))
    run = study.start("run")
    assert run.stderr is not None
    told = iter(run.stderr.readline, "")
    # While the others are still to be evaluated.
    first = next(line for line in told if "for one reason" in line)
    assert re.match(r"t: \d+ items have failed, none is done, and all for one reason:$", first)
    study.open_gate()
    rest = "".join(told)
    assert run.wait() == 1
    assert "Others may do better, so the run goes on" in rest
    assert "60 of 80 items failed" in rest
    assert rest.count("Traceback") == 1
    assert len(study.calls()) == 80


def test_nothing_is_said_where_some_are_done(study: Study) -> None:
    study.task(text("if x: raise ValueError('odd')", n=60))
    done = study.psy("run", code=1)
    assert "for one reason" not in done.stderr
    assert len(study.calls()) == 60


def test_items_that_are_tried_again_fail_once(study: Study) -> None:
    study.task(text("raise ValueError('odd')", "retries = 1\nretry_on = ['error']", n=12))
    done = study.psy("run", code=1)
    assert len(study.calls()) == 24
    assert "for one reason" not in done.stderr


def test_what_is_told_survives_a_damaged_record(study: Study) -> None:
    study.task(text("x = no_such_name", n=200))
    study.psy("run", code=1)
    plan = plan_of(study)
    (found,) = alike(plan)
    assert found.stops
    assert found.exception.startswith("NameError")
    (file,) = plan.frozen.leases.glob(".alike-*")
    for damaged in ("", "{", '{"n_failed": 3}', "[]"):
        file.write_text(damaged)
        assert alike(plan) == []
