"""What a loaded table knows of its run."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

import psyflow
from psyflow.exceptions import UsageError
from psyflow.results import Results
from tests.support.study import Study

BODY = """
from psyflow import Skip
pspace = Param(a=[1, 2, 3]) * Param(b=["x", "y"])
{settings}
def execute(a, b):
    if a == 3 and b == "x" and not {good}:
        print("about to fail")
        raise ValueError(f"no {{b}}")
    if a == 2 and b == "y" and not {good}:
        raise Skip("out of range")
    return {{"z": a * 10.0}}
"""


def write(study: Study, *, good: bool, settings: str = "") -> None:
    study.task(BODY.format(good=good, settings=settings))


@pytest.fixture(params=[".pkl", ".npz", ".h5"])
def partial(study: Study, request: pytest.FixtureRequest) -> Study:
    write(study, good=False, settings=f"store = {request.param!r}")
    study.psy("run", code=1)
    return study


def load(study: Study) -> Results:
    return psyflow.load("t", study.tasks, study.folder / "psy-work")


def check_partial(table: Results) -> None:
    assert (table.task, table.n_items, table.n_done, table.n_rows) == ("t", 6, 4, 4)
    assert not table.is_complete
    assert table.parameters == ["a", "b"] and table.outputs == ["z"]
    assert list(zip(table.missing["a"], table.missing["b"], strict=True)) == [(2, "y"), (3, "x")]
    failure = table.failures.item()
    assert (failure["a"], failure["b"], failure["kind"]) == (3, "x", "error")
    assert failure["exception"] == "ValueError: no x" and "line " in failure["traceback"]
    assert failure["host"] == socket.gethostname() and failure["attempt"] == 1
    log = Path(failure["log"]).read_bytes()
    assert log[failure["log_start"] : failure["log_stop"]] == b"about to fail\n"
    assert table.skipped.item() == {"a": 2, "b": "y", "reason": "out of range"}
    assert table.failures.parameters == ["a", "b"]
    book = table.bookkeeping
    assert list(book["item"]) == [0, 1, 2, 5]
    assert set(book["host"]) == {socket.gethostname()} and (book["duration"] >= 0).all()
    assert (book["pid"] > 0).all() and set(book["attempt"]) == {1}
    assert table.provenance["packages"]["numpy"] == np.__version__


def test_of_a_partial_result(partial: Study) -> None:
    check_partial(load(partial))


def test_in_a_copy_it_is_the_copys(
    partial: Study, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copies") / "copy"
    shutil.copytree(partial.folder, copy)
    shutil.rmtree(partial.folder / "psy-work")
    table = psyflow.load(copy / "psy-work" / "t")
    check_partial(table)
    assert str(copy) in table.failures.item()["log"]


def test_of_a_complete_result(partial: Study) -> None:
    write(partial, good=True, settings="store = '.npz'")
    partial.psy("run")
    table = load(partial)
    assert table.is_complete and table.n_rows == 6
    for none in (table.missing, table.failures, table.skipped):
        assert none.n_rows == 0 and none.parameters == ["a", "b"]
    assert table.bookkeeping["item"].tolist() == [*range(6)]
    assert table.run in str(next((partial.folder / "psy-work/t/plans").iterdir()))
    file = psyflow.load(partial.folder / "psy-work" / "t" / "result.npz")
    assert file.parameters == ["a", "b"] and file.run == table.run
    assert table.where(a=1).n_items == 6


def test_a_bare_file_has_columns_and_nothing_else(partial: Study, tmp_path: Path) -> None:
    write(partial, good=True, settings="store = '.npz'")
    partial.psy("run")
    shutil.copy(partial.folder / "psy-work/t/result.npz", tmp_path / "mine.npz")
    table = psyflow.load(tmp_path / "mine.npz")
    assert list(table) == ["a", "b", "z"] and table.parameters == [] and table.task is None
    with pytest.raises(UsageError):
        table.missing


def test_a_parameter_with_the_name_of_what_is_told_keeps_it(study: Study) -> None:
    study.task("pspace = Param(kind=['p', 'q'])\ndef execute(kind):\n    raise ValueError(kind)\n")
    study.psy("run", code=1)
    failures = load(study).failures
    assert list(failures["kind"]) == ["p", "q"] and list(failures["kind_"]) == ["error"] * 2
    assert "0 of 2 items of t are done" in repr(load(study))
