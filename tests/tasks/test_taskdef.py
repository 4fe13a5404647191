"""Loading one task file."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import cloudpickle
import pytest

from psyflow.exceptions import TaskFileError, UnknownSettingWarning
from psyflow.store import AutodetectStore, NpzStore, PickleStore
from psyflow.tasks import Config, TaskDef

SQUARE = """
    from psyflow.pspace import Param
    pspace = Param(x=[1, 2, 3])
    def execute(x):
        return {'y': x ** 2}
"""


def test_a_task(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = TaskDef(write(task_square=SQUARE + "    max_jobs = 7\n    unrelated = 1"))
    assert task.name == "square"
    assert task.path == tmp_path / "tasks" / "task_square.py"
    assert task.execute(x=3) == {"y": 9}
    assert len(task.pspace) == 3
    assert (task.max_jobs, task.min_items, task.conf_path) == (7, 1, None)
    assert (task.base, task.workdir) == (tmp_path, tmp_path / "psy-work")
    assert task.folder == tmp_path / "psy-work" / "square"
    assert task.resultfile == tmp_path / "psy-work" / "square" / "result.pkl"
    assert not task.workdir.exists()


def test_relative_paths_start_from_where_psy_is_called(write, tmp_path):
    more = "    workdir = 'w/../work'\n    resultfile = 'out/r.npz'\n    file_dep = ['d.csv']"
    path = write(task_square=SQUARE + more)
    task = TaskDef(path, base=tmp_path / "here")
    assert task.workdir == tmp_path / "here" / "work"
    assert task.resultfile == tmp_path / "here" / "out" / "r.npz"
    assert task.file_dep == [tmp_path / "tasks" / "d.csv"]


def test_the_store_fits_the_result_file(write):
    def load(more):
        return TaskDef(write(task_square=SQUARE + "    " + more))

    assert isinstance(load("resultfile = 'r.NPZ'").store, NpzStore)
    assert isinstance(load("resultfile = 'r.dat'").store, PickleStore)
    assert load("store = '.npz'").resultfile.name == "result.npz"
    auto = "from psyflow.store import AutodetectStore as A; store = A(); resultfile = 'r.h5'"
    assert isinstance(load(auto).store, AutodetectStore)
    with pytest.raises(
        TaskFileError, match=r"`resultfile` ends in \.h5, but `store` writes \.npz"
    ):
        load("store = '.npz'; resultfile = 'r.h5'")


def test_the_name_may_be_set(write):
    task = TaskDef(write(task_square=SQUARE + "    name = 'other'"))
    assert (task.name, task.folder.name) == ("other", "other")


@pytest.mark.parametrize("file", ["task_", "task_a b", "task_-c", "task_a:b"])
def test_files_whose_names_make_no_task_name(write, file):
    with pytest.raises(TaskFileError, match="`name` must be"):
        TaskDef(write(**{file: SQUARE}))


def test_the_code_runs_in_its_folder_with_its_modules(write, tmp_path):
    path = write(
        helpers="import os\nfolder = os.getcwd()\ndef square(x): return x * x",
        task_a="""
            import os, sys
            import helpers
            pspace = [{'x': 1}]
            seen = (os.getcwd(), sys.path[0], __file__, __name__)
            sys.path.append('/nonexistent/lib')
            def execute(x): return {'y': helpers.square(x), 'seen': seen, 'from': helpers.folder}
        """,
    )
    row = TaskDef(path).execute(x=3)
    folder = str(tmp_path / "tasks")
    assert row["y"] == 9
    assert row["seen"][:3] == (folder, folder, str(path))
    assert row["seen"][3] != "__main__"
    assert row["from"] == folder


def test_folder_and_path_come_back_if_the_code_raises(write):
    # That they do is checked by the fixture `same_process`.
    path = write(task_a="import os, sys\nos.chdir('/')\nsys.path.append('x')\n1 / 0")
    with pytest.raises(TaskFileError, match="ZeroDivisionError: division by zero"):
        TaskDef(path)


def test_tasks_of_two_folders_have_each_their_own_modules(write, tmp_path):
    task = "import helpers\npspace = []\ndef execute(): return helpers.NAME"
    loaded = [
        TaskDef(
            write(
                **{f"{folder}__in__helpers": f"NAME = {folder!r}"}
                | {f"{folder}__in__task_a": task}
            )
        )
        for folder in "ab"
    ]
    assert [t.execute() for t in loaded] == ["a", "b"]


def test_modules_are_imported_once_and_again_when_edited(write):
    helpers = "from counter import n\nn.append(1)\nVALUE = 1"
    task = """
        from helpers import VALUE
        import counter
        pspace = []
        def execute(): return VALUE, len(counter.n)
    """
    path = write(counter="n = []", helpers=helpers, task_a=task)
    assert TaskDef(path).execute() == (1, 1)
    assert TaskDef(path).execute() == (1, 1)
    write(helpers=helpers.replace("VALUE = 1", "VALUE = 20"))
    assert TaskDef(path).execute() == (20, 1)


def test_a_module_that_appears_is_found(write):
    path = write(task_a="import late\npspace = []\nexecute = late.f")
    with pytest.raises(TaskFileError, match="ModuleNotFoundError: No module named 'late'"):
        TaskDef(path)
    write(late="def f(): return 1")
    assert TaskDef(path).execute() == 1


def test_functions_and_classes_can_be_pickled(write, tmp_path):
    source = """
        import dataclasses
        pspace = [{'x': 1}]
        @dataclasses.dataclass
        class Point:
            x: 'int'
        def execute(x): return Point(x)
    """
    one, two = (TaskDef(write(**{f"{folder}__in__task_a": source})) for folder in "ab")
    for task in (one, two):
        for dumps, loads in ((pickle.dumps, pickle.loads), (cloudpickle.dumps, cloudpickle.loads)):
            with task.importable():
                point = loads(dumps(task.execute))(3)
                assert loads(dumps(point)) == point == task.execute(3)
    assert type(one.execute(3)) is not type(two.execute(3))


@pytest.mark.parametrize(
    ("file", "module"),
    [("task_a", "task_a"), ("task_a-b", "task_a-b"), ("task_v1.2", "task_v1_2")],
)
def test_the_module_has_the_name_of_the_file_in_whatever_folder(write, file, module):
    source = "pspace = []\ndef execute(): pass"
    tasks = [TaskDef(write(**{f"{folder}__in__{file}": source})) for folder in "ab"]
    assert [task.execute.__module__ for task in tasks] == [module, module]


def test_values_can_be_pickled_after_the_file_was_edited_and_loaded_again(write):
    source = "class Model: pass\npspace = [{'model': Model()}]\ndef execute(model): pass"
    task = TaskDef(write(task_a=source))
    write(task_a=source + "\nN = 1")
    again = task.reload()
    for each in (task, again):
        with each.importable():
            assert type(pickle.loads(pickle.dumps(each.pspace[0]["model"]))) is type(
                each.pspace[0]["model"]
            )


def test_defaults_of_psy_conf(write, tmp_path):
    conf = "max_jobs = 3\nmin_items = 4\nworkdir = 'w'\nseven = 7\nfile_dep = ['d']"
    path = write(**{"psy-conf": conf}, task_square=SQUARE + "    min_items = 5")
    task = TaskDef(path, base=tmp_path)
    assert (task.max_jobs, task.min_items, task.workdir) == (3, 5, tmp_path / "w")
    assert task.file_dep == [path.parent / "d"]
    assert task.conf_path == path.with_name("psy-conf.py")
    assert TaskDef(path, Config()).max_jobs == 100
    assert TaskDef(path, Config({"max_jobs": 9})).max_jobs == 9
    other = tmp_path / "other.py"
    other.write_text("max_jobs = 11")
    assert TaskDef(path, other).max_jobs == 11


def test_execute_may_be_in_psy_conf(write):
    path = write(**{"psy-conf": "def execute(x): return {'y': x}"}, task_a="pspace = [{'x': 1}]")
    assert TaskDef(path).execute(x=3) == {"y": 3}


def test_psy_conf_cannot_name_tasks(write):
    path = write(**{"psy-conf": "name = 'x'"}, task_square=SQUARE)
    with pytest.raises(TaskFileError, match=r"psy-conf\.py: `name` cannot be set"):
        TaskDef(path)


def test_errors_of_psy_conf_name_it(write):
    path = write(**{"psy-conf": "max_jobs = 0"}, task_square=SQUARE)
    with pytest.raises(TaskFileError, match=r"psy-conf\.py: `max_jobs`"):
        TaskDef(path)
    with pytest.raises(TaskFileError, match=r"There is no file .*nosuch\.py"):
        TaskDef(path, path.with_name("nosuch.py"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def execute(x): pass", "`pspace` is not set"),
        ("pspace = [{'x': 1}]", "`execute` is not set"),
        (
            "pspace = [{'x': 1}]\ndef excute(x): pass",
            '`execute` is not set. Did you mean "excute"',
        ),
        ("pspace = 3\ndef execute(x): pass", "`pspace` must be a parameter space"),
        ("pspace = []\nexecute = 3", "`execute` must be a function"),
        ("def execute(x:", "SyntaxError"),
        ("import sys\nsys.exit(3)", "ends the program: SystemExit: 3"),
        ("open('nosuch.csv')", "FileNotFoundError"),
        ("x = 1\0", "does not load"),
    ],
)
def test_task_files_that_are_refused(write, source, message):
    path = write(task_a=source)
    with pytest.raises(TaskFileError) as caught:
        TaskDef(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(TaskFileError, match=r'There is no file ".*task_none\.py"'):
        TaskDef(tmp_path / "task_none.py")


def test_the_traceback_starts_at_the_users_lines(write):
    path = write(
        helpers="def f(x):\n    raise ValueError('what?')",
        task_a="from helpers import f\npspace = f(1)",
    )
    with pytest.raises(TaskFileError) as caught:
        TaskDef(path)
    lines = caught.value.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1:3] == [f'  File "{path}", line 2, in <module>', "    pspace = f(1)"]
    assert any("helpers.py" in line for line in lines)
    assert lines[-1] == "ValueError: what?"
    assert "psyflow/tasks" not in caught.value.traceback
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_traceback_of_a_syntax_error_shows_the_place(write):
    path = write(task_a="x = 1\ndef execute(:\n")
    with pytest.raises(TaskFileError) as caught:
        TaskDef(path)
    assert f'File "{path}", line 2' in caught.value.traceback
    assert "psyflow/tasks" not in caught.value.traceback


def test_a_task_that_failed_leaves_no_module_behind(write):
    before = set(sys.modules)
    with pytest.raises(TaskFileError):
        TaskDef(write(task_a="1 / 0"))
    assert set(sys.modules) == before


def misspelt(write, source, **files):
    """Return the messages that a task with `source` is warned with."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        TaskDef(write(**files, task_square=SQUARE + "    " + source))
    assert all(w.category is UnknownSettingWarning for w in caught)
    assert all(w.message.task_name in ("square", "psy-conf") for w in caught)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("schedular_args = {'timelimit': '1h'}", "scheduler_args"),
        ("schedular = None", "scheduler"),
        ("max_job = 3", "max_jobs"),
        ("MAX_JOBS = 3", "max_jobs"),
        ("maxjobs: int = 3", "max_jobs"),
        ("pool_szie = 3", "pool_size"),
        ("stroe = 3", "store"),
        ("stores = 3", "store"),
        ("nmae = 'x'", "name"),
        ("def set_up(i): pass", "setup"),
        ("exclude_from_results = ['x']", "exclude_from_result"),
        ("work_dir, q = 'x', 2", "workdir"),
        ("workdri = 'x'; print(workdri)", "workdir"),
        ("if True: bakend = 3", "backend"),
    ],
)
def test_misspelt_settings(write, capsys, source, meant):
    (message,) = misspelt(write, source)
    assert f"Did you mean `{meant}`?" in message
    assert 'task_square.py", line 5' in message


@pytest.mark.parametrize(
    "source",
    [
        "max_jobs = 3",
        "helper = 3; radius = 2; n = 3; data = []",
        "_max_job = 3",
        "def score(x): pass\n    value = score(3)",
        "names = ['a']\n    print(names)",
        "from psyflow.store import Store, NpzStore as stores",
        "import pickle as stor",
        "class Store: pass",
        "def f():\n        max_job = 3",
        "[stor for stor in range(3)]",
        "for nam in range(3): pass",
        "name = 'other'; names2 = name",
    ],
)
def test_names_that_are_no_misspelt_settings(write, capsys, source):
    assert misspelt(write, source) == []


def test_misspelt_settings_in_psy_conf(write):
    (message,) = misspelt(write, "", **{"psy-conf": "pool_sizes = 3"})
    assert 'psy-conf.py", line 1' in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def execute(x): pass", "`execute` does not take `y`"),
        ("def execute(x, z): pass", "`execute` does not take `y`"),
        ("def execute(x, y, rat): pass", "needs `rat`"),
        (
            "pspace = [{'radius': 1}]\ndef execute(radios): pass",
            'not take `radius`, which the parameter space gives. Did you mean "radios"?',
        ),
        ("def execute(): pass", "`execute` does not take `x`, `y`"),
        ("def execute(x, y, z): pass", "`execute` needs `z`"),
        ("def execute(x, *, z, y): pass", "`execute` needs `z`"),
        ("def execute(z, **kwargs): pass", "`execute` needs `z`"),
        ("def execute(x, y, /): pass", "by position only"),
        ("def setup(i): pass\ndef execute(x, context): pass", "does not take `y`"),
        ("def setup(): pass\ndef execute(**kwargs): pass", "as in `def setup(worker): ...`"),
        ("def setup(i, j): pass\ndef execute(**kwargs): pass", "`setup` has to take one argument"),
        ("from functools import partial\nexecute = partial(lambda x: 0)", "does not take `y`"),
    ],
)
def test_execute_that_cannot_take_the_space(write, source, message):
    path = write(task_a="pspace = [{'x': 1, 'y': 2}]\n" + source)
    with pytest.raises(TaskFileError, match="task_a") as caught:
        TaskDef(path).check_execute()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "def execute(x, y): pass",
        "def execute(*args, y, x): pass",
        "def execute(x, y, z=3): pass",
        "def execute(**kwargs): pass",
        "def execute(x, **kwargs): pass",
        "def execute(a=0, /, **kwargs): pass",
        "def setup(proc_id): pass\ndef execute(x, y, context): pass",
        "setup = dict.fromkeys\ndef execute(x, y): pass",
        "class Model:\n    def __call__(self, x, y): pass\nexecute = Model()",
        "class Model:\n    def run(self, x, y): pass\nexecute = Model().run",
        "from functools import partial\nexecute = partial(lambda x, y, z: 0, z=3)",
        "execute = dict",
        "setup = dict\nexecute = dict",
    ],
)
def test_execute_that_can_take_the_space(write, source):
    TaskDef(write(task_a="pspace = [{'x': 1, 'y': 2}]\n" + source)).check_execute()


def test_an_empty_space_has_nothing_to_call_execute_with(write):
    TaskDef(write(task_a="pspace = []\ndef execute(x): pass")).check_execute()


def test_fingerprint_holds_code_and_files(write, tmp_path):
    more = "    file_dep = ['data/d.csv', '../e.csv']"
    path = write(**{"psy-conf": "import os\nos.umask(os.umask(0o22))"}, task_square=SQUARE + more)
    (path.parent / "data").mkdir()
    (path.parent / "data" / "d.csv").write_text("1")
    (tmp_path / "e.csv").write_text("2")
    task = TaskDef(path)
    before = task.fingerprint()
    assert set(before) == {
        "execute",
        "data/d.csv",
        "../e.csv",
        "psy-conf.<module>",
        "psy-conf.os",
    }
    (tmp_path / "e.csv").write_text("3")
    after = TaskDef(path).fingerprint()
    assert {name for name in before if before[name] != after[name]} == {"../e.csv"}
    assert {"pspace", "Param"} <= set(task.space_fingerprint())


def test_a_file_that_results_depend_on_has_to_be_there(write):
    path = write(task_square=SQUARE + "    file_dep = ['nosuch.csv']")
    with pytest.raises(TaskFileError, match=r"nosuch\.csv"):
        TaskDef(path).fingerprint()


def test_reload_reads_the_files_again(write, tmp_path):
    path = write(**{"psy-conf": "max_jobs = 3"}, task_square=SQUARE)
    task = TaskDef(path, base=tmp_path / "here")
    write(**{"psy-conf": "max_jobs = 4"}, task_square=SQUARE.replace("[1, 2, 3]", "[1]"))
    again = task.reload()
    assert (again.max_jobs, len(again.pspace), again.base) == (4, 1, task.base)
    assert (task.max_jobs, len(task.pspace)) == (3, 3)


def test_inside_a_task_its_modules_can_be_imported(write):
    source = "pspace = []\ndef execute():\n    import lazy\n    return lazy.VALUE, lazy.folder"
    path = write(lazy="import os\nVALUE = 3\nfolder = os.getcwd()", task_a=source)
    task = TaskDef(path)
    with pytest.raises(ModuleNotFoundError):
        task.execute()
    with task.inside():
        assert task.execute() == (3, str(path.parent))
        assert Path.cwd() == path.parent
        assert sys.path[0] == str(path.parent)


def test_linked_task_files_stay_where_they_are_seen(write, tmp_path):
    path = write(elsewhere__in__task_a="import helpers\npspace = []\nexecute = helpers.f")
    linked = tmp_path / "tasks" / "task_a.py"
    linked.symlink_to(path)
    write(helpers="def f(): return 1")
    assert TaskDef(linked).execute() == 1
    assert TaskDef(linked).path == linked


def test_a_relative_path_is_taken_from_the_working_directory(write, monkeypatch):
    path = write(task_square=SQUARE)
    monkeypatch.chdir(path.parent)
    assert TaskDef(path.name).path == path
    assert TaskDef(path.name, base="x").base == path.parent / "x"
    assert TaskDef(path.name).folder.is_absolute()
