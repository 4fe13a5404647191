"""What counts as the same pset, seen through `psy run`."""

from __future__ import annotations

import pytest

TAGS = """
pspace = Param(tags=[{"red", "green", "blue", "cyan"}, frozenset(["x", "y"])]) * Param(n=range(%d))

def execute(tags, n):
    note(n=n)
    return {"size": len(tags) * n}
"""


@pytest.fixture
def study(study):
    # Each process has random hashes of its own.
    study.is_apart = True
    return study


def test_sets_are_the_same_values_in_each_process(study, monkeypatch):
    study.task(TAGS % 2)
    for seed, n_calls in (("1", 4), ("2", 0), ("3", 0)):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        executed = study.executed(study.psy("run").stdout)
        assert (len(study.calls()), bool(executed)) == (n_calls, bool(n_calls))
        assert "t: up to date." in study.psy("why").stdout


def test_a_space_with_sets_is_extended_in_another_process(study, monkeypatch):
    for seed, n, n_calls in (("1", 2, 4), ("2", 3, 2), ("3", 3, 0)):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        study.task(TAGS % n)
        study.psy("run")
        assert len(study.calls()) == n_calls


def test_defaults_may_be_sets(study, monkeypatch):
    body = 'defaults = {"tags": {"red", "green", "blue"}}' + TAGS % 1
    study.task(body)
    for seed, n_calls in (("1", 2), ("2", 0)):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        study.psy("run")
        assert len(study.calls()) == n_calls


PRIORS = """
from %s import %s as Prior
pspace = Param(prior=[Prior(0, 1), Prior(2, 3)])

def execute(prior):
    note(prior=type(prior).__name__)
    return {"kind": type(prior).__name__}
"""


def test_a_named_tuple_of_another_class_gets_no_row_of_the_first(study):
    for module, name in (("doctest", "TestResults"), ("urllib.parse", "DefragResult")):
        study.task(PRIORS % (module, name))
        study.psy("run")
        assert list(study.load("t")["kind"]) == [name] * 2


REFUSED = [
    ("[lambda: 1, lambda: 2]", "function", "it cannot be pickled"),
    ("[[1], (i for i in range(3))]", "generator", "it is used up as it is read"),
    ("[iter([1]), 2]", "list_iterator", "it is used up as it is read"),
    ("[{'lock': __import__('threading').Lock()}]", "lock", "it cannot be pickled"),
    ("[open(__file__), 1]", "TextIOWrapper", "it cannot be pickled"),
]


@pytest.mark.parametrize(("values", "kind", "why"), REFUSED, ids=[r[1] for r in REFUSED])
def test_values_without_stable_content_are_refused_before_anything_runs(study, values, kind, why):
    study.task(
        f"pspace = Param(n=[1]) * Param(model={values})\n"
        "def execute(n, model):\n    note(n=n)\n    return {'x': 1}\n"
    )
    err = study.psy("run", code=3).stderr
    assert f"t: Parameter `model`: a value of type {kind} has no stable content: {why}" in err
    assert "Traceback" not in err
    assert study.calls() == []
    assert not (study.folder / "psy-work" / "t" / "plan.json").exists()


def test_defaults_without_stable_content_are_refused_by_name(study):
    study.task(
        "pspace = Param(n=[1])\ndefaults = {'model': lambda: 1}\n"
        "def execute(n, model=None):\n    return {'x': 1}\n"
    )
    assert "Parameter `model`: a value of type function" in study.psy("run", code=3).stderr


def test_a_function_of_the_global_generator_is_the_same_value_in_each_process(study):
    body = (
        "import numpy as np\npspace = Param(draw=[np.random.normal, np.random.uniform]) * %s\n"
        "def execute(draw, n):\n    note(n=n)\n    return {'x': draw()}\n"
    )
    for space, n_calls in (("Param(n=[1])", 2), ("Param(n=[1])", 0), ("Param(n=[1, 2])", 2)):
        study.task(body % space)
        study.psy("run")
        assert len(study.calls()) == n_calls


GRID = """
import numpy as np
import psyflow
pspace = Param(x=%s) * Param(mode=["a", "b"])

def execute(x, mode):
    note(x=x, mode=mode)
    return {"y": 2 * x}
"""
HINT = (
    "of the new psets differ from done ones only in the last digits of `x` "
    "(0.30000000000000004 is done, 0.3 is new)"
)


def test_a_refined_grid_of_numpy_tells_which_psets_run_again_for_their_last_digits(study):
    study.task(GRID % "np.linspace(0, 1, 11)")
    assert "last digits" not in study.psy("run").stderr
    study.task(GRID % "np.linspace(0, 1, 101)")
    why = study.psy("why").stdout
    assert f"4 {HINT}" in why
    assert "psyflow.linspace" in why
    assert f"t: 4 {HINT}" in study.psy("run").stderr
    assert "last digits" not in study.psy("why").stdout
    assert "last digits" not in study.psy("run").stderr


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [
        ("psyflow.linspace(0, 1, 11)", "psyflow.linspace(0, 1, 101)"),
        ("[0.1, 0.2]", "[0.1, 0.2, 0.2000001]"),
        ("[1e-9, 1e-8]", "[1e-9, 1e-8, 1e-7]"),
        ("[1, 2]", "[1, 2, 3]"),
        ("[0.1]", "[0.1, 0.1]"),
    ],
)
def test_psets_that_differ_by_more_are_no_news(study, coarse, fine):
    study.task(GRID % coarse)
    study.psy("run")
    study.task(GRID % fine)
    assert "last digits" not in study.psy("why").stdout
    assert "last digits" not in study.psy("run").stderr


def test_rounding_errors_next_to_zero_are_last_digits(study):
    study.task(GRID % "np.arange(-1, 1, 0.1)")
    study.psy("run")
    study.task(GRID % "[round(x, 1) for x in np.arange(-1, 1, 0.1).tolist()]")
    assert "only in the last digits of `x`" in study.psy("why").stdout


def test_last_digits_are_nothing_to_tell_if_all_runs_again(study):
    study.task(GRID % "np.linspace(0, 1, 11)")
    study.psy("run")
    study.task((GRID % "np.linspace(0, 1, 101)").replace("2 * x", "3 * x"))
    assert "last digits" not in study.psy("why").stdout
