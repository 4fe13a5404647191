"""The setting `repeat`: what runs, what is kept, and which random numbers repetitions have."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

import psyflow
from tests.support.processes import eventually, is_guard
from tests.support.study import Study

BODY = """
{settings}
pspace = Param(x=range({n}))

def execute({arguments}):
    note(x=x)
    return {{"y": {y}}}
"""


def write(
    study: Study, settings: str = "", n: int = 10, arguments: str = "x", y: str = "2 * x"
) -> None:
    study.task(BODY.format(settings=settings, n=n, arguments=arguments, y=y))


def seeded(study: Study, settings: str = "", n: int = 3, **body: str) -> None:
    write(study, f"seed = 7\n{settings}", n, "x, rng", **{"y": "float(rng.random())", **body})


def n_calls(study: Study, *arguments: str) -> int:
    """Return how many evaluations one more `psy run` makes."""
    study.psy("run", *arguments)
    return len(study.calls())


def drawn(study: Study) -> dict[tuple[int, int], float]:
    """Return the outputs by `x` and `repeat`."""
    columns = study.load()
    repeats = columns.get("repeat", [0] * len(columns["x"]))
    rows = zip(columns["x"], repeats, columns["y"], strict=True)
    return {(int(x), int(repeat)): float(y) for x, repeat, y in rows}


def test_each_pset_is_evaluated_so_often_and_repeat_varies_fastest(study: Study) -> None:
    write(study, "repeat = 3", n=2)
    assert n_calls(study) == 6
    columns = study.load()
    assert list(columns["x"]) == [0, 0, 0, 1, 1, 1]
    assert list(columns["repeat"]) == [0, 1, 2, 0, 1, 2]
    assert list(columns["y"]) == [0, 0, 0, 2, 2, 2]
    assert n_calls(study) == 0


@pytest.mark.parametrize("store", ["pkl", "npz", "h5"])
def test_it_is_a_column_of_integers_in_every_store(study: Study, store: str) -> None:
    write(study, f"repeat = 2\nstore = '.{store}'", n=2)
    study.psy("run")
    results = psyflow.load("t", study.tasks, study.folder / "psy-work")
    assert results.parameters == ["repeat", "x"]
    assert [int(r) for r in results["repeat"]] == [0, 1, 0, 1]
    file = study.folder / f"psy-work/t/result.{store}"
    assert list(psyflow.load(file)["repeat"]) == [0, 1, 0, 1]


def test_a_done_study_keeps_its_rows_as_the_first_repetition(study: Study) -> None:
    write(study)
    assert n_calls(study) == 10
    write(study, "repeat = 3")
    assert "10 done, 20 new" in study.psy("why").stdout
    assert n_calls(study) == 20
    assert n_calls(study) == 0
    assert "t: up to date." in study.psy("why").stdout


def test_one_repetition_more_or_less_of_none_runs_nothing(study: Study) -> None:
    write(study)
    assert n_calls(study) == 10
    for settings, names in (("repeat = 1", ["repeat", "x", "y"]), ("", ["x", "y"])):
        write(study, settings)
        assert n_calls(study) == 0
        assert sorted(study.load()) == names
        assert list(study.load()["y"]) == [2 * x for x in range(10)]
        assert study.executed(study.psy("run").stdout) == []


def test_it_grows_by_what_is_missing_and_shrinks_to_what_is_wanted(study: Study) -> None:
    for n, expected in ((5, 20), (8, 12), (3, 0), (8, 0), (9, 4)):
        write(study, f"repeat = {n}", n=4)
        study.psy("run")
        calls = study.calls()
        assert len(calls) == expected
        assert len(set(Counter(calls).values())) <= 1, "as many of each pset"
        columns = study.load()
        assert list(columns["repeat"]) == [*range(n)] * 4
        assert list(columns["y"]) == [2 * (i // n) for i in range(4 * n)]


def test_it_grows_along_with_the_space(study: Study) -> None:
    write(study, "repeat = 2", n=3)
    assert n_calls(study) == 6
    write(study, "repeat = 3", n=4)
    assert n_calls(study) == 3 + 3
    assert list(study.load()["repeat"]) == [0, 1, 2] * 4


def test_without_it_again_the_first_of_each_is_left(study: Study) -> None:
    seeded(study, "repeat = 3")
    study.psy("run")
    first = {key: y for key, y in drawn(study).items() if key[1] == 0}
    seeded(study)
    study.calls()
    assert n_calls(study) == 0
    assert "repeat" not in study.load()
    assert drawn(study) == first


def test_another_number_is_no_other_code(study: Study) -> None:
    write(study, "repeat = 2\noverwrite_dirty = False")
    study.psy("run")
    write(study, "repeat = 3\noverwrite_dirty = False")
    shown = study.psy("why").stdout
    assert "10 new" in shown and "changed" not in shown
    study.psy("run")
    # It belongs to the code only where `execute` itself reads the variable.
    write(study, "repeat = 3", y="2 * x + repeat")
    study.psy("run")
    study.calls()
    write(study, "repeat = 4", y="2 * x + repeat")
    assert n_calls(study) == 40


def test_repetitions_have_random_numbers_of_their_own(study: Study) -> None:
    seeded(study, "repeat = 4")
    study.psy("run")
    assert len(set(drawn(study).values())) == 12


def test_the_first_repetition_is_what_the_study_without_it_gives(study: Study) -> None:
    seeded(study)
    study.psy("run")
    alone = drawn(study)
    # Neither in the same study nor from the beginning in another.
    seeded(study, "repeat = 3")
    study.psy("run")
    extended = drawn(study)
    study.task(BODY.format(
        settings="seed = 7\nrepeat = 3", n=3, arguments="x, rng", y="float(rng.random())"
    ), name="again")  # fmt: skip
    study.psy("run", "again")
    again = study.load("again")
    assert list(again["y"]) == list(study.load()["y"])
    assert {key: extended[key] for key in alone} == alone


def test_random_numbers_stay_the_same_however_it_has_grown(study: Study) -> None:
    for n in (2, 5):
        seeded(study, f"repeat = {n}\npool_size = 2")
        study.psy("run")
    grown = drawn(study)
    study.psy("clean", "-y")
    seeded(study, "repeat = 5")
    study.psy("run")
    assert drawn(study) == grown


def test_seed_by_without_repeat_has_repetitions_share_their_numbers(study: Study) -> None:
    seeded(study, "repeat = 3\nseed_by = ['x']")
    study.psy("run")
    assert len(set(drawn(study).values())) == 3
    seeded(study, "repeat = 3\nseed_by = ['repeat']")
    study.psy("run")
    found = drawn(study)
    assert len(set(found.values())) == 3
    assert all(y == found[0, repeat] for (_, repeat), y in found.items())


def test_seed_by_repeat_without_such_a_parameter_is_an_error(study: Study) -> None:
    seeded(study, "seed_by = ['x', 'repeat']")
    assert 'no parameter "repeat". Known: x.' in study.psy("run", code=2).stderr


def test_global_states_of_repetitions_differ(study: Study) -> None:
    write(
        study,
        "import numpy as np\nrepeat = 3\nseed = 1\nseed_globals = True",
        n=2,
        y="float(np.random.rand())",
    )
    study.psy("run")
    assert len(set(study.load()["y"])) == 6


TAKES = {
    "by name": ("x, repeat", "repeat", True),
    "by name, with a default": ("x, repeat=-1", "repeat", True),
    "by keyword only": ("x, *, repeat", "repeat", True),
    "not": ("x", "-1", False),
    "not by **kwargs": ("x, **more", "more.get('repeat', -1)", False),
}


@pytest.mark.parametrize("how", TAKES)
def test_execute_gets_it_only_if_it_names_it(study: Study, how: str) -> None:
    arguments, y, is_taken = TAKES[how]
    write(study, "repeat = 2", n=2, arguments=arguments, y=y)
    assert "repeat: 0" in study.psy("test", "t").stdout
    study.psy("run")
    assert list(study.load()["y"]) == ([0, 1, 0, 1] if is_taken else [-1] * 4)
    assert f"y: {1 if is_taken else -1}" in study.psy("debug", "t", "3").stdout


@pytest.mark.parametrize("backend", ["DistributeBackend", "LoadBalancingBackend"])
def test_with_all_that_tasks_may_have(study: Study, backend: str) -> None:
    study.task(f"""
import numpy as np
from psyflow import {backend}
backend = {backend}
pspace = Param(x=range(4)) + Param(z=[1, 2])
repeat = 3
pool_size = 2
retries = 1
retry_on = ['error']
seed = 5

def setup(proc_id):
    return {{"scale": 10}}

def execute(x, z, scale, rng, ctx):
    note(x=x, z=z, attempt=ctx.attempt)
    if ctx.attempt == 1:
        raise ValueError("at first")
    (ctx.dir / "kept").write_text("1")
    return {{"y": scale, "r": rng.random(), "folder": ctx.dir.name}}
""")
    study.psy("run")
    assert len(study.calls()) == 2 * 18
    columns = study.load()
    assert list(columns["repeat"]) == [0, 1, 2] * 6
    assert len(set(columns["r"])) == len(set(columns["folder"])) == 18


def test_the_folder_of_the_first_repetition_is_that_of_the_pset_without(study: Study) -> None:
    body = """
pspace = Param(x=[1, 2])
{settings}
def execute(x, ctx):
    note(x=x)
    return {{"folder": ctx.dir.name, "v": {v}}}
"""
    study.task(body.format(settings="", v=1))
    study.psy("run")
    before = list(study.load()["folder"])
    study.task(body.format(settings="repeat = 2", v=2))
    study.psy("run")
    assert list(study.load()["folder"])[::2] == before


GATED = """
pspace = Param(x=range(100))
pool_size = 2
repeat = {n}

def execute(x):
    if LOG.exists() and len(LOG.read_text().splitlines()) >= 150:
        wait_at_gate()
    note(x=x)
    time.sleep(0.002)
    return {{"y": x * x}}
"""


def test_killed_in_the_middle_of_growing_it_loses_and_doubles_nothing(study: Study) -> None:
    study.task(GATED.format(n=1))
    assert n_calls(study) == 100
    study.task(GATED.format(n=4))
    psy = study.start("run")
    study.wait_for_calls(150)
    # What is written within a second stays, whatever is killed.
    done = eventually(lambda: n_done(study) > 200 and n_done(study))
    for pid in [psy.pid, *(pid for pid in study.processes() if not is_guard(pid))]:
        _kill(pid)
    psy.communicate()
    study.wait_until_gone()
    study.calls()
    study.open_gate()
    # Growing on from there, what was done stays done.
    study.task(GATED.format(n=5))
    assert n_calls(study) <= 500 - done
    columns = study.load()
    assert list(columns["repeat"]) == [*range(5)] * 100
    assert list(columns["y"]) == [(i // 5) ** 2 for i in range(500)]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def n_done(study: Study) -> int:
    return int(study.psy("status").stdout.split("\n")[1].split()[0])


def test_a_space_that_is_drawn_at_random_stays_as_it_was_drawn(study: Study) -> None:
    body = """
import random
pspace = Param(x=[random.random() for _ in range(3)])
{settings}
def execute(x):
    note(x=x)
    return {{"y": x}}
"""
    found: list[set[object]] = []
    for settings, expected in (("", 3), ("repeat = 3", 6), ("repeat = 2", 0), ("", 0)):
        study.task(body.format(settings=settings))
        study.psy("run")
        calls = study.calls()
        assert len(calls) == expected
        found.append(set(study.load()["y"]))
        assert found[0] == found[-1]
        assert study.executed(study.psy("run").stdout) == []


OWN = "def execute(x, repeat, rng):\n    note(x=x, repeat=repeat)\n    return {'y': rng.random()}"


def test_a_parameter_of_that_name_of_the_task_s_own_may_become_it(study: Study) -> None:
    own = "pspace = Param(x=[1, 2]) * Param(repeat=range(3))\nseed = 1\n" + OWN
    study.task(own)
    study.psy("run")
    before = list(study.load()["y"])
    study.calls()
    study.task("pspace = Param(x=[1, 2])\nrepeat = 3\nseed = 1\n" + OWN)
    # The first has the random numbers of the pset without it now; the others are what they were.
    study.psy("run")
    assert study.calls() == ["[('repeat', 0), ('x', 1)]", "[('repeat', 0), ('x', 2)]"]
    after = list(study.load()["y"])
    assert [i for i in range(6) if after[i] == before[i]] == [1, 2, 4, 5]
    study.task(own)
    study.psy("run")
    assert list(study.load()["y"]) == before


def test_what_looks_at_psets_shows_repetitions(study: Study) -> None:
    write(study, "repeat = 3", n=2, y="1 / x")
    study.psy("run", code=1)
    assert "item 0: {'repeat': 0, 'x': 0}" in study.psy("failures", "t").stdout
    assert "item 1: {'repeat': 1, 'x': 0}" in study.psy("log", "t", "1").stdout
    assert "{'repeat': 2, 'x': 0}" in study.psy("status", "-v", "t").stdout


def test_summaries_aggregate_over_repetitions(study: Study) -> None:
    write(study, "repeat = 4", n=3, arguments="x, repeat", y="10 * x + repeat")
    study.psy("run")
    results = psyflow.load("t", study.tasks, study.folder / "psy-work")
    summary = results.summary()
    assert list(summary["x"]) == [0, 1, 2]
    assert list(summary["y_mean"]) == [1.5, 11.5, 21.5]
    assert list(summary["y_n"]) == [4, 4, 4]


REFUSED = {
    "0": "0",
    "-1": "-1",
    "True": "True",
    "2.0": "2.0",
    "'5'": "'5'",
    "[1]": r"[1]",
}


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_no_number_of_repetitions_is_refused(study: Study, value: str) -> None:
    write(study, f"repeat = {value}")
    err = study.psy("run", code=3).stderr
    assert f"`repeat` must be an integer of 1 or more, or None, not {REFUSED[value]}" in err
    assert study.calls() == []


def test_a_function_of_that_name_is_no_setting_and_the_way_out_is_told(study: Study) -> None:
    write(study, "from itertools import repeat")
    err = study.psy("run", code=3).stderr
    assert "`repeat` must be an integer" in err and "import a function by another name" in err


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("pspace = Param(x=[1], repeat=[1])", "`pspace` has a parameter `repeat` already"),
        ("pspace = Param(x=[1])\ndefaults = {'repeat': 1}", "`defaults` must not give it a value"),
    ],
)
def test_what_contradicts_it_is_an_error_before_anything_runs(
    study: Study, settings: str, told: str
) -> None:
    study.task(f"{settings}\nrepeat = 2\ndef execute(x):\n    note(x=x)\n    return {{'y': x}}")
    assert told in study.psy("run", code=3).stderr
    assert study.calls() == []


def test_what_setup_gives_may_not_be_named_so(study: Study) -> None:
    study.task(
        "pspace = Param(x=[1])\nrepeat = 2\ndef setup(n): return {'repeat': 3}\n"
        "def execute(x, **more):\n    note(x=x)\n    return {'y': x}"
    )
    study.psy("run", code=3)
    assert "`setup` returned `repeat`, which the parameter space gives, too" in study.logs()
    assert study.calls() == []


def test_execute_that_wants_it_without_the_setting_is_told(study: Study) -> None:
    write(study, arguments="x, repeat")
    assert "`execute` needs `repeat`" in study.psy("run", code=3).stderr


def test_of_all_tasks_one_may_go_without_it(study: Study) -> None:
    (study.tasks / "psy-conf.py").write_text("repeat = 3\n")
    write(study, n=2)
    assert n_calls(study) == 6
    write(study, "repeat = None", n=2)
    assert n_calls(study) == 0


def test_a_task_without_parameters_is_repeated(study: Study) -> None:
    study.task(
        "pspace = [{}]\nrepeat = 4\ndef execute():\n    note()\n    return {'pid': os.getpid()}"
    )
    assert n_calls(study) == 4
    assert list(study.load()["repeat"]) == [0, 1, 2, 3]


def test_equal_psets_are_repeated_each(study: Study) -> None:
    body = "pspace = Param(x=[1, 1])\n%s\ndef execute(x):\n    note(x=x)\n    return {'y': x}"
    for settings in ("", "repeat = 2"):
        study.task(body % settings)
        assert n_calls(study) == 2
    assert list(study.load()["repeat"]) == [0, 1, 0, 1]
