"""What a cluster says of limits is told where it refuses jobs."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from psyflow.scheduler import GridEngine, Slurm
from psyflow.scheduler.slurm.limits import parse_limits, told_limits
from tests.support.place import SQUARE, Place

from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

TASK = "from psyflow.scheduler import Slurm\nscheduler = Slurm()\nmax_jobs = 4\n" + SQUARE


def test_limits_of_a_real_accounting(
    tmp_path: Path, accounted_slurm: PrivateSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = getpass.getuser()
    accounted_slurm.client("sacctmgr", "-i", "add", "account", "physics")
    accounted_slurm.client("sacctmgr", "-i", "add", "user", user, "account=physics")
    limit = ("set", "MaxSubmitJobs=3", "where", f"user={user}", "account=physics")
    accounted_slurm.client("sacctmgr", "-i", "modify", "user", *limit)
    told = Slurm().limits({"account": "physics"})
    assert "MaxSubmit = 3 jobs submitted (account physics)" in told
    assert any(text.startswith("MaxArraySize = ") for text in told)
    # It does not enforce them here; a program in its place refuses as it would.
    place, real = Place(tmp_path), accounted_slurm.client("sh", "-c", "command -v sbatch").strip()
    programs = tmp_path / "bin"
    programs.mkdir()
    refusal = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
    (programs / "sbatch").write_text(
        f'#!/bin/sh\ncase "$*" in *--array*) echo "{refusal} (job submit limit)" >&2; exit 1;; '
        f'esac\nexec {real} "$@"\n'
    )
    (programs / "sbatch").chmod(0o755)
    place.task("t", TASK)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    shown = place.program("run", "t")
    assert shown.returncode == 3
    assert "MaxSubmit = 3 jobs submitted (account physics)" in shown.stderr
    assert "set a smaller max_jobs" in shown.stderr


def test_limits_of_grid_engine(gridengine: PrivateGridEngine) -> None:
    assert any(text.startswith("max_aj_tasks = ") for text in GridEngine().limits())


def test_what_is_no_limit_is_not_told() -> None:
    rows = parse_limits("Account|QOS|MaxJobs|MaxSubmit|GrpSubmit\na|normal|5||\nb||7|9|\n")
    assert told_limits(rows, "a") == ["MaxJobs = 5 jobs running (account a)"]
    assert len(told_limits(rows)) == 3
    assert parse_limits("") == []
