"""Runs that are killed, at once, or copied: no row is lost, and none is there twice."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest

import psyflow.study as ps
from psyflow.exceptions import PsyflowWarning
from psyflow.outcomes.shard import ShardReader
from tests.support.processes import PATIENCE, eventually, script

DATABASE = Path("calc/database.pk")
AT_GATE = """
import sys, time
from pathlib import Path
import psyflow.study as ps

def func(pset):
    while pset["a"] == 2 and not Path("gate").exists():
        Path(sys.argv[1]).touch()
        time.sleep(0.01)
    return {"y": pset["a"]}

ps.run(func, ps.plist("a", [0, 1, 2, 3]), poolsize=int(sys.argv[2]) or None)
"""


def double(pset: dict[str, int]) -> dict[str, int]:
    return {"y": 2 * pset["a"]}


def rows() -> pd.DataFrame:
    df = ps.df_read(DATABASE)
    assert df._pset_id.is_unique and df._pset_seq.is_unique
    return df


def n_kept() -> int:
    """Return how many rows the runs that are going have on the disk."""
    shards = Path("calc").glob(".psyflow/*/map.*.rows")
    return sum(len(frame.items) for path in shards for frame in ShardReader(path).new_frames())


def only_the_database() -> bool:
    return [path.name for path in Path("calc").iterdir()] == ["database.pk"]


def test_runs_at_once_lose_nothing_and_share_no_number() -> None:
    ps.run(double, ps.plist("a", [10]))
    others = [script(AT_GATE, f"begun{n}", 0) for n in range(2)]
    eventually(lambda: all(Path(f"begun{n}").exists() for n in range(2)))
    ps.run(double, ps.plist("a", [20, 30]))  # nor is anything taken from those
    Path("gate").touch()
    assert [other.wait(PATIENCE) for other in others] == [0, 0]
    df = rows()
    assert sorted(df.a) == [0, 0, 1, 1, 2, 2, 3, 3, 10, 20, 30]
    assert df.groupby("_run_id")._run_seq.nunique().tolist() == [1, 1, 1, 1]
    assert df._run_seq.nunique() == 4
    assert only_the_database()


@pytest.mark.parametrize("poolsize", [0, 1])
def test_what_a_killed_run_had_computed_is_there_with_the_next(
    poolsize: int, capfd: pytest.CaptureFixture[str]
) -> None:
    killed = script(AT_GATE, "begun", poolsize)
    eventually(lambda: Path("begun").exists() and n_kept() == 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = ps.run(double, ps.plist("a", [3]), skip_dups=True)
    assert done.a.tolist() == [0, 1, 3]
    assert "2 rows of a run that was killed" in capfd.readouterr().err
    assert rows().equals(done) and only_the_database()


KILLED_WHEN_SAVING = """
import os, signal, sys
import psyflow.store.frame
import psyflow.study as ps
from psyflow.mapper.workfolder import WorkFolder

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "before":
    psyflow.store.frame.checksum_of = die  # the file is written, and has not its name yet
else:
    WorkFolder.remove = die
ps.run(lambda pset: {"y": 2 * pset["a"]}, ps.plist("a", [1, 2]))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_in_the_middle_of_saving_loses_and_doubles_nothing(moment: str) -> None:
    ps.run(double, ps.plist("a", [0]))
    assert script(KILLED_WHEN_SAVING, moment).wait(PATIENCE) == -signal.SIGKILL
    assert rows().a.tolist() == {"before": [0], "after": [0, 1, 2]}[moment]
    assert ps.run(double, ps.plist("a", [3])).y.tolist() == [0, 2, 4, 6]
    assert rows()._pset_seq.tolist() == [0, 1, 2, 3]


def test_a_copy_of_the_folder_of_a_run_takes_nothing_from_it() -> None:
    going = script(AT_GATE, "begun", 0)
    eventually(lambda: n_kept() > 0)
    shutil.copytree("calc", "copy")
    with pytest.warns(PsyflowWarning, match="left alone"):
        df = ps.run(double, ps.plist("a", [7]), calc_dir="copy")
    assert df.a.tolist() == [7]
    Path("gate").touch()
    assert going.wait(PATIENCE) == 0
    assert rows().a.tolist() == [0, 1, 2, 3]
    shutil.copytree("calc", "other")
    assert len(ps.run(double, ps.plist("a", [7]), calc_dir="other")) == 5
