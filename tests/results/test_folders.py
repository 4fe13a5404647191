"""Where a row's pset keeps things, and what is known of how rows came about."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

import psyflow
from psyflow.exceptions import UsageError
from psyflow.results import Results
from tests.support.study import Study

BODY = """
pspace = Param(a=[1, 2, 3, 2])
store = ".npz"
def execute(a, ctx):
    print("a is", a)
    (ctx.dir / "kept").write_text(f"{a} of {FACTOR}")
    if a == 3:
        raise ValueError
    return {"y": a * FACTOR, "folder": ctx.dir.name}
FACTOR = 2
"""


@pytest.fixture
def ran(study: Study) -> Study:
    study.task(BODY)
    study.psy("run", code=1)
    return study


def load(study: Study, **options: str) -> Results:
    return psyflow.load("t", study.tasks, study.folder / "psy-work", **options)  # type: ignore[arg-type]


def kept(table: Results, item: int | dict[str, object]) -> str:
    return (table.folder(item) / "kept").read_text()


def test_a_psets_folder_is_found_by_the_number_of_the_item_and_by_the_row(ran: Study):
    table = load(ran)
    assert [kept(table, item) for item in range(4)] == [f"{a} of 2" for a in (1, 2, 3, 2)]
    assert [table.folder(item).name for item in (0, 1, 3)] == list(table["folder"])
    assert table.folder(1) != table.folder(3)
    assert kept(table, table.item(a=1)) == "1 of 2"
    # Of what failed, too, and of what is not in a table that was chosen from it.
    assert kept(table, {"a": 3}) == "3 of 2"
    assert table.where(a=1).folder(3).name == table["folder"][2]
    assert table.folder(int(table.bookkeeping["item"][2])).name == table["folder"][2]


def test_a_pset_that_is_not_there_or_not_alone_is_told(ran: Study):
    table = load(ran)
    for item in (-1, 4):
        with pytest.raises(UsageError, match="items 0 to 3"):
            table.folder(item)
    with pytest.raises(UsageError, match="2 psets of the run are those of this row"):
        table.folder({"a": 2})
    with pytest.raises(UsageError, match="No psets"):
        table.folder({"a": 20})
    with pytest.raises(UsageError, match='without "a"'):
        table.folder({"y": 2})
    for neither in ("1", 1.0, None):
        with pytest.raises(UsageError, match="neither the number of an item nor a row"):
            table.folder(neither)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="do not say which run"):
        Results({"a": [1]}).folder(0)


def test_columns_may_be_named_by_whatever_yields_them(ran: Study):
    wanted = (name for name in ("y", "a"))
    table = psyflow.load("t", ran.tasks, ran.folder / "psy-work", columns=wanted)  # type: ignore[arg-type]
    assert list(table) == ["a", "y"] and table.n_rows == 3


def test_in_a_copy_it_is_the_copys(ran: Study, tmp_path: Path):
    copy = tmp_path / "sent"
    shutil.copytree(ran.folder / "psy-work" / "t", copy)
    folder = psyflow.load(copy).folder(1)
    assert folder.is_relative_to(copy) and (folder / "kept").read_text() == "2 of 2"


def test_in_the_archive_it_is_the_archives(ran: Study):
    ran.task(BODY.replace("FACTOR = 2", "FACTOR = 3"))
    ran.psy("run", code=1)
    (archived,) = (ran.folder / "psy-work" / "t" / "archive").iterdir()
    assert kept(load(ran), 1) == "2 of 3"
    table = load(ran, run=archived.name)
    assert kept(table, 1) == "2 of 2" and table.folder(1).is_relative_to(archived)


def test_repetitions_have_folders_of_their_own(study: Study):
    study.task(BODY.replace("a == 3", "a == 30") + "repeat = 2\n")
    study.psy("run")
    table = load(study)
    assert [table.folder(item).name for item in range(8)] == list(table["folder"])
    assert len(set(table["folder"])) == 8
    assert table.folder({"a": 3, "repeat": 1}).name == table["folder"][5]


def test_bookkeeping_has_the_key_and_the_worker_of_each_row(ran: Study):
    table = load(ran)
    book = table.bookkeeping
    assert list(book["host"]) == [socket.gethostname()] * 3
    assert list(book["job"]) == [0, 0, 0] and list(book["worker"]) == [0, 0, 0]
    assert book["key"][0] == table.folder(0).name
    assert book["key"][1] == book["key"][2] == table.folder(3).name.partition("-")[0]
    ran.task(BODY.replace("a == 3", "a == 30"))
    ran.psy("run")
    assert set(load(ran).bookkeeping) == set(book)


BIG, SMALL = 1, 2
MEMORY = """
import time
from psyflow import Param
pspace = Param(a=[1, 2, 1, 2])
def execute(a):
    if a == 1:
        block = bytearray(200_000_000)
        del block
    time.sleep(0.06)
    return {"y": a}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="tells the peak since the process began")
def test_bookkeeping_has_the_peak_memory_of_each_row_and_no_earlier_ones(study: Study):
    study.task(MEMORY)
    study.psy("run")
    table = load(study)
    peak = table.bookkeeping["peak_memory"]
    assert peak.min() > 1_000_000
    assert (peak[np.array(table["a"]) == BIG] > 200_000_000).all()
    assert (peak[np.array(table["a"]) == SMALL] < 200_000_000).all()
