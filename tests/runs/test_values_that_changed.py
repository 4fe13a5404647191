"""Results with values that cannot be made any more, or that are others now."""

from __future__ import annotations

from pathlib import Path

import pytest

import psyflow
from psyflow.columns import Column
from tests.support.place import Place

KIND = """
import enum
from psyflow import Param

class Kind(enum.Enum):
    {members}

exclude_from_result = {exclude}
pspace = Param(kind=[{kinds}])

def execute(kind):
    if kind.value == 0:
        raise ValueError(kind)
    return {{"v": [kind.name, kind.value]}}
"""
ROW = """
from pathlib import Path
from psyflow import Param

HERE = Path(__file__).parent.parent

def remade(a, era):
    if era != (HERE / "era").read_text():
        raise ValueError(era)
    return Row(a)

class Row:
    def __init__(self, a):
        self.a = a

    def __reduce__(self):
        return remade, (self.a, (HERE / "era").read_text())

pspace = Param(x={values})

def execute(x):
    with (HERE / "calls").open("a") as calls:
        calls.write(f"{{x}}\\n")
    return {{"v": Row(x)}}
"""
STORE = """
from psyflow import Param
from psyflow.store import NpzStore, PickleStore
store = {store}()
pspace = Param(x=range(4))

def execute(x):
    return {{"v": {{"a": x}}}}
"""


def kinds(place: Place, members: str, *, exclude: str = "[]", code: int = 0) -> None:
    """Run a task whose parameter is an enumeration."""
    names = [f"Kind.{member.split(' = ')[0]}" for member in members.split("; ")]
    place.task("t", KIND.format(members=members, kinds=", ".join(names), exclude=exclude))
    run(place, code)


def rows(place: Place, values: str) -> None:
    """Write a task that returns values which can be made in their own era only."""
    place.task("t", ROW.format(values=values))


def run(place: Place, code: int = 0) -> str:
    shown = place.psy("run")
    assert shown.returncode == code, shown.stderr
    return shown.stderr


def calls(place: Place) -> list[int]:
    file = place.folder / "calls"
    found = [int(line) for line in file.read_text().split()] if file.exists() else []
    file.unlink(missing_ok=True)
    return sorted(found)


def loaded(place: Place, name: str = "v") -> list[object]:
    column: Column = psyflow.load("t", workdir=place.work)[name]
    return list(column)


def archived(place: Place) -> list[Path]:
    return sorted((place.work / "t" / "archive").glob("*/result.*"))


def is_up_to_date(place: Place) -> bool:
    return place.psy("status").stderr == "t: up to date.\n"


@pytest.mark.parametrize("exclude", ["[]", "['kind']"])
def test_a_member_that_stands_for_another_value_is_evaluated_with_that(
    place: Place, exclude: str
) -> None:
    kinds(place, "A = 1; B = 2", exclude=exclude)
    kinds(place, "A = 1; B = 3", exclude=exclude)
    assert loaded(place) == [["A", 1], ["B", 3]]
    assert len(archived(place)) == 1
    run(place)
    assert loaded(place) == [["A", 1], ["B", 3]] and is_up_to_date(place)


def test_its_results_come_back_with_its_value(place: Place) -> None:
    kinds(place, "A = 1; B = 2")
    kinds(place, "A = 1; B = 3")
    kinds(place, "A = 1; B = 4")
    assert loaded(place) == [["A", 1], ["B", 4]]
    kinds(place, "A = 1; B = 2")
    assert loaded(place) == [["A", 1], ["B", 2]] and is_up_to_date(place)


def test_members_that_swap_their_values_are_not_taken_for_each_other(place: Place) -> None:
    kinds(place, "A = 1; B = 2")
    kinds(place, "A = 2; B = 1")
    assert loaded(place) == [["A", 2], ["B", 1]]


def test_outcomes_in_shards_are_not_of_a_member_that_stands_for_another_value(
    place: Place,
) -> None:
    kinds(place, "A = 1; B = 2; C = 0", code=1)

    kinds(place, "A = 1; B = 3; C = 4")
    assert loaded(place) == [["A", 1], ["B", 3], ["C", 4]]


def test_rows_that_nobody_can_make_any_more_are_evaluated_before_they_are_replaced(
    place: Place,
) -> None:
    era = place.folder / "era"
    era.write_text("old")
    rows(place, "[1, 2]")
    run(place)
    calls(place)
    era.write_text("new")
    rows(place, "[1, 2, 3]")
    assert "its values cannot be made here" in run(place)
    assert calls(place) == [1, 2, 3], "none is taken for done"
    assert len(archived(place)) == 1, "another day they may be readable"
    assert [row.a for row in loaded(place)] == [1, 2, 3] and is_up_to_date(place)


def test_the_archive_gives_back_no_rows_that_nobody_can_make(place: Place) -> None:
    era = place.folder / "era"
    era.write_text("old")
    rows(place, "[1, 2, 3]")
    run(place)
    rows(place, "[1]")
    run(place)
    calls(place)
    era.write_text("new")
    rows(place, "[1, 2, 3]")
    run(place)
    assert calls(place) == [1, 2, 3] and is_up_to_date(place)
    era.write_text("old")
    (place.work / "t" / "result.pkl").unlink()
    run(place)
    assert calls(place) == [] and [row.a for row in loaded(place)] == [1, 2, 3]


def test_what_a_merge_has_archived_comes_back_as_ones_own(place: Place) -> None:
    (place.folder / "era").write_text("any")
    for values in ("[1, 2, 3]", "[1, 2]", "[1, 2, 3]"):
        rows(place, values)
        run(place)
    assert calls(place) == [1, 2, 3]
    assert [row.a for row in loaded(place)] == [1, 2, 3] and is_up_to_date(place)


def test_a_result_is_loaded_whatever_store_a_merge_was_tried_with(place: Place) -> None:
    for store, code in (("PickleStore", 0), ("NpzStore", 3), ("PickleStore", 0)):
        place.task("t", STORE.format(store=store))
        run(place, code)
        assert loaded(place) == [{"a": x} for x in range(4)]
    assert is_up_to_date(place)
