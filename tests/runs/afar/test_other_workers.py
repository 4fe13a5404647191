"""Workers that are not as the host of `psy` is."""

from __future__ import annotations

from pathlib import Path

import pytest

import psyflow
from tests.runs.afar.studies import require, write
from tests.support.engines import DaskServers
from tests.support.study import Study

LACKING = """
import sys

class Nobody:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "psyflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nobody())
"""
OTHER_PSYFLOW = "import psyflow; psyflow.__version__ = '0.0.1'\n"
OTHER_PYTHON = "import platform; platform.python_version = lambda: '3.99.1'\n"
OTHER_NUMPY = "import numpy; numpy.__version__ = '0.5.0'\n"
TASK = """
import pathlib
pspace = Param(x=range(4))

def execute(x):
    pathlib.Path({trace!r}).touch()
    return {{"y": x}}
"""


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (LACKING, ("psyflow is not installed where the workers are", "pip install ")),
        (
            OTHER_PSYFLOW,
            (f"psyflow is 0.0.1 there, and {psyflow.__version__} here", "pip install "),
        ),
        (OTHER_PYTHON, ("Python is 3.99.1 there", "Start the workers with Python 3.")),
    ],
    ids=["no psyflow", "another psyflow", "another Python"],
)
def test_other_workers_are_refused_before_anything_is_computed(
    study: Study, tmp_path: Path, site: str, words: tuple[str, ...]
) -> None:
    require("distributed")
    trace = tmp_path / "called"
    servers = DaskServers(tmp_path / "servers", site)
    try:
        write(study, servers.scheduler, TASK.format(trace=str(trace)))
        said = study.psy("run", code=3).stderr
    finally:
        servers.end()
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert not trace.exists()


def test_another_numpy_is_told(study: Study, tmp_path: Path) -> None:
    require("distributed")
    servers = DaskServers(tmp_path / "servers", OTHER_NUMPY)
    try:
        write(study, servers.scheduler, TASK.format(trace=str(tmp_path / "called")))
        study.psy("run")
    finally:
        servers.end()
    assert study.rows() == [(x, x) for x in range(4)]
    assert "NumPy is 0.5.0 there" in study.logs()
