from __future__ import annotations

import pytest

from psyflow.cli.steps import run_steps
from tests.support.place import lines


class Recorded:
    """Steps that note what is asked of them."""

    is_refused = False

    def __init__(self, name, up_to_date=(), broken=(), unclear=()):
        self.name = name
        self.up_to_date, self.broken, self.unclear = up_to_date, broken, unclear
        self.done, self.errors = [], []

    def is_up_to_date(self, step):
        if step in self.unclear:
            raise LookupError(step)
        return step in self.up_to_date

    def execute(self, step):
        if step in self.broken:
            raise ValueError(step)
        self.done.append(step)

    def fail(self, error):
        self.errors.append(repr(error))


def test_steps_that_are_not_up_to_date_are_done_in_order(capsys):
    one = Recorded("one", up_to_date=["split", "process"])
    two = Recorded("two")
    run_steps([two, one])
    assert one.done == ["merge"]
    assert two.done == ["split", "process", "merge"]
    out, err = capsys.readouterr()
    assert out == lines("two") + lines("one", "-- -- .")
    assert err == ""


def test_a_failing_step_ends_its_task_alone(capsys):
    bad, good = Recorded("bad", broken=["process"]), Recorded("good")
    run_steps([bad, good])
    assert (bad.done, bad.errors) == (["split"], ["ValueError('process')"])
    assert good.done == ["split", "process", "merge"]
    out, err = capsys.readouterr()
    assert out == ".  bad:split\n.  bad:process\n" + lines("good")
    assert err == ""


def test_an_answer_that_fails_ends_its_task_alone(capsys):
    bad, good = Recorded("bad", unclear=["split"]), Recorded("good")
    run_steps([bad, good])
    assert (bad.done, bad.errors) == ([], ["LookupError('split')"])
    assert capsys.readouterr() == (lines("good"), "")


def test_what_a_step_prints_is_not_held_back(capsys):
    class Loud(Recorded):
        def execute(self, step):
            print(f"{step}!")

    run_steps([Loud("loud", up_to_date=["split", "merge"])])
    assert capsys.readouterr().out == "-- loud:split\n.  loud:process\nprocess!\n-- loud:merge\n"


def test_an_interruption_is_not_a_failure():
    class Interrupted(Recorded):
        def execute(self, step):
            raise KeyboardInterrupt

    task = Interrupted("task")
    with pytest.raises(KeyboardInterrupt):
        run_steps([task])
    assert task.errors == []


@pytest.mark.parametrize("name", ["_hidden", "a.b", "run", "-x", "a*"])
def test_names_that_mean_something_to_doit(name, capsys):
    run_steps([Recorded(name)])
    assert capsys.readouterr().out == lines(name)


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_steps([Recorded("task")])
    assert list(tmp_path.iterdir()) == []


def test_a_failure_that_cannot_be_told_is_told_all_the_same(capsys):
    class Mute(Recorded):
        def fail(self, error):
            raise OSError(5, "Input/output error")

    assert not run_steps([Mute("mute", broken=["process"])])
    out, err = capsys.readouterr()
    assert out == ".  mute:split\n.  mute:process\n"
    assert "mute:process" in err
    assert "Input/output error" in err


def test_it_is_known_whether_all_is_done():
    assert run_steps([Recorded("one"), Recorded("two")])
    assert not run_steps([Recorded("one"), Recorded("bad", broken=["merge"])])
    assert not run_steps([Recorded("one"), Recorded("bad", unclear=["merge"])])
