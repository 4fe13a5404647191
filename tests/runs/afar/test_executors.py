"""Task files on executors of other libraries, and the task files of the pages."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.runs.afar.studies import require, started
from tests.support.study import Study

DOCS = Path(__file__).parents[3] / "docs" / "schedulers"
MAKERS = {
    "threads": (
        "concurrent.futures",
        "from concurrent.futures import ThreadPoolExecutor\n    return ThreadPoolExecutor(2)",
    ),
    "loky": (
        "joblib.externals.loky",
        "from joblib.externals.loky import ProcessPoolExecutor\n    return ProcessPoolExecutor(2)",
    ),
    "executorlib": (
        "executorlib",
        "from executorlib import SingleNodeExecutor\n    return SingleNodeExecutor(max_workers=2)",
    ),
    "mpi4py": (
        "mpi4py.futures",
        "from mpi4py.futures import MPIPoolExecutor\n    return MPIPoolExecutor(max_workers=1)",
    ),
    "parsl": (
        "parsl",
        "import parsl, parsl.concurrent\n"
        "    from parsl.executors import ThreadPoolExecutor\n"
        "    config = parsl.Config(executors=[ThreadPoolExecutor(max_threads=2)])\n"
        "    return parsl.concurrent.ParslPoolExecutor(config)",
    ),
}
SMALL_PAYLOAD = """
pspace = Param(x=range(30))

def execute(x):
    print("at", x)
    if x == 3:
        import os
        os.abort()
    return {"y": x**2}
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of their own dependencies
@pytest.mark.parametrize("name", MAKERS)
def test_executors_of_other_libraries(
    study: Study, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Open MPI asks for this where tests run as root.
    for variable in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(variable, "1")
    module, make = MAKERS[name]
    is_required = os.environ.get("PSYFLOW_REQUIRE_SERVERS") == "1"
    if name == "mpi4py" and not (is_required or shutil.which("mpirun")):
        pytest.skip("there is no MPI; .ci/install-servers installs one")
    require(module)
    source = f"""
from psyflow import Param
from psyflow.scheduler import Executor

def make_executor():
    {make}

scheduler = Executor(make_executor, n_workers=2)
"""
    study.write("t", source + SMALL_PAYLOAD)
    # These libraries set up their whole process, MPI even behind Python's back, and for good.
    study.is_apart = True
    study.psy("run", code=1)
    assert study.rows() == [(x, x**2) for x in range(30) if x != 3]
    assert "at 8\n" in study.psy("log", "t", "8").stdout
    study.wait_until_gone()


@pytest.mark.parametrize("page", ["dask", "ray", "executor"])
def test_the_task_file_of_the_page(study: Study, page: str) -> None:
    (shown,) = [b for b in blocks((DOCS / f"{page}.md").read_text()) if b.file_name]
    assert shown.file_name == "psy-tasks/task_pendulum.py"
    text = shown.text
    with tempfile.TemporaryDirectory(prefix="e-") as folder:
        engine = started(page, Path(folder))
        try:
            address = getattr(engine, "address", "")
            for written in ("tcp://127.0.0.1:8786", "auto"):
                text = text.replace(written, address)
            study.write("pendulum", text)
            study.psy("run")
        finally:
            engine.end()
    assert len(study.load("pendulum")["period"]) == 24
