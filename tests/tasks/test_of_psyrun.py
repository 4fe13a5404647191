"""What task files written for psyrun do, and psyflow's own would not have to."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

import psyflow
from psyflow import Param, map_pspace, map_pspace_hdd_backed, map_pspace_parallel
from psyflow.exceptions import ItemsFailedError, TaskFileError, UnknownSettingWarning
from psyflow.pspace import ParameterSpace
from psyflow.tasks import TaskDef
from tests.runs.test_places import square
from tests.support.study import Study


class Halves(ParameterSpace):
    """A space as psyrun's users write them."""

    def __init__(self, n):
        super().__init__(["x"])
        self.n = n

    def __len__(self):
        return self.n

    def iterate(self):
        yield from ({"x": i / 2} for i in range(self.n))


def test_a_space_may_be_a_class_with_length_and_iterate() -> None:
    space = Halves(3)
    assert (len(space), space.keys(), space.build()) == (3, ["x"], {"x": [0.0, 0.5, 1.0]})
    assert (space * Param(y=[1, 2]))[3] == {"x": 0.5, "y": 2}
    assert (space + Param(x=[9])).build() == {"x": [0.0, 0.5, 1.0, 9]}
    assert (space - Param(x=[0.5])).build() == {"x": [0.0, 1.0]}
    assert Halves(0).build() == {"x": []}
    assert map_pspace(fn=lambda x: {"y": 2 * x}, pspace=space)["y"] == [0.0, 1.0, 2.0]


SPACE = """
class Halves(ParameterSpace):
    def __len__(self):
        return 3
    def iterate(self):
        yield from ({"x": i / 2} for i in range(3))
pspace = Halves()
"""


def test_a_task_may_have_a_space_of_a_class_of_its_own(study: Study) -> None:
    study.task(
        "from psyflow.pspace import ParameterSpace\n"
        + SPACE
        + "max_jobs = None\ndef setup(proc_id):\n    pass\ndef execute(x):\n    return {'y': x}\n"
    )
    study.psy("run")
    assert study.rows() == [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]
    assert study.executed(study.psy("run").stdout) == []


@pytest.mark.parametrize("name", ["Slurm", "slurm", "Sqsub", "ImmediateRun"])
def test_schedulers_may_be_named_by_their_classes(study: Study, name: str) -> None:
    study.psy("new-task", "-s", name, "t")
    assert type(TaskDef(study.tasks / "task_t.py").scheduler).__name__.lower() == name.lower()


@pytest.mark.parametrize(
    ("line", "is_told"),
    [("from psyrun.store.npz import NpzStore", True), ("import psyrunner", False)],
)
def test_an_import_of_psyrun_is_told_with_what_to_write(
    study: Study,
    line: str,
    is_told: bool,
) -> None:
    square(study, "range(2)", settings=line)
    with pytest.raises(TaskFileError) as raised:
        TaskDef(study.tasks / "task_t.py")
    assert ("write `psyflow` where the file says `psyrun`" in str(raised.value)) == is_told


def test_seeds_are_no_misspelt_seed(study: Study) -> None:
    square(study, "range(2)", settings="seeds = [1, 2]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TaskDef(study.tasks / "task_t.py")


def dies_at_three(x: int) -> dict[str, int]:
    if x == 3:
        os._exit(5)
    return {"y": x**2}


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_worker_that_dies_costs_one_pset(backend: str, tmp_path: Path) -> None:
    space = Param(x=range(20))
    with pytest.raises(ItemsFailedError) as raised:
        map_pspace_parallel(dies_at_three, space, n_jobs=2, backend=backend)
    assert raised.value.columns["x"] == [x for x in range(20) if x != 3]
    assert [(f.item, f.kind) for f in raised.value.failures] == [(3, "crash")]
    file = tmp_path / "r.npz"
    with pytest.raises(ItemsFailedError):
        map_pspace_hdd_backed(dies_at_three, space, file, pool_size=2, backend=backend)
    kept = map_pspace_hdd_backed(dies_at_three, Param(x=[0, 1, 2]), file)
    assert sorted(kept["x"]) == [x for x in range(20) if x != 3]


@pytest.mark.parametrize("ext", [".pkl", ".npz", ".h5"])
def test_a_map_of_nothing_leaves_a_file_to_load(ext: str, tmp_path: Path) -> None:
    file = tmp_path / f"r{ext}"
    map_pspace_hdd_backed(dies_at_three, Param(x=[]), file, return_data=False)
    assert {name: list(column) for name, column in psyflow.load(file).items()} == {"x": []}
    assert list(map_pspace_hdd_backed(dies_at_three, Param(x=[2]), file)["y"]) == [4]
    assert {path.name for path in tmp_path.iterdir()} == {file.name, f"{file.name}.code.json"}


@pytest.mark.parametrize("name", ["scheduler_args", "exclude_from_result", "file_dep", "setup"])
def test_none_stands_for_no_values(study: Study, name: str) -> None:
    square(study, "range(2)", settings=f"{name} = None")
    assert not getattr(TaskDef(study.tasks / "task_t.py"), name)


@pytest.mark.parametrize(
    ("setting", "present"),
    [("max_splits = 4", "max_jobs"), ("mapper = map", "pool_size"), ("method = 1", "backend")],
)
def test_settings_of_old_are_told_with_their_present_names(
    study: Study,
    setting: str,
    present: str,
) -> None:
    square(study, "range(2)", settings=setting)
    with pytest.warns(UnknownSettingWarning, match=f"Did you mean `{present}`"):
        TaskDef(study.tasks / "task_t.py")


def test_a_helper_may_have_the_name_of_an_old_setting(study: Study) -> None:
    square(study, "range(2)", settings="method = 'euler'\nprint(method)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TaskDef(study.tasks / "task_t.py")
