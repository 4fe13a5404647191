"""The examples of psweep's README, word for word but for the import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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


def output_of(source: str, name: str = "input.py") -> str:
    Path(name).write_text(source)
    command = [sys.executable, name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_getting_started() -> None:
    # W1, W3, W7, W8, W10, W13, W28
    told = re.sub(r"(?m)^(>>>|\.\.\.) ?", "", GETTING_STARTED)
    printed = output_of(told)
    assert re.search(r"(?m)^   a   b +_run_id  \\$", printed)
    df = ps.df_read("calc/database.pk")
    own = [name for name in df if not name.startswith("_")]
    assert own == ["a", "b", "result"]
    assert df[["a", "b"]].values.tolist() == [[a, b] for a in (1, 2, 3) for b in (88, 99)]
    assert df._pset_sha1[0] == "088056f830758f949823ddc52bf8527f3e727b45"
    assert df._pset_sha1[5] == "2e6c6c9a2b05115fced36edab5cafb038c926176"


def test_an_interactive_session_does_the_same() -> None:
    # W28
    told = re.sub(r"(?m)^(>>>|\.\.\.) ?", "", GETTING_STARTED).replace("\n\n>", "\n>")
    subprocess.run([sys.executable, "-i"], input=told, check=True, capture_output=True, text=True)
    assert len(ps.df_read("calc/database.pk")) == 6


def test_save_data_on_disk_and_evaluate() -> None:
    # W11, W16, W17, W28
    output_of(SAVE_DATA_ON_DISK, "10run.py")
    assert len([*Path("calc").glob("*/output.txt")]) == 4
    printed = output_of(EVALUATION, "20eval.py").splitlines()
    assert printed[0].split() == ["a", "mean", "_pset_id"]
    assert [line.split()[:2] for line in printed[1:]] == [
        ["1", "2.333333"],
        ["2", "4.666667"],
        ["3", "7.000000"],
        ["4", "9.333333"],
    ]
    assert "mean" in ps.df_read("calc/database_eval.pk")
