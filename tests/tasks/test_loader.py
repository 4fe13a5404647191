"""Finding, selecting and loading the tasks of a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from psyflow.exceptions import (
    TaskFileError,
    TaskLoadWarning,
    UnknownNameError,
    UnknownSettingWarning,
    UsageError,
)
from psyflow.tasks import PackageLoader

GOOD = "pspace = [{'x': 1}]\ndef execute(x): return {}\n"


@pytest.fixture
def loader(write, tmp_path):
    """Give a loader for the files that are written."""

    def _loader(**files):
        write(**files)
        return PackageLoader(tmp_path / "tasks", base=tmp_path)

    return _loader


def test_tasks_are_found_in_order_of_their_files(loader, tmp_path):
    found = loader(task_b=GOOD, task_a=GOOD, other=GOOD, mytask_c=GOOD, sub__in__task_d=GOOD)
    (tmp_path / "tasks" / "task_folder.py").mkdir()
    assert found.names() == ["a", "b"]
    tasks, failures = found.load()
    assert [task.name for task in tasks] == ["a", "b"]
    assert failures == []
    assert tasks[0].base == tmp_path


def test_names_are_read_without_running_anything(loader):
    found = loader(
        task_a="1 / 0",
        task_b="name = 'x'\n1 / 0\nname = 'bee'",
        task_c="def execute(:",
        task_d="def execute():\n    name = 3",
    )
    assert found.names() == ["a", "bee", "c", "d"]


@pytest.mark.parametrize(
    "source",
    [
        "name = 'b' + 'ee'",
        "if True:\n    name = 'bee'",
        "for name in ['bee']: pass",
        "from helpers import bee as name",
        "name, x = 'bee', 1",
        "name = 'x'\nname = name.replace('x', 'bee')",
    ],
)
def test_names_that_have_to_be_computed(loader, source):
    found = loader(helpers="bee = 'bee'", task_b=f"{GOOD}{source}\n")
    assert found.names() == ["bee"]
    assert [task.name for task in found.load()[0]] == ["bee"]


def test_names_that_cannot_be_computed_are_those_of_the_files(loader):
    assert loader(task_b="name = 'x' + 1").names() == ["b"]
    assert loader(task_b="def name(): pass").names() == ["b"]


def test_a_task_that_does_not_load_does_not_stop_the_others(loader):
    found = loader(
        task_a=GOOD, task_b="x = 1\nx / 0", task_c="import sys; sys.exit()", task_d=GOOD
    )
    tasks, failures = found.load()
    assert [task.name for task in tasks] == ["a", "d"]
    assert [failure.task_name for failure in failures] == ["b", "c"]
    assert all(isinstance(failure, TaskLoadWarning) for failure in failures)
    message = str(failures[0])
    assert message.startswith('Task "b" could not be loaded.')
    assert 'task_b.py", line 2, in <module>\n    x / 0' in message
    assert message.endswith("ZeroDivisionError: division by zero")


def test_a_failure_without_a_traceback_says_why(loader):
    (failure,) = loader(task_a="max_jobs = 0\n" + GOOD).load()[1]
    assert "`max_jobs` must be an integer of 1 or more, not 0" in str(failure)
    assert "Traceback" not in str(failure)


def test_only_what_is_selected_is_loaded(loader):
    found = loader(task_a=GOOD, task_b="1 / 0", task_ab=GOOD)
    tasks, failures = found.load(["a*"])
    assert [task.name for task in tasks] == ["a", "ab"]
    assert failures == []


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ([], ["a1", "a2", "b1", "x[1]"]),
        (["b1", "a1"], ["b1", "a1"]),
        (["a*"], ["a1", "a2"]),
        (["?1", "a1", "*"], ["a1", "b1", "a2", "x[1]"]),
        (["[ab]2"], ["a2"]),
        (["x[1]"], ["x[1]"]),
        (["a1", "a1"], ["a1"]),
    ],
)
def test_selection(loader, patterns, selected):
    found = loader(task_a1="", task_a2="", task_b1="", **{"task_x[1]": ""})
    assert found.select(patterns) == selected


def test_a_selection_that_matches_nothing(loader):
    found = loader(task_circle="", task_digits="")
    with pytest.raises(UnknownNameError, match=r'no task "crcle"\. Did you mean "circle"'):
        found.select(["digits", "crcle"])
    with pytest.raises(UnknownNameError, match=r'no task "z\*"'):
        found.load(["z*"])


def test_a_folder_that_is_missing_or_empty(loader, tmp_path):
    for call in (PackageLoader.names, PackageLoader.load, PackageLoader.select):
        with pytest.raises(UsageError, match=r'".*nosuch" does not exist. Type psy new-task NAME'):
            call(PackageLoader(tmp_path / "nosuch"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no task in the folder.*--taskdir"):
        PackageLoader(tmp_path / "empty").names()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        PackageLoader(tmp_path / "file").names()


def test_two_tasks_of_one_name(loader):
    found = loader(task_a=GOOD, task_b="name = 'a'\n" + GOOD)
    with pytest.raises(TaskFileError, match=r'the name "a": ".*task_a\.py" and ".*task_b\.py"'):
        found.load()


def test_psy_conf_is_run_once_for_all_tasks(loader, tmp_path):
    conf = "from pathlib import Path\nwith Path('log').open('a') as f: f.write('x')\nmax_jobs = 3"
    found = loader(**{"psy-conf": conf}, task_a=GOOD, task_b=GOOD)
    tasks, _ = found.load()
    assert [task.max_jobs for task in tasks] == [3, 3]
    assert (tmp_path / "tasks" / "log").read_text() == "x"
    assert tasks[0].conf_path == tmp_path / "tasks" / "psy-conf.py"


def test_a_broken_psy_conf_is_an_error(loader):
    with pytest.raises(TaskFileError, match=r"psy-conf\.py.*ZeroDivisionError"):
        loader(**{"psy-conf": "1 / 0"}, task_a=GOOD).load()


def test_warnings_of_misspelt_settings_name_the_task(loader):
    found = loader(task_a="max_job = 3\n" + GOOD)
    with pytest.warns(UnknownSettingWarning) as caught:
        found.load()
    assert [w.message.task_name for w in caught] == ["a"]


def test_a_folder_that_may_not_be_read_is_not_taken_for_an_empty_one():
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o311)
        if user == 0:  # who may read everything
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                PackageLoader(folder).names()
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o700)


def test_a_relative_folder(write, monkeypatch, tmp_path):
    write(task_a=GOOD)
    monkeypatch.chdir(tmp_path)
    (task,) = PackageLoader("tasks").load()[0]
    assert task.folder == tmp_path / "psy-work" / "a"


def test_listing_names_imports_no_numpy(write):
    folder = write(task_a=GOOD).parent
    script = (
        "import sys; from psyflow.tasks import PackageLoader; print(PackageLoader(sys.argv[1])"
        ".names(), {'numpy', 'tables', 'joblib', 'doit'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "['a'] set()\n"
