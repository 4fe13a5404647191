"""A process that has to do with a GPU is found, and nothing is imported to find it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from psyflow.work import gpu
from psyflow.work.fitness import Before
from tests.support.study import Study

DRIVER = """
static int begun = 0;
int cuInit(unsigned flags) { begun = 1; return 0; }
int cuDeviceGetCount(int *n) { *n = 4; return begun ? 0 : 3; }
"""
TASK = """
import ctypes, os
driver = ctypes.CDLL({driver!r})
{begin}
# Who asks for its own number is not forked, whatever else it does.
LOADED_BY = os.readlink("/proc/self")
pspace = Param(x=range(8))
pool_size = 2

def execute(x):
    return {{"forked": LOADED_BY != os.readlink("/proc/self")}}
"""


@pytest.fixture
def driver(tmp_path: Path) -> str:
    """A library that answers as CUDA's does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "libcuda.c"
    source.write_text(DRIVER)
    library = tmp_path / "libcuda.so.1"
    command = [compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source]
    subprocess.run(command, check=True)
    return str(library)


@pytest.mark.parametrize("begins", [False, True])
def test_no_worker_is_a_fork_of_what_uses_the_driver(
    tmp_path: Path, driver: str, begins: bool
) -> None:
    study = Study(tmp_path)
    # What has loaded the driver once, has it for good.
    study.is_apart = True
    study.task(TASK.format(driver=driver, begin="driver.cuInit(0)" if begins else ""))
    study.psy("run")
    assert set(study.load()["forked"]) == {not begins}


def module(**attributes: object) -> types.ModuleType:
    made = types.ModuleType("fake")
    vars(made).update(attributes)
    return made


@pytest.mark.parametrize(
    ("name", "made", "uses"),
    [
        ("torch.cuda", module(is_initialized=lambda: True), True),
        ("torch.cuda", module(is_initialized=lambda: False), False),
        ("jax._src.xla_bridge", module(_backends={"cpu": 1}), False),
        ("jax._src.xla_bridge", module(_backends={"cpu": 1, "cuda": 2}), True),
    ],
)
def test_libraries_are_asked_that_are_loaded(
    monkeypatch: pytest.MonkeyPatch, name: str, made: types.ModuleType, uses: bool
) -> None:
    monkeypatch.setitem(sys.modules, name, made)
    assert gpu.uses_gpu() == uses
    assert (Before().obstacle() == "a GPU is in use") == uses


def test_asking_loads_nothing() -> None:
    before = set(sys.modules)
    gpu.uses_gpu()
    assert set(sys.modules) == before
    with pytest.raises(OSError, match="libcuda"):
        ctypes.CDLL("libcuda.so.1", mode=4)
