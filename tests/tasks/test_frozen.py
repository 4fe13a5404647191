"""Loading the frozen copy of a task, as its jobs do."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint import freeze_code
from psyflow.tasks import TaskDef

TASK = """
    from pathlib import Path
    import helpers, pkg.sub
    import os
    DATA = (Path(__file__).parent / 'd.csv').read_text()
    pspace = [{'x': 1}]
    def execute(x):
        import lazy
        if x < 0:
            return helpers.fail()
        return dict(
            data=DATA, helper=helpers.VALUE, sub=pkg.sub.VALUE, lazy=lazy.VALUE, file=__file__,
            own=helpers.__file__, cwd=os.getcwd(), found=helpers.found(), other=pkg.sub.other(),
        )
"""
HELPERS = """
    VALUE = 'old'
    def fail(): raise ValueError('old')
    def found():
        import not_frozen
        return not_frozen.VALUE
"""
SUB = """
    VALUE = 'old'
    def other():
        name = 'not_frozen'
        from pkg import __path__
        return __import__('pkg.not_' + name[4:]).not_frozen.VALUE
"""


@pytest.fixture
def frozen(write, tmp_path):
    """Freeze a task and edit or remove all that was frozen; give the code folder and the path."""
    path = write(
        **{"psy-conf": "max_jobs = 3"},
        helpers=HELPERS.replace("import not_frozen", "not_frozen = __import__('not_frozen')"),
        lazy="VALUE = 'old'",
        pkg__in____init__="",
        pkg__in__sub=SUB,
        task_a=TASK,
    )
    (path.parent / "d.csv").write_text("data")
    code = tmp_path / "psy-work" / "a" / "code"
    freeze_code(path, path.with_name("psy-conf.py"), code)
    write(
        **{"psy-conf": "max_jobs = 4"},
        helpers="VALUE = 'new'",
        lazy="VALUE = 'new'",
        pkg__in__sub="VALUE = 'new'",
        task_a="1 / 0",
    )
    write(not_frozen="VALUE = 'there'", pkg__in__not_frozen="VALUE = 'there too'")
    return code, path


def test_the_frozen_code_runs_as_if_it_were_in_its_place(frozen, tmp_path):
    code, path = frozen
    task = TaskDef.load_frozen(code, path, base=tmp_path)
    assert (task.path, task.code_path) == (path, code / "task_a.py")
    assert (task.name, task.max_jobs, task.folder) == ("a", 3, tmp_path / "psy-work" / "a")
    assert task.conf_path == path.with_name("psy-conf.py")
    with task.inside():
        row = task.execute(x=1)
    assert row == {
        "data": "data",
        "helper": "old",
        "sub": "old",
        "lazy": "old",
        "file": str(path),
        "own": str(path.with_name("helpers.py")),
        "cwd": str(path.parent),
        "found": "there",
        "other": "there too",
    }


def test_the_frozen_lines_are_in_tracebacks(frozen):
    code, path = frozen
    task = TaskDef.load_frozen(code, path)
    with task.inside(), pytest.raises(ValueError, match="old") as caught:
        task.execute(x=-1)
    text = "".join(traceback.format_exception(caught.value))
    assert f'File "{code / "task_a.py"}", line 9, in execute\n    return helpers.fail()' in text
    assert f'File "{code / "helpers.py"}", line 2' in text
    assert "def fail(): raise ValueError('old')" in text


def test_frozen_and_present_code_do_not_mix(frozen, write):
    code, path = frozen
    write(task_a="import helpers\npspace = []\ndef execute(): return helpers.VALUE")
    assert TaskDef(path).execute() == "new"
    frozen_task = TaskDef.load_frozen(code, path)
    with frozen_task.inside():
        assert frozen_task.execute(x=1)["helper"] == "old"
    assert TaskDef(path).execute() == "new"


def test_reloading_stays_frozen(frozen):
    code, path = frozen
    again = TaskDef.load_frozen(code, path).reload()
    assert (again.code_path, again.max_jobs) == (code / "task_a.py", 3)


def test_fingerprints_are_of_the_frozen_code(frozen):
    code, path = frozen
    parts = TaskDef.load_frozen(code, path).fingerprint()
    assert "old" in parts["helpers.VALUE"].source


def test_no_conf_was_frozen(write, tmp_path):
    path = write(task_a="pspace = []\ndef execute(): return 1")
    freeze_code(path, None, tmp_path / "code")
    write(**{"psy-conf": "max_jobs = 3"})
    assert TaskDef.load_frozen(tmp_path / "code", path, conf=None).max_jobs == 100


def test_errors_in_frozen_code_show_the_frozen_lines(write, tmp_path):
    path = write(task_a="x = 1\nx / 0")
    freeze_code(path, None, tmp_path / "code")
    write(task_a="")
    with pytest.raises(TaskFileError) as caught:
        TaskDef.load_frozen(tmp_path / "code", path)
    assert f'File "{tmp_path / "code" / "task_a.py"}", line 2' in caught.value.traceback
    assert "x / 0" in caught.value.traceback


def test_misspelt_settings_are_not_told_again_in_jobs(write, tmp_path):
    # pytest turns every warning into an error.
    path = write(task_a="max_job = 3\npspace = []\ndef execute(): return 1")
    freeze_code(path, None, tmp_path / "code")
    assert TaskDef.load_frozen(tmp_path / "code", path).max_jobs == 100


def test_folders_without_init_are_frozen_too(write, tmp_path):
    path = write(
        ns__in__mod="VALUE = 'old'",
        task_a="import ns.mod\npspace = []\ndef execute(): return ns.mod.VALUE",
    )
    freeze_code(path, None, tmp_path / "code")
    write(ns__in__mod="VALUE = 'new'")
    assert TaskDef.load_frozen(tmp_path / "code", path).execute() == "old"


def test_a_process_can_enter_a_task_for_good_and_pickles_pass_between_processes(frozen, tmp_path):
    code, path = frozen
    script = """
import pickle, sys
from psyflow.tasks import TaskDef
task = TaskDef.load_frozen(*sys.argv[1:3])
task.enter()
task.enter()
print(task.execute(x=1)['lazy'], pickle.dumps(task.execute).hex(), len(sys.path))
"""
    command = [sys.executable, "-c", script, str(code), str(path)]
    lazy, pickled, _ = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.split()
    assert lazy == "old"
    import pickle

    task = TaskDef.load_frozen(code, path)
    assert pickle.loads(bytes.fromhex(pickled)) is task.execute
