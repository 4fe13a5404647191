"""`psyflow.map` where others have the say: notebooks, and executors of other libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = """
import nbclient, nbformat
cells = [
    '''
import os, signal, threading, time, psyflow
factor = 3
class Pair:
    def __init__(self, a):
        self.b = factor * a
def slow(pair):
    print("at", pair.b)
    time.sleep(0.4)
    return {"b": pair.b}
''',
    'psyflow.map(slow, [{"pair": Pair(1)}, {"pair": Pair(2)}], pool_size=1)["b"]',
    '''
told = os.path.abspath("told")
def stuck(a):
    if a == 2:
        while not os.path.exists(told):
            time.sleep(0.01)
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(1000)
    return {"b": a}
def tell(outcome):
    if outcome.pset["a"] == 1:
        open(told, "w").close()
kept = psyflow.map(stuck, [{"a": a} for a in range(4)], pool_size=1, on_outcome=tell)
kept["b"], len(kept.missing.to_psets())
''',
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
nbclient.NotebookClient(notebook, timeout=200).execute()
for cell in notebook.cells:
    for output in cell.outputs:
        print(output.get("text") or output["data"]["text/plain"], end="")
    print()
"""

ON_EXECUTORLIB = """
import executorlib, psyflow
with executorlib.SingleNodeExecutor(max_workers=2) as executor:
    results = psyflow.map(
        lambda a: {"b": 2 * a}, [{"a": 1}, {"a": 2}], backend=executor, progress=False
    )
print(results["b"])
"""

ON_DASK = """
from dask.distributed import Client
import psyflow
if __name__ == "__main__":
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=":0") as client:
        executor = client.get_executor()
        print(psyflow.map(lambda a: {"b": 2 * a}, [{"a": 1}], backend=executor)["b"])
"""


def ran(source: str, folder: Path) -> str:
    file = folder / "program.py"
    file.write_text(source)
    command = [sys.executable, "-W", "ignore", file]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def require(*modules: str) -> None:
    if os.environ.get("PSYFLOW_REQUIRE_SERVERS") != "1":
        for module in modules:
            pytest.importorskip(module)


def test_a_notebook_sees_prints_and_progress_and_keeps_what_an_interrupted_cell_did(
    tmp_path: Path,
) -> None:
    require("nbclient", "ipykernel")
    out = ran(NOTEBOOK, tmp_path)
    for text in ("at 3", "at 6", "slow: 2 of 2 items done", "[3, 6]", "([0, 1], 2)"):
        assert text in out


def test_executorlib(tmp_path: Path) -> None:
    require("executorlib")
    assert ran(ON_EXECUTORLIB, tmp_path) == "[2, 4]\n"


def test_the_executor_of_dask(tmp_path: Path) -> None:
    require("distributed")
    assert ran(ON_DASK, tmp_path).startswith("[2]\n")
