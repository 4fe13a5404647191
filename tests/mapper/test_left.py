"""A map that is interrupted leaves nothing to do on the engine that it was on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mapper.test_engines import require
from tests.support.processes import PATIENCE

SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
import psyflow, psyflow.exceptions

FOLDER = Path(sys.argv[1])

def slow(x):
    (FOLDER / f"{{x}}.called").touch()
    while not (FOLDER / "go").exists():
        time.sleep(0.01)
    return {{"y": x}}

def n_called():
    return len(list(FOLDER.glob("*.called")))

def interrupt():
    while n_called() < 2:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

if __name__ == "__main__":
    {start}
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        psyflow.map(slow, [{{"x": x}} for x in range(60)], backend="{name}", progress=False)
    except psyflow.exceptions.MapInterrupted as interruption:
        print(len(interruption.results.missing.to_psets()))
    (FOLDER / "go").touch()
    # Whatever is left to do would be done before these.
    others = [{{"x": x}} for x in range(60, 80)]
    print(psyflow.map(slow, others, backend="{name}", progress=False)["y"] == list(range(60, 80)))
    print(n_called() - 20)
    {end}
"""
STARTS = {
    "dask": (
        "distributed",
        "import distributed; client = distributed.Client(n_workers=2, threads_per_worker=1, "
        'dashboard_address=":0")',
        "client.shutdown()",
    ),
    "ray": (
        "ray",
        "import ray; ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)",
        "ray.shutdown()",
    ),
}


@pytest.mark.parametrize("name", STARTS)
def test_what_has_not_begun_never_does(tmp_path: Path, name: str) -> None:
    module, start, end = STARTS[name]
    require(module)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(name=name, start=start, end=end))
    words = [sys.executable, "-W", "ignore", str(script), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "60\nTrue\n2\n", done.stderr
