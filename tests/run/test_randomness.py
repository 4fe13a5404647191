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
