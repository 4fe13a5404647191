"""Lists in results and in parameters, with the stores that other programs read."""

from __future__ import annotations

import pytest

from tests.support.place import Place

TRAIN = """
from pathlib import Path
from psyflow import Param

pspace = Param(layers=[[64], [64, 32]])
store = "EXT"

def execute(layers):
    with open("CALLS", "a") as file:
        file.write(f"{layers}\\n")
    return {
        "loss": [0, *(1 / width for width in layers)],
        "names": [f"w{width}" for width in layers],
        "sizes": [(width, i) for i, width in enumerate(layers)],
    }
"""
EXPECTED = {
    "layers": [[64], [64, 32], [1, 2, 3]],
    "loss": [[0, 1 / 64], [0, 1 / 64, 1 / 32], [0, 1.0, 1 / 2, 1 / 3]],
    "names": [["w64"], ["w64", "w32"], ["w1", "w2", "w3"]],
    "sizes": [[(64, 0)], [(64, 0), (32, 1)], [(1, 0), (2, 1), (3, 2)]],
}


def types_in(value: object) -> object:
    is_sequence = isinstance(value, list | tuple)
    return type(value), [types_in(v) for v in value] if is_sequence else None  # type: ignore[attr-defined]


@pytest.mark.parametrize("ext", [".npz", ".h5"])
def test_lists_are_kept_when_a_study_is_extended_and_merged(place: Place, ext: str) -> None:
    calls = place.folder / "calls"
    source = TRAIN.replace("EXT", ext).replace("CALLS", str(calls))
    place.task("train", source)
    assert place.psy("run").returncode == 0
    place.task("train", source.replace("[64, 32]]", "[64, 32], [1, 2, 3]]"))
    shown = place.psy("run")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert calls.read_text().splitlines() == ["[64]", "[64, 32]", "[1, 2, 3]"]
    result = place.result("train", ext)
    assert result == EXPECTED
    assert types_in(list(result.values())) == types_in(list(EXPECTED.values()))
    assert place.psy("merge", "psy-work/train", "all.pkl").returncode == 0

    from psyflow.store import PickleStore

    merged = PickleStore().load(place.folder / "all.pkl")
    assert {name: list(column) for name, column in merged.items()} == EXPECTED
    assert types_in(list(merged.values())) == types_in(list(EXPECTED.values()))


def test_a_list_that_the_store_cannot_hold_fails_its_item_alone(place: Place) -> None:
    source = TRAIN.replace("EXT", ".npz").replace("CALLS", str(place.folder / "calls"))
    place.task("train", source.replace("[0, *", "[None if len(layers) > 1 else 0, *"))
    shown = place.psy("run")
    assert shown.returncode == 1
    assert "1 of 2 items failed" in shown.stderr
    assert place.result("train", ".npz")["loss"] == [[0, 1 / 64]]
