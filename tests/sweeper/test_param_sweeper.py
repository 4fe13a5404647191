"""What one process sees of a sweeper, and the next one of what it left."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psyflow import Param
from psyflow.exceptions import MissingFileError, PsyflowWarning, UnstableValueError
from psyflow.sweeper import HashableDict, ParamSweeper, sweep

SWEEPS = sweep({"a": [1, 2], "b": ["x", "y"]})
STATES = ("get_remaining", "get_inprogress", "get_skipped", "get_done")


def states(sweeper: ParamSweeper) -> list[list[Any]]:
    return [list(getattr(sweeper, name)()) for name in STATES]


@pytest.mark.parametrize(
    "sweeps", [SWEEPS, [3, 1, 2], ["b", ("a", 1), None, 2.5], range(3), Param(a=[1, 2])]
)
def test_any_elements_are_given_out_in_order_each_once(
    tmp_path: Path, sweeps: Iterable[Any]
) -> None:  # E5
    sweeper = ParamSweeper(tmp_path / "made" / "anew", iter(sweeps))
    assert list(sweeper) == list(sweeps)
    assert sweeper.get_next() is None
    assert sweeper.get_next_batch(3) == []


def test_done_and_in_progress_are_kept_and_skipped_is_not(tmp_path: Path) -> None:  # E6 E10
    first = ParamSweeper(tmp_path, SWEEPS)
    done, skipped, cancelled, in_progress = (first.get_next() for _ in range(4))
    first.done(done)
    first.skip(skipped)
    first.cancel(cancelled)
    assert states(first) == [[cancelled], [in_progress], [skipped], [done]]
    # In this run, what was skipped does not come back; what was cancelled does.
    assert list(first) == [cancelled]
    first.cancel(cancelled)

    second = ParamSweeper(tmp_path, SWEEPS)
    assert states(second) == [[skipped, cancelled], [in_progress], [], [done]]


def test_batches(tmp_path: Path) -> None:  # E9
    sweeper = ParamSweeper(tmp_path, range(10))
    assert sweeper.get_next_batch(6) == [0, 1, 2, 3, 4, 5]
    assert sweeper.get_next_batch(0) == sweeper.get_next_batch(-1) == []
    sweeper.done_batch([0, 1])
    sweeper.skip_batch([2, 3])
    sweeper.cancel_batch([5])
    assert states(sweeper) == [[5, 6, 7, 8, 9], [4], [2, 3], [0, 1]]
    assert sweeper.get_next_batch(100) == [5, 6, 7, 8, 9]


def test_marking_what_nobody_holds(tmp_path: Path) -> None:
    sweeper = ParamSweeper(tmp_path, SWEEPS)
    sweeper.done(dict(SWEEPS[0]))
    sweeper.skip(SWEEPS[1])
    sweeper.cancel(SWEEPS[2])
    sweeper.done(SWEEPS[0])
    sweeper.cancel(SWEEPS[0])
    sweeper.skip(HashableDict(z=1))
    sweeper.done(HashableDict(z=2))
    assert states(sweeper) == [SWEEPS[2:], [], [SWEEPS[1]], [SWEEPS[0]]]
    sweeper.set_sweeps([*SWEEPS, {"z": 1}, {"z": 2}])
    assert sweeper.get_skipped() == {SWEEPS[1]}
    assert states(sweeper)[3] == [SWEEPS[0], {"z": 2}]


def test_a_filter_leaves_out_and_orders(tmp_path: Path) -> None:  # E8
    sweeper = ParamSweeper(tmp_path, SWEEPS)
    assert sweeper.get_next(lambda rest: [c for c in rest if c["b"] == "y"]) == SWEEPS[1]
    assert sweeper.get_next(lambda rest: sorted(rest, key=lambda c: -c["a"])) == SWEEPS[2]
    assert sweeper.get_next(lambda rest: rest - {SWEEPS[0]}) == SWEEPS[3]
    assert sweeper.get_next(lambda rest: []) is None
    sweeper.cancel_batch(SWEEPS)
    assert sweeper.get_next_batch(3, lambda rest: (c for c in rest if c["a"] == 1)) == SWEEPS[:2]
    with pytest.raises(ValueError, match="none of the elements that it was given"):
        sweeper.get_next(lambda rest: [SWEEPS[0]])
    assert list(sweeper.get_remaining()) == SWEEPS[2:]


@pytest.mark.parametrize("name", ["inprogress", "done"])
def test_files_may_be_removed_while_sweepers_are_open(tmp_path: Path, name: str) -> None:  # E11
    sweepers = [ParamSweeper(tmp_path, range(4)) for _ in range(2)]
    sweepers[0].done(sweepers[0].get_next())
    sweepers[0].get_next()
    sweepers[1].get_next()
    (tmp_path / name).unlink()
    remaining = [1, 2, 3] if name == "inprogress" else [3]
    for sweeper in sweepers:
        assert list(sweeper.get_remaining()) == remaining
        assert list(sweeper.get_done()) == ([0] if name == "inprogress" else [])
    assert [s.get_next() for s in sweepers] == ([1, 2] if name == "inprogress" else [3, None])


def test_what_is_returned_is_a_copy(tmp_path: Path) -> None:  # E12
    sweeper = ParamSweeper(tmp_path, SWEEPS)
    told = sweeper.stats()
    assert told == (set(SWEEPS), set(SWEEPS), set(), set(), set())
    for element in sweeper.get_remaining():
        sweeper.done(element)
    assert [len(part) for part in told] == [4, 4, 0, 0, 0]
    assert [len(part) for part in sweeper.stats()] == [4, 0, 0, 0, 4]
    assert sweeper.get_sweeps() == set(SWEEPS)
    assert dict(SWEEPS[0]) in sweeper.get_done()


def test_other_sweeps_resetting_and_updating(tmp_path: Path) -> None:  # E13
    sweeper, other = (ParamSweeper(tmp_path, SWEEPS) for _ in range(2))
    sweeper.get_next()
    sweeper.skip(SWEEPS[1])
    other.done(SWEEPS[2])
    sweeper.update()
    assert str(sweeper).endswith("<4 total, 1 done, 1 skipped, 1 in progress, 1 remaining>")
    sweeper.full_update()
    assert states(sweeper) == [[SWEEPS[3]], [SWEEPS[0]], [SWEEPS[1]], [SWEEPS[2]]]
    sweeper.set_sweeps(SWEEPS[1:])
    assert states(sweeper) == [[SWEEPS[3]], [], [SWEEPS[1]], [SWEEPS[2]]]
    sweeper.set_sweeps(SWEEPS)
    sweeper.reset()
    assert states(sweeper) == [[SWEEPS[1], SWEEPS[3]], [SWEEPS[0]], [], [SWEEPS[2]]]
    sweeper.reset(reset_inprogress=True)
    assert states(sweeper) == [[SWEEPS[0], SWEEPS[1], SWEEPS[3]], [], [], [SWEEPS[2]]]
    assert other.get_next() == SWEEPS[0]
    assert sweeper.reset_inprogress() == [SWEEPS[0]]


def test_saved_sweeps(tmp_path: Path) -> None:  # E15
    ParamSweeper(tmp_path / "now", SWEEPS, save_sweeps=True)
    ParamSweeper(tmp_path / "later", SWEEPS).save_sweeps()
    for folder in ("now", "later"):
        again = ParamSweeper(tmp_path / folder)
        assert list(again.get_sweeps()) == SWEEPS
        assert type(again.get_next()) is HashableDict
    with pytest.raises(MissingFileError, match=r"ParamSweeper\(directory, sweeps\)"):
        ParamSweeper(tmp_path / "none")


def test_how_it_is_printed(tmp_path: Path) -> None:  # E25
    sweeper = ParamSweeper(tmp_path / "here", SWEEPS)
    assert str(sweeper) == "here <4 total, 0 done, 0 skipped, 0 in progress, 4 remaining>"
    sweeper.skip(sweeper.get_next())
    sweeper.done(sweeper.get_next())
    sweeper.get_next()
    named = ParamSweeper(tmp_path / "here", SWEEPS, name="mine")
    assert str(sweeper) == "here <4 total, 1 done, 1 skipped, 1 in progress, 1 remaining>"
    assert str(named) == "mine <4 total, 1 done, 0 skipped, 1 in progress, 2 remaining>"


def test_swapped_arguments_are_known(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="takes the folder first"):
        assert ParamSweeper(SWEEPS, os.fspath(tmp_path)).get_next() == SWEEPS[0]
    with pytest.raises(TypeError, match="takes a folder first"):
        ParamSweeper(SWEEPS, SWEEPS)


def test_equal_elements_count_once_and_this_is_said(tmp_path: Path) -> None:
    with pytest.warns(PsyflowWarning, match="2 of 4 elements equal others"):
        sweeper = ParamSweeper(tmp_path, [{"a": 1}, {"a": 1.0}, {"a": 2}, {"a": 1}])
    assert list(sweeper) == [{"a": 1}, {"a": 2}]


def test_bad_elements(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot be hashed: make it a tuple"):
        ParamSweeper(tmp_path, [[1, 2]])
    with pytest.raises(UnstableValueError):
        ParamSweeper(tmp_path, [object(), lambda: 1])
    with pytest.raises(TypeError, match="nothing to iterate on in 5"):
        ParamSweeper(tmp_path / "new", 5)
    with pytest.raises(MissingFileError):
        ParamSweeper(tmp_path / "new")
    with pytest.raises(ValueError, match="has no name"):
        ParamSweeper("", [1])
    with pytest.raises(ValueError, match="is a file"):
        ParamSweeper(__file__, [1])
    assert list(tmp_path.iterdir()) == []  # nothing was made for nothing
    assert list(ParamSweeper(tmp_path, [{"a": [1, 2]}])) == [{"a": [1, 2]}]
    assert list(ParamSweeper(tmp_path / "b", [])) == []


def test_bad_filters_are_told_and_take_nothing(tmp_path: Path) -> None:
    sweeper = ParamSweeper(tmp_path, [1, 2])
    for bad in (3, lambda elements: None):
        with pytest.raises(TypeError, match="A filter is a function"):
            sweeper.get_next(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none of the elements"):
        sweeper.get_next(lambda elements: [7])
    assert len(sweeper.get_remaining()) == 2


def test_rows_of_a_data_frame_are_elements(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    sweeper = ParamSweeper(tmp_path, pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert list(sweeper) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    sweeper = ParamSweeper(tmp_path, SWEEPS, name="sent")
    sweeper.get_next()
    assert str(pickle.loads(pickle.dumps(sweeper))) == str(sweeper)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 4))))
def test_two_sweepers_agree_with_a_model(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("sweeper")
    sweepers = [ParamSweeper(folder, range(5)) for _ in range(2)]
    done, held, skipped = set[int](), set[int](), [set[int](), set[int]()]
    for who, what, element in steps:
        sweeper = sweepers[who]
        free = [e for e in range(5) if e not in done | held | skipped[who]]
        match what:
            case 0:
                assert sweeper.get_next() == (free[0] if free else None)
                held |= {*free[:1]}
            case 1:
                sweeper.done(element)
                done |= {element}
            case 2:
                sweeper.skip(element)
                held -= {element} - done
                skipped[who] |= {element}
            case 3:
                sweeper.cancel(element)
                held -= {element} - done
                skipped[who] -= {element}
            case 4:
                sweeper.reset(reset_inprogress=True)
                held, skipped[who] = held & done, set()
            case 5:
                assert sweeper.get_next(lambda rest: sorted(rest, reverse=True)) == (
                    free[-1] if free else None
                )
                held |= {*free[-1:]}
    for sweeper, mine in zip(sweepers, skipped, strict=True):
        taken = done | held
        assert sweeper.stats() == (
            set(range(5)),
            set(range(5)) - taken - mine,
            mine - taken,
            held - done,
            done,
        )
