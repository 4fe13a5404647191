"""The examples of psweep's README, word for word but for the import."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from code import InteractiveConsole
from pathlib import Path

import pandas as pd
import pytest

import psyflow.study as ps

GETTING_STARTED = """\
>>> import random
>>> import psyflow.study as ps


>>> def func(pset):
...    return {"result": random.random() * pset["a"] * pset["b"]}

>>> a = ps.plist("a", [1,2,3])
>>> b = ps.plist("b", [88,99])
>>> params = ps.pgrid(a,b)
>>> df = ps.run_local(func, params)
>>> import pandas as pd
>>> pd.set_option("display.max_columns", None)
>>> print(df)
"""
SAVE_DATA_ON_DISK = """\
#!/usr/bin/env python3

import os
import subprocess
import psyflow.study as ps


def func(pset):
    fn = os.path.join(pset["_calc_dir"], pset["_pset_id"], "output.txt")
    cmd = (
        f"mkdir -p $(dirname {fn}); "
        f"echo {pset['a']} {pset['a']*2} {pset['a']*4} > {fn}"
    )
    subprocess.run(cmd, shell=True)
    return {"cmd": cmd}


if __name__ == "__main__":
    params = ps.plist("a", [1, 2, 3, 4])
    df = ps.run_local(func, params)
    print(df)
"""
EVALUATION = """\
import numpy as np
import psyflow.study as ps

df = ps.df_read("calc/database.pk")

# Filter database
df = df[df.a > 0 & ~df.a.isna()]

arr = np.array(
    [np.loadtxt(f"calc/{pset_id}/output.txt") for pset_id in df._pset_id.values]
)

# Add new column to database, print and write new eval database
df["mean"] = arr.mean(axis=1)

cols = ["a", "mean", "_pset_id"]
ps.df_print(df[cols])

ps.df_write(df, "calc/database_eval.pk")
"""


def test_getting_started() -> None:
    # W1, W3, W7, W8, W10, W13, W28
    told = re.sub(r"(?m)^(>>>|\.\.\.) ?", "", GETTING_STARTED)
    Path("input.py").write_text(told)
    done = subprocess.run([sys.executable, "input.py"], check=True, capture_output=True)
    printed = done.stdout.decode()
    assert re.search(r"(?m)^   a   b +_run_id  \\$", printed)
    df = ps.df_read("calc/database.pk")
    own = [name for name in df if not name.startswith("_")]
    assert own == ["a", "b", "result"]
    assert df[["a", "b"]].values.tolist() == [[a, b] for a in (1, 2, 3) for b in (88, 99)]
    assert df._pset_sha1[0] == "088056f830758f949823ddc52bf8527f3e727b45"
    assert df._pset_sha1[5] == "2e6c6c9a2b05115fced36edab5cafb038c926176"


def test_an_interactive_session_does_the_same() -> None:
    # W28
    console = InteractiveConsole()
    for line in re.sub(r"(?m)^(>>>|\.\.\.) ?", "", GETTING_STARTED).splitlines():
        console.push(line)
    pd.reset_option("display.max_columns")
    assert len(ps.df_read("calc/database.pk")) == 6


def test_save_data_on_disk_and_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    # W11, W16, W17, W28
    for name, source in [("10run.py", SAVE_DATA_ON_DISK), ("20eval.py", EVALUATION)]:
        Path(name).write_text(source)
        capsys.readouterr()
        runpy.run_path(name, run_name="__main__")
    assert len([*Path("calc").glob("*/output.txt")]) == 4
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["a", "mean", "_pset_id"]
    assert [line.split()[:2] for line in printed[1:]] == [
        ["1", "2.333333"],
        ["2", "4.666667"],
        ["3", "7.000000"],
        ["4", "9.333333"],
    ]
    assert "mean" in ps.df_read("calc/database_eval.pk")
