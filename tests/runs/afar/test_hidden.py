"""A Dask whose workers find the folder of the study empty, in a mount namespace of their own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.afar.studies import failures_of, require
from tests.support.engines import DaskServers
from tests.support.study import Study

TASK = """
import os
from pathlib import Path
import psyflow
from psyflow import Param
from pieces.scale import scaled

{scheduler}
pspace = Param(x=range(12))
seed = 3

class Seen(Exception):
    pass

def execute(x, rng):
    import helper
    if os.listdir({study!r}):
        raise Seen(os.listdir({study!r}))
    if x == 5:
        return {{"y": (Path(__file__).parent / "factor.txt").read_text()}}
    if x == 6:
        os._exit(1)
    print("at", x)
    return {{"y": scaled(x) + helper.FACTOR, "random": rng.random()}}
"""


@pytest.fixture
def hidden(study: Study) -> Iterator[DaskServers]:
    """A Dask whose workers find the study empty."""
    require("distributed")
    words = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("there are no mount namespaces for this user here")
    with tempfile.TemporaryDirectory(prefix="e-") as folder:
        servers = DaskServers(Path(folder) / "dask", hidden=study.folder)
        yield servers
        servers.end()


def test_workers_need_nothing_of_the_study(study: Study, hidden: DaskServers) -> None:
    (study.tasks / "helper.py").write_text("FACTOR = 3\n")
    (study.tasks / "factor.txt").write_text("3")
    (study.tasks / "pieces").mkdir()
    (study.tasks / "pieces" / "__init__.py").touch()
    (study.tasks / "pieces" / "scale.py").write_text("def scaled(x):\n    return 2 * x\n")
    source = TASK.format(scheduler=hidden.scheduler, study=str(study.folder))
    study.write("t", source)
    said = study.psy("run", code=1)
    columns = study.load()
    assert list(columns["y"]) == [2 * x + 3 for x in range(12) if x not in (5, 6)], said.stderr
    assert "at 8" in study.psy("log", "t", "8").stdout
    missing, dead = failures_of(study, "t")
    assert (missing.item, dead.item, dead.kind) == (5, 6, "crash")
    # The file is there on this side: so it is said why it was not found.
    assert str(study.tasks / "factor.txt") in missing.exception
    assert "Where the workers are, this folder is empty" in missing.exception
