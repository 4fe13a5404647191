"""A real Slurm whose jobs die before their first item."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.place import Place

from .private_slurm import PrivateSlurm

TASK = """
from psyflow import Param
from psyflow.scheduler import Slurm

scheduler = Slurm()
scheduler_args = {{"timelimit": "5", "memory": "100M"}}
max_jobs = 2
pspace = Param(x=range(8))
{more}
def execute(x):
    return {{"y": x**2}}
"""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("python = 'env /no/such/python'", "/no/such/python"),
        ("def setup(proc_id):\n    raise OSError('no licence')", "OSError: no licence"),
        ("import os\nif 'SLURM_JOB_ID' in os.environ: import no_such_module", "no_such_module"),
    ],
)
def test_the_log_is_quoted(tmp_path: Path, slurm: PrivateSlurm, more: str, words: str) -> None:
    place = Place(tmp_path)
    place.task("t", TASK.format(more=more))
    waited = place.program("run", "--wait")
    for told in (
        waited.stderr,
        place.call("status", "t").stderr,
        place.program("failures", "t").stdout,
    ):
        assert words in told
        assert "ended before" in told
        assert ".log ends with:" in told
