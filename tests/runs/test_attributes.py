"""Psets that run again only for an attribute of an object are told with that attribute."""

from __future__ import annotations

import dataclasses
import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from psyflow import Param
from psyflow.record.attributes import about_attributes
from psyflow.record.frozen import FrozenSpace
from tests.support.study import Study

MODEL = """
from dataclasses import dataclass

@dataclass
class Neuron:
    tau: float
"""
TASK = """
from model import Neuron
pspace = Param(x=[Neuron(10), Neuron(20)]) * Param(mode=["a", "b"])

def execute(x, mode):
    return {"y": x.tau}
"""


@pytest.fixture
def neurons(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    (tmp_path / "src").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    write(study, MODEL)
    study.task(TASK)
    study.psy("run")
    return study


def write(study: Study, text: str) -> None:
    (study.folder / "src" / "model.py").write_text(text)


def test_a_new_field_is_told_by_why_and_by_run(neurons: Study) -> None:
    write(neurons, f"{MODEL}    v: float = 1\n")
    told = (
        "4 of the new psets, such as x=Neuron(tau=10, v=1), differ from done ones only in `x.v` "
        "(was absent, is 1)."
    )
    assert f"  {told}" in neurons.psy("why").stdout
    assert told in json.loads(neurons.psy("why", "--json").stdout)["t"]["attributes"]
    assert f"t: {told}" in neurons.psy("run").stderr
    assert "done ones" not in neurons.psy("why").stdout


def test_a_value_beside_those_that_are_done_is_none(neurons: Study) -> None:
    neurons.task(TASK.replace("Neuron(20)]", "Neuron(20), Neuron(30)]"))
    assert "done ones" not in neurons.psy("why").stdout


def test_a_new_field_is_told_where_results_of_older_code_are_kept(neurons: Study) -> None:
    write(neurons, f"{MODEL}    v: float = 1\n")
    neurons.task(TASK.replace("x.tau}", "x.tau + 1}"))
    assert "only in `x.v` (was absent, is 1)" in neurons.psy("why").stdout
    assert "only in `x.v` (was absent, is 1)" in neurons.psy("run", "-c").stderr
    neurons.task(TASK)
    assert "done ones" not in neurons.psy("run").stderr


def test_a_new_field_of_a_class_with_slots_makes_no_run_impossible(neurons: Study) -> None:
    slots = MODEL.replace("@dataclass", "@dataclass(frozen=True, slots=True)")
    write(neurons, slots)
    neurons.psy("run")
    write(neurons, f"{slots}    v: float = 1\n")
    assert "only in `x.v` (was absent, is 1)" in neurons.psy("run").stderr
    assert neurons.psy("status").stderr == "t: up to date.\n"


# -- values ---------------------------------------------------------------------------------------


@dataclasses.dataclass
class Plain:
    rate: float
    v: float = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    rate: float
    v: float = 1


class Versioned:
    """As estimators of libraries are: its pickle tells the version."""

    def __init__(self, version: str, alpha: int) -> None:
        self.version, self.alpha = version, alpha

    def __getstate__(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "_version": self.version}

    def __repr__(self) -> str:
        return f"Versioned({self.alpha})"


class Two:
    __slots__ = ("a", "b")

    def __init__(self, a: int, b: int) -> None:
        self.a, self.b = a, b


Prior = namedtuple("Prior", "low high")


def made(kind: type, **attributes: Any) -> Any:
    """Make an object as an older version of its class has left it."""
    value = object.__new__(kind)
    for name, its in attributes.items():
        object.__setattr__(value, name, its)
    return value


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (made(Plain, rate=2), Plain(2), "`x.v` (was absent, is 1)"),
        (Plain(2), made(Plain, rate=2), "`x.v` (was 1, is absent)"),
        (Plain(2, v=1), Plain(2, v=3), "`x.v` (was 1, is 3)"),
        (made(Slotted, rate=2), Slotted(2), "`x.v` (was absent, is 1)"),
        (Slotted(2), Slotted(2, v=3), "`x.v` (was 1, is 3)"),
        (Two(1, 2), Two(1, 3), "`x.b` (was 2, is 3)"),
        (Versioned("1.2", 5), Versioned("1.3", 5), "`x._version` (was '1.2', is '1.3')"),
        (Plain(Plain(1)), Plain(Plain(1, v=2)), "`x.rate.v` (was 1, is 2)"),
        ({"a": 1}, {"a": 1, "b": None}, "`x['b']` (was absent, is None)"),
        ({"a": Plain(1)}, {"a": Plain(1, 2)}, "`x['a'].v` (was 1, is 2)"),
        (Prior(0, 1), Prior(0, 2), "`x.high` (was 1, is 2)"),
        (Plain(1), Slotted(1), "`type(x)` (was "),
        (
            made(Plain, rate=1),
            made(Plain, rate=1, v=1, w="a"),
            "`x.v` (was absent, is 1) and `x.w`",
        ),
        (
            made(Plain, rate=1),
            made(Plain, rate=2, v=1),
            "`x.rate` (was 1, is 2) and `x.v` (was abs",
        ),
    ],
)
def test_the_attribute_is_named(then: Any, now: Any, told: str) -> None:
    sentence = about_attributes({"x": [now], "y": [1]}, 1, {"x": [then], "y": [1]}, 1)
    assert f"differ from done ones only in {told}" in sentence


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (1, 2),
        ("a", "b"),
        ([1, 2], [1, 3]),
        (Plain(2, v=1), Plain(3, v=2)),
        (Plain(2), "a"),
        ({i: i for i in range(100)}, {i: i + (i == 1) for i in range(100)}),
    ],
)
def test_what_differs_in_more_is_nothing_to_tell(then: Any, now: Any) -> None:
    assert about_attributes({"x": [now]}, 1, {"x": [then]}, 1) == ""


def test_a_frozen_space_that_is_not_whole_any_more_equals_none() -> None:
    present = FrozenSpace.of(Param(x=[Slotted(1)]))
    frozen = FrozenSpace(Param(x=[made(Slotted, rate=1)]), {}, b"")
    assert not frozen.is_equal(present)
    assert present.is_equal(FrozenSpace.of(Param(x=[Slotted(1)])))


def test_other_parameters_have_to_be_equal() -> None:
    new = {"x": [Plain(2), Plain(2)], "y": [1, 2]}
    done = {"x": [made(Plain, rate=2)], "y": [2]}
    assert about_attributes(new, 2, done, 1).startswith("1 of the new psets, such as x=Plain(")


def test_the_attribute_is_the_one_that_explains_the_most() -> None:
    done = {"x": [Plain(i, v=0) for i in range(30)]}
    new = {"x": [Plain(i, v=9) for i in range(30)] + [Plain(99, v=0)]}
    told = about_attributes(new, 31, done, 30)
    assert told.startswith("30 of the new psets") and "only in `x.v` (was 0, is 9)" in told


def test_an_object_that_refers_to_itself_is_compared_as_far_as_it_goes() -> None:
    one, other = made(Plain, rate=1), made(Plain, rate=1, v=2)
    one.parent, other.parent = one, other
    assert "`x.v`" in about_attributes({"x": [other]}, 1, {"x": [one]}, 1)
