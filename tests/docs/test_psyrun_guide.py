"""Every example of psyrun's user guide works when the name of the package is changed."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import math
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psyflow
from psyflow import Param, map_pspace, map_pspace_parallel
from psyflow.main import psy_main
from psyflow.pspace import AmbiguousOperationError, ParameterSpace, missing
from psyflow.scheduler import Sqsub
from psyflow.store.npz import NpzStore
from psyflow.tasks import Config, TaskDef
from psyflow.utils.example import square

ROOT = Path(__file__).parents[2]
SEED = "seeds/004_037de598e9a889e4.txt"
SHARED = (ROOT.parent / "shared", Path("/work/shared"))

CIRCLE = """\
import numpy as np
from psyrun import Param, Sqsub
from psyrun.store.npz import NpzStore


pspace = Param(radius=np.linspace(0., 1., 100)) * Param(trial=np.arange(50))
min_items = 10
store = NpzStore()
workdir = '/scratch/user/mc_circle_area'
scheduler = Sqsub(workdir)
scheduler_args = {
    'timelimit': '15m',
    'memory': '1G',
}


def execute(radius, trial):
    n = 100
    x = np.random.random((n, 2)) * 2. - 1.
    return {'a_frac': np.mean(np.linalg.norm(x, axis=1) < radius), 'x': x}
""".replace("psyrun", "psyflow")

GPUS = """\
from psyrun.backend import LoadBalancingBackend
import pyopencl

# pspace = ?

backend = LoadBalancingBackend
pool_size = 4
max_jobs = 1

exclude_from_result = ['cl_context']


def setup(proc_id):
    return {
        'cl_context': pyopencl.create_some_context(answers=[0, proc_id]),
    }


def execute(cl_context, **kwargs):
    result = {}
    return result
""".replace("psyrun", "psyflow")

PYOPENCL = """\
class Context:
    def __init__(self, device):
        self.device = device

    def __reduce__(self):
        raise TypeError("a context cannot be pickled")


def create_some_context(answers):
    group, device = answers
    assert group == 0
    return Context(device)
"""


# -- parameter spaces -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Param(a=[1, 2, 3], b=[4, 5, 6], c=7), {"a": [1, 2, 3], "b": [4, 5, 6], "c": [7, 7, 7]}),
        (
            Param(a=[1, 2, 3], b=[4, 5, 6]) * Param(c=[7, 8]),
            {"a": [1, 1, 2, 2, 3, 3], "b": [4, 4, 5, 5, 6, 6], "c": [7, 8, 7, 8, 7, 8]},
        ),
        (
            Param(a=[1, 2, 3], b=[1, 2, 3]) - Param(a=[2]),
            {"a": [1, 3], "b": [1, 3]},
        ),
        (missing(Param(a=[1, 2, 3]), Param(a=[2], c=[4])), {"a": [1, 3]}),
    ],
)
def test_space_is_built(space: ParameterSpace, expected: dict[str, Any]) -> None:
    assert space.build() == expected


def test_sum_fills_missing_values_with_nan() -> None:
    built = (Param(a=[1, 2]) + Param(a=[2, 3], b=[4, 4])).build()
    assert str(built) == "{'a': [1, 2, 2, 3], 'b': [nan, nan, 4, 4]}"


def test_subtrahend_with_more_parameters_is_ambiguous() -> None:
    with pytest.raises(AmbiguousOperationError, match=r"^Key `c` not existent in minuend\."):
        Param(a=[1, 2, 3]) - Param(a=[2], c=[4])


def test_space_is_iterated() -> None:
    psets = (Param(a=[1, 2]) * Param(b=[3, 4])).iterate()
    assert next(psets) == {"a": 1, "b": 3}
    assert list(psets) == [{"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]


# -- evaluating -----------------------------------------------------------------------------------


def basic_math(a: int, b: int) -> dict[str, int]:
    return {"sum": a + b, "product": a * b}


def test_function_is_mapped() -> None:
    assert map_pspace(basic_math, Param(a=[1, 2]) * Param(b=[3, 4])) == {
        "a": [1, 1, 2, 2],
        "b": [3, 4, 3, 4],
        "product": [3, 4, 6, 8],
        "sum": [4, 5, 5, 6],
    }


@pytest.mark.parametrize("options", [{}, {"n_jobs": 2, "backend": "multiprocessing"}])
def test_function_is_mapped_in_parallel(options: dict[str, Any]) -> None:
    assert map_pspace_parallel(square, Param(x=[1, 2, 3]), **options) == {
        "x": [1, 2, 3],
        "y": [1, 4, 9],
    }


# -- task files -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder with a task folder."""
    (tmp_path / "psy-tasks").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_task_file_for_the_sharcnet_is_loaded_without_touching_anything(folder: Path) -> None:
    file = folder / "psy-tasks" / "task_mc_circle_area.py"
    file.write_text(CIRCLE)
    task = TaskDef(file)
    task.check_execute()
    assert isinstance(task.scheduler, Sqsub)
    assert task.scheduler_args == {"timelimit": "15m", "memory": "1G"}
    assert (len(task.pspace), task.min_items, task.store) == (5000, 10, NpzStore())
    assert task.resultfile == Path("/scratch/user/mc_circle_area/mc_circle_area/result.npz")
    assert [path.name for path in folder.rglob("*.*")] == [file.name]


def test_task_file_runs_on_this_machine(folder: Path) -> None:
    here = CIRCLE.replace("Sqsub(workdir)", "ImmediateRun()").replace("Sqsub", "ImmediateRun")
    here = here.replace("'/scratch/user/mc_circle_area'", repr(str(folder / "scratch")))
    (folder / "psy-tasks" / "task_mc_circle_area.py").write_text(here)
    assert psy_main(["run", "mc_circle_area"]) == 0

    result = folder / "scratch" / "mc_circle_area" / "result.npz"
    columns = NpzStore().load(result)
    assert list(columns) == ["radius", "trial", "a_frac", "x"]
    np.testing.assert_array_equal(columns["radius"], np.repeat(np.linspace(0.0, 1.0, 100), 50))
    np.testing.assert_array_equal(columns["trial"], np.tile(np.arange(50), 100))
    assert np.shape(columns["x"]) == (5000, 100, 2)
    inside = np.linalg.norm(columns["x"], axis=2) < columns["radius"][:, np.newaxis]
    np.testing.assert_array_equal(columns["a_frac"], inside.mean(axis=1))
    # 5000 draws of 100 points: the standard error at each radius is below 0.008.
    mean = columns["a_frac"].reshape(100, 50).mean(axis=1)
    assert np.abs(mean - math.pi / 4 * np.linspace(0.0, 1.0, 100) ** 2).max() < 0.05

    before = result.stat()
    assert psy_main(["run", "mc_circle_area"]) == 0
    assert result.stat() == before


def test_several_gpus(folder: Path) -> None:
    (folder / "psy-tasks" / "pyopencl.py").write_text(PYOPENCL)
    recipe = GPUS.replace("# pspace = ?", "from psyflow import Param\npspace = Param(x=range(40))")
    recipe = recipe.replace(
        "    result = {}\n",
        "    result = {'device': cl_context.device}\n"
        # No worker goes on before another one has a device.
        f"    used = pathlib.Path({str(folder / 'used')!r})\n"
        "    (used / str(cl_context.device)).touch()\n"
        "    while len(list(used.iterdir())) < 2:\n        time.sleep(0.01)\n",
    )
    (folder / "used").mkdir()
    (folder / "psy-tasks" / "task_gpus.py").write_text(f"import pathlib\nimport time\n{recipe}")
    assert psy_main(["run"]) == 0
    columns = psyflow.load("gpus")
    assert sorted(columns) == ["device", "x"]
    assert list(columns["x"]) == list(range(40))
    assert set(columns["device"]) <= {0, 1, 2, 3}
    assert len(set(columns["device"])) > 1


def test_result_becomes_a_data_frame(tmp_path: Path) -> None:
    file = tmp_path / "datafile.pkl"
    psyflow.PickleStore().save(file, {"x": [1, 2, 3], "y": [1.0, 4.0, 9.0]})
    recipe = """
import pandas as pd
import psyflow

store = psyflow.store.PickleStore()
df = pd.DataFrame(store.load('path/to/datafile.pkl'))
print(df.to_csv(index=False), end="")
""".replace("path/to/datafile.pkl", str(file))
    printed = subprocess.run(
        [sys.executable, "-c", recipe], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "x,y\n1,1.0\n2,4.0\n3,9.0\n"


def test_plain_pickle_of_a_table_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "datafile.pkl"
    file.write_bytes(pickle.dumps({"x": [1, 2]}))
    assert psyflow.load(file) == {"x": [1, 2]}


# -- the page for those who come from there -------------------------------------------------------


SETTINGS = [
    "pspace",
    "execute",
    "setup",
    "store",
    "backend",
    "scheduler",
    "scheduler_args",
    "max_jobs",
    "min_items",
    "pool_size",
    "workdir",
    "resultfile",
    "exclude_from_result",
    "file_dep",
    "overwrite_dirty",
    "python",
    "name",
]


def moving() -> str:
    text = (ROOT / "docs" / "guide.md").read_text()
    return text[text.index("## Moving from psyrun") :]


def written(row: str) -> str:
    """Return what the table says is to be written, of one of its lines."""
    return row.split(" | ")[-1]


def test_all_settings_that_psyrun_lacks_are_told() -> None:
    line = next(line for line in moving().splitlines() if "that is a setting now" in line)
    assert re.findall(r"`(\w\w+)`", line) == sorted({*Config.settings()} - {*SETTINGS})


def test_what_is_to_be_written_exists() -> None:
    text = "\n".join(written(row) for row in moving().splitlines() if row.startswith("| "))
    names = re.findall(r"psyflow((?:\.\w+)+)", text)
    assert len(names) >= 6
    for name in names:
        found: Any = psyflow
        for part in name.strip(".").split("."):
            with contextlib.suppress(ImportError):
                importlib.import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


def test_what_is_to_be_replaced_does_not_exist() -> None:
    for name in ("get_param", "left"):
        assert not hasattr(Param(a=[1]) * Param(b=[1]), name)
    assert not hasattr(psyflow.AutodetectStore, "get_concrete_store")
    with pytest.raises(AttributeError, match="pspace"):
        _ = Config().pspace


def test_results_that_psyrun_has_not_merged_are_taken_over(folder: Path) -> None:
    (folder / "psy-tasks" / "task_t.py").write_text(
        "from psyflow import Param\npspace = Param(x=range(4))\n"
        "def execute(x):\n    return {'y': x**2}\n"
    )
    work = folder / "psy-work" / "t"
    (work / "out").mkdir(parents=True)
    for x in range(3):
        (work / "out" / f"{x}.pkl").write_bytes(pickle.dumps({"x": [x], "y": [-x]}))
    assert psy_main(["merge", str(work / "out"), str(work / "result.pkl")]) == 0
    assert psy_main(["run", "-c", "t"]) == 0
    assert psyflow.load("t") == {"x": [0, 1, 2, 3], "y": [0, -1, -2, 9]}


# -- the text itself, where it is at hand ---------------------------------------------------------


def test_examples_in_the_text_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    text = next((folder / SEED for folder in SHARED if (folder / SEED).is_file()), None)
    if text is None:
        pytest.skip(f"there is no {SEED} in {' or '.join(map(str, SHARED))}")
    page = text.read_text().replace("psyrun", "psyflow")
    test = doctest.DocTestParser().get_doctest(page, {}, "guide", str(text), 0)
    assert len(test.examples) > 20
    runner = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL, verbose=False
    )
    report: list[str] = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
