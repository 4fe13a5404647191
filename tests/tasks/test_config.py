"""The variables of a task file."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psyflow.backend import Backend, DistributeBackend, LoadBalancingBackend
from psyflow.exceptions import TaskFileError, UnknownNameError
from psyflow.fingerprint import NOT_FOLLOWED
from psyflow.pspace import Param
from psyflow.scheduler import ImmediateRun, Slurm
from psyflow.store import H5Store, NpzStore, PickleStore
from psyflow.tasks import REQUIRED, Config


def test_defaults():
    config = Config()
    assert (config.max_jobs, config.min_items, config.pool_size) == (100, 1, 1)
    assert config.setup is config.resultfile is None
    assert config.workdir == Path("psy-work")
    assert config.overwrite_dirty is True
    assert config.python == sys.executable
    assert config.backend is DistributeBackend
    assert isinstance(config.store, PickleStore)
    assert isinstance(config.scheduler, ImmediateRun)
    assert (config.scheduler_args, config.exclude_from_result, config.file_dep) == ({}, [], [])
    assert config.given == set()


def test_defaults_are_not_shared():
    Config().scheduler_args["memory"] = "1G"
    Config().file_dep.append(Path("x"))
    assert Config().scheduler_args == {}
    assert Config().file_dep == []
    config = Config()
    assert config.store is config.store


@pytest.mark.parametrize("name", REQUIRED)
def test_what_has_to_be_set_has_no_default(name):
    with pytest.raises(AttributeError, match=name):
        getattr(Config(), name)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("max_jobs", np.int64(3), 3),
        ("pool_size", 2, 2),
        ("overwrite_dirty", np.bool_(False), False),
        ("workdir", "/scratch/x", Path("/scratch/x")),
        ("workdir", "~/x", Path.home() / "x"),
        ("resultfile", Path("a.h5"), Path("a.h5")),
        ("resultfile", None, None),
        ("exclude_from_result", ("a", "b"), ["a", "b"]),
        ("exclude_from_result", "context", ["context"]),
        ("file_dep", ["a.csv", Path("b")], [Path("a.csv"), Path("b")]),
        ("file_dep", "a.csv", [Path("a.csv")]),
        ("python", Path("/usr/bin/python3"), "/usr/bin/python3"),
        ("setup", None, None),
        ("backend", LoadBalancingBackend, LoadBalancingBackend),
        ("name", "größe_2.1-b", "größe_2.1-b"),
        ("scheduler_args", {"n_cpus": 2}, {"n_cpus": 2}),
        ("store", ".h5", H5Store()),
        ("store", NpzStore, NpzStore()),
        ("store", H5Store("/x"), H5Store("/x")),
    ],
)
def test_values_that_are_taken(name, value, kept):
    config = Config({name: value})
    assert getattr(config, name) == kept
    assert type(getattr(config, name)) is type(kept)
    assert config.given == {name}


def test_auto_takes_the_cpus_that_this_process_may_use():
    assert Config({"pool_size": "auto"}).pool_size == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("value", [Slurm(), Slurm, "slurm", "psyflow.scheduler:Slurm"])
def test_schedulers_by_instance_class_and_name(value):
    assert isinstance(Config({"scheduler": value}).scheduler, Slurm)


@pytest.mark.parametrize(
    "value",
    [
        Param(x=[1, 2]),
        [{"x": 1}, {"x": 2}],
        {"x": [1, 2]},
        pd.DataFrame({"x": [1, 2]}),
    ],
)
def test_spaces_in_every_form(value):
    space = Config({"pspace": value}).pspace
    assert [pset["x"] for pset in space.iterate()] == [1, 2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_jobs", 0),
        ("max_jobs", 2.0),
        ("max_jobs", True),
        ("max_jobs", "3"),
        ("min_items", -1),
        ("pool_size", "many"),
        ("pool_size", 0),
        ("pspace", 3),
        ("pspace", "abc"),
        ("pspace", Param),
        ("pspace", [1, 2]),
        ("execute", {"x": 1}),
        ("execute", None),
        ("setup", 3),
        ("store", os),
        ("store", ".nosuch"),
        ("store", 3),
        ("backend", "distribute"),
        ("backend", Param),
        ("scheduler", "slrum"),
        ("scheduler", DistributeBackend),
        ("scheduler_args", ["-t", 3]),
        ("scheduler_args", {1: 2}),
        ("workdir", ""),
        ("workdir", None),
        ("workdir", b"x"),
        ("resultfile", 3),
        ("exclude_from_result", 3),
        ("exclude_from_result", [3]),
        ("file_dep", {"a": 1}),
        ("file_dep", [None]),
        ("overwrite_dirty", 1),
        ("overwrite_dirty", "no"),
        ("python", None),
        ("name", ""),
        ("name", "a/b"),
        ("name", "a b"),
        ("name", "-c"),
        ("name", "a:b"),
        ("name", ".."),
        ("name", "a\nb"),
        ("name", "a\n"),
        ("name", "a=1"),
        ("name", "a*"),
        ("name", "%a"),
        ("name", 3),
    ],
)
def test_values_that_are_refused(name, value):
    with pytest.raises(TaskFileError, match=rf"^conf\.py: `{name}` must be .*, not ") as caught:
        Config({name: value}, source="conf.py")
    assert len(str(caught.value)) < 500


def test_a_backend_instance_is_refused_with_a_hint():
    class Mine(DistributeBackend):
        def __init__(self) -> None:
            pass

    assert issubclass(Mine, Backend)
    with pytest.raises(TaskFileError, match="give the class itself"):
        Config({"backend": Mine()})


def test_the_reason_is_told():
    with pytest.raises(TaskFileError, match=r'Did you mean "slurm"'):
        Config({"scheduler": "slrum"})


def test_unknown_names_are_errors():
    with pytest.raises(UnknownNameError, match='Did you mean "max_jobs"'):
        Config({"max_job": 3})


def test_setting_an_attribute_is_checked_too():
    config = Config()
    config.max_jobs = 7
    assert config.max_jobs == 7
    with pytest.raises(TaskFileError):
        config.max_jobs = 0
    assert config.max_jobs == 7


def test_every_variable_is_documented():
    text = Config.describe()
    for name, default, allowed, doc in Config.rows():
        assert f"{name} (default: {default})\n    {doc}" in text
        assert allowed
        assert re.fullmatch(r'[A-Z"].*\.', doc)
    assert {row[0] for row in Config.rows()} == set(Config.settings())


def test_what_is_not_code_of_a_result_is_known_to_fingerprints():
    assert set(Config.settings()) - {"execute", "setup"} == NOT_FOLLOWED


def test_load_from_file(tmp_path):
    file = tmp_path / "psy-conf.py"
    file.write_text("max_jobs = 3\nhelper = 4\n")
    conf = Config.load_from_file(file)
    assert (conf.max_jobs, conf.given, conf.file) == (3, {"max_jobs"}, file)
