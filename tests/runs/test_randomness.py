"""Random numbers of psets: never the same by accident, and the same again where that is asked."""

from __future__ import annotations

import pytest

from tests.support.study import Study

DRAWS = {
    "generator": ("rng = np.random.default_rng(1)", "float(rng.random())"),
    "legacy": ("rng = np.random.RandomState(1)", "float(rng.rand())"),
    "python": ("rng = random.Random(1)", "rng.random()"),
}
GLOBAL = {
    "numpy": ("np.random.seed(0)", "float(np.random.rand())"),
    "python": ("random.seed(0)", "random.random()"),
}
BODY = """
import random
import numpy as np
pspace = Param(trial=range({n}))
{settings}
{seeding}
def execute(trial):
    note(trial=trial)
    return {{"y": {draw}}}
"""


@pytest.fixture
def study(study: Study) -> Study:
    # Each process has random hashes of its own.
    study.is_apart = True
    return study


def write(study: Study, seeding: str, draw: str, n: int = 4, settings: str = "") -> None:
    study.task(BODY.format(seeding=seeding, draw=draw, n=n, settings=settings))


@pytest.mark.parametrize("kind", DRAWS)
def test_a_generator_that_every_worker_begins_anew_is_told_before_anything_runs(
    study: Study, kind: str
) -> None:
    seeding, draw = DRAWS[kind]
    write(study, seeding, draw)
    for command in (["run", "-n"], ["test"], ["run"]):
        shown = study.psy(*command).stderr
        assert f"`{seeding}` is run anew by each worker" in shown
        assert "seed = 1; def execute(..., rng)" in shown


@pytest.mark.parametrize("kind", GLOBAL)
def test_global_states_are_no_copies_of_each_other(study: Study, kind: str) -> None:
    seeding, draw = GLOBAL[kind]
    write(study, seeding, draw, settings="pool_size = 2")
    shown = study.psy("run").stderr
    assert f"`{seeding}` is not heeded" in shown and "seed_globals = True" in shown
    write(study, seeding, draw, n=12, settings="pool_size = 2")
    study.psy("run")
    ys = list(study.load()["y"])
    assert len(set(ys)) == 12


@pytest.mark.parametrize(
    "seeding", ["rng = np.random.default_rng()", "np.random.seed(0)", "rng = random.Random(None)"]
)
def test_what_is_no_trap_is_no_reason_to_warn(study: Study, seeding: str) -> None:
    write(study, seeding, "trial")
    assert study.psy("run").stderr == ""


DRAWN = {
    "numpy": "w = np.random.rand(3)",
    "python": "w = random.sample(range(9), 3)",
    "a generator": "rng = np.random.default_rng()\nw = rng.normal(size=3)",
    "a generator made there": "w = np.random.default_rng().normal(size=3)",
    "by another name": "import numpy.random as npr\nw = npr.rand(3)",
    "by its own name": "from random import gauss\nw = [gauss(0, 1) for _ in range(3)]",
}


@pytest.mark.parametrize("kind", DRAWN)
def test_what_each_job_would_draw_anew_is_told_before_anything_runs(
    study: Study, kind: str
) -> None:
    drawing = DRAWN[kind]
    write(study, drawing, "float(w[0])")
    for command in (["run", "-n"], ["run"]):
        shown = study.psy(*command).stderr
        assert f"`{drawing.splitlines()[-1]}` is drawn anew by each job" in shown


@pytest.mark.parametrize(
    "drawing",
    [
        "w = np.random.default_rng(1).normal(size=3)",
        "np.random.seed(1)\nw = np.random.rand(3)",
        "rng = np.random.RandomState(3)\nw = rng.rand(3)",
        "def w(): return np.random.rand(3)\nw = [0]",
    ],
)
def test_what_each_job_draws_alike_is_no_reason_to_warn(study: Study, drawing: str) -> None:
    write(study, drawing, "float(w[0])")
    assert study.psy("run").stderr == ""


@pytest.mark.parametrize(
    "drawing",
    [
        "w = [np.random.default_rng(1)]",
        "rng = np.random.default_rng(1)\nw = [0, rng]",
        "rng = np.random.default_rng(1)\nv = rng.normal()\nw = [lambda: rng.normal()]",
    ],
)
def test_a_generator_that_is_kept_anywhere_is_told(study: Study, drawing: str) -> None:
    write(study, drawing, "0 if w else 1")
    assert "is run anew by each worker" in study.psy("run").stderr


def test_what_another_module_has_under_such_a_name_is_not(study: Study) -> None:
    """As JAX has, whose functions give the same for the same key."""
    package = study.tasks / "keyed"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "random.py").write_text("def normal(key):\n    return [key]\n")
    study.task(
        "from keyed import random\npspace = Param(x=[1])\nw = random.normal(7)\n"
        "def execute(x):\n    return {'y': w[0]}\n"
    )
    assert study.psy("run").stderr == ""


def test_a_drawn_space_is_not(study: Study) -> None:
    """It is frozen with the run that has drawn it."""
    study.task(
        "import numpy as np\npspace = Param(x=np.random.rand(3))\n"
        "def execute(x):\n    return {'y': x}\n"
    )
    assert "drawn anew" not in study.psy("run").stderr


def test_seeding_within_execute_is_no_trap(study: Study) -> None:
    write(study, "", "float(np.random.default_rng(trial).random())")
    assert study.psy("run").stderr == ""


@pytest.mark.parametrize("draw", ["random.random()", "float(np.random.rand())"])
def test_global_states_depend_on_the_pset_alone_if_asked_for(study: Study, draw: str) -> None:
    settings = "seed = 7\nseed_globals = True"
    write(study, "", draw, settings=settings)
    study.psy("run")
    first = list(study.load()["y"])
    write(study, "", draw, n=6, settings=settings + "\npool_size = 3")
    study.psy("run")
    extended = list(study.load()["y"])
    assert extended[:4] == first
    assert len(set(extended)) == 6
    write(study, "", draw, n=6, settings=settings.replace("7", "8"))
    study.psy("run")
    assert not set(study.load()["y"]) & set(extended)


def test_a_seed_without_rng_or_globals_is_refused_with_both_ways_out(study: Study) -> None:
    write(study, "", "0", settings="seed = 7")
    shown = study.psy("run", code=3).stderr
    assert "does not take `rng`" in shown and "seed_globals = True" in shown


def test_a_generator_and_global_states_of_one_pset_differ(study: Study) -> None:
    write(study, "", "[rng.random(), np.random.rand()]", settings="seed = 1\nseed_globals = True")
    path = study.tasks / "task_t.py"
    path.write_text(path.read_text().replace("execute(trial)", "execute(trial, rng)"))
    study.psy("run")
    drawn = {value for pair in study.load()["y"] for value in pair}
    assert len(drawn) == 8
