"""Values of classes and functions of the task file, and of modules beside it."""

from __future__ import annotations

import importlib
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import psyflow
from psyflow.exceptions import UnmakeableValuesError, UntrustedFileError
from psyflow.runs.trial import try_task
from psyflow.tasks import TaskDef
from tests.support.study import Study

BESIDE = """
import dataclasses
from enum import Enum

@dataclasses.dataclass(frozen=True)
class Prior:
    mean: float

class Mode(Enum):
    FAST = 1
    SLOW = 2

def halved(x): return x / 2
"""
TASK = """
import dataclasses, enum
from beside import Mode, Prior, halved

class Loss(enum.Enum):
    L1, L2 = 1, 2

@dataclasses.dataclass
class Model:
    layers: int
    loss: Loss = Loss.L1

def doubled(x): return 2 * x

pspace = Param(model=[Model(1), Model(2, Loss.L2)], prior=[Prior(0.5), Prior(1.5)])
pspace *= Param(f=[doubled, halved])

def execute(model, prior, f):
    note(layers=model.layers, f=f.__name__)
    return {"y": f(model.layers), "next": Model(model.layers + 1), "mode": Mode.SLOW, "g": halved}
"""
NAMES = {"task_t", "beside"}


@pytest.fixture(autouse=True)
def _own_modules() -> Iterator[None]:
    """Have none of other tests' modules of these names, and leave none behind."""

    def forget() -> None:
        for name in (*NAMES, "task_u"):
            sys.modules.pop(name, None)

    forget()
    yield
    forget()


@pytest.fixture
def study(study: Study) -> Study:
    # What another process has imported is not there where the result is read.
    study.is_apart = True
    return study


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has run; to be copied or read, not to be changed."""
    study = Study(tmp_path_factory.mktemp("ran"))
    study.is_apart = True
    study.task(TASK)
    (study.tasks / "beside.py").write_text(BESIDE)
    study.psy("run")
    assert len(study.calls()) == 4
    return study.folder


@pytest.fixture
def moved(ran: Path, tmp_path: Path) -> Iterator[Study]:
    """The study at another place; `ran` gets it back."""
    study = Study.__new__(Study)
    shutil.move(ran, tmp_path / "study")
    folder = tmp_path / "study"
    study.__dict__.update(folder=folder, tasks=folder / "psy-tasks", python=sys.executable)
    study.__dict__.update(calls_log=folder / "calls.log", _processes=[])
    study.is_apart = True
    yield study
    study.end()
    shutil.move(folder, ran)


def load(folder: Path, **options: Any) -> dict[str, Any]:
    return psyflow.load("t", folder / "psy-tasks", folder / "psy-work", **options)


def shown(columns: dict[str, Any]) -> list[str]:
    return [
        f"{m.layers} {m.loss.name} {f.__name__} {n!r}"
        for m, f, n in zip(columns["model"], columns["f"], columns["next"], strict=True)
    ]


ROWS = [
    "1 L1 doubled Model(layers=2, loss=<Loss.L1: 1>)",
    "1 L1 halved Model(layers=2, loss=<Loss.L1: 1>)",
    "2 L2 doubled Model(layers=3, loss=<Loss.L1: 1>)",
    "2 L2 halved Model(layers=3, loss=<Loss.L1: 1>)",
]


def test_they_are_parameters_and_results_as_they_were(ran: Path) -> None:
    columns = load(ran)
    assert shown(columns) == ROWS
    assert columns["y"] == [2, 0.5, 4, 1]
    assert {type(columns[n][0]).__module__ for n in ("model", "prior", "mode")} == NAMES


def test_another_process_loads_them_from_another_folder(moved: Study, tmp_path: Path) -> None:
    files = moved.folder / "psy-tasks", moved.folder / "psy-work"
    lines = [
        "import psyflow, pickle",
        f"columns = psyflow.load('t', {str(files[0])!r}, {str(files[1])!r})",
        "print(pickle.loads(pickle.dumps(columns))['model'])",
        f"print(psyflow.load({str(files[1] / 't' / 'result.pkl')!r})['model'])",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    model = "[Model(layers=1, loss=<Loss.L1: 1>), Model(layers=1, loss=<Loss.L1: 1>), "
    assert [line.startswith(model) for line in output.stdout.splitlines()] == [True, True]


def test_where_the_study_is_makes_them_no_others(moved: Study) -> None:
    source = (moved.tasks / "task_t.py").read_text()
    assert moved.executed(moved.psy("run").stdout) == []
    try:
        (moved.tasks / "task_t.py").write_text(source.replace("Prior(1.5)]", "Prior(2.5)]"))
        assert "Of 4 items: 2 done, 2 new." in moved.psy("why").stdout
    finally:
        (moved.tasks / "task_t.py").write_text(source)
    assert moved.calls() == []


def test_a_class_that_is_gone_from_the_file_is_the_one_that_was_frozen(
    moved: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (moved.tasks / "task_t.py").read_text()
    (moved.tasks / "task_t.py").write_text(source.replace("Model", "Network"))
    try:
        first = load(moved.folder)
        monkeypatch.syspath_prepend(str(moved.tasks))
        # What was frozen is not what the user gets, who imports a module after that.
        monkeypatch.delitem(sys.modules, "task_t", raising=False)  # of another test
        task = importlib.import_module("task_t")
        assert hasattr(task, "Network")
        again = load(moved.folder)
        assert shown(first) == shown(again) == ROWS
        assert first["next"] == again["next"]
        assert sys.modules["task_t"] is task
    finally:
        (moved.tasks / "task_t.py").write_text(source)


def test_rows_of_a_run_that_failed_in_part_are_of_its_own_classes(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "import dataclasses\nfrom enum import Enum\n"
        "class Kind(Enum):\n    A, B = 1, 2\n"
        "@dataclasses.dataclass\nclass Model:\n    n: int\n    kind: Kind\n"
        "pspace = Param(kind=list(Kind)) * Param(model=[Model(1, Kind.A), Model(2, Kind.B)])\n"
        "def execute(kind, model):\n    assert kind is Kind.A\n    return {'same': model}\n"
    )
    study.task(source)
    study.psy("run", code=1)
    study.task(source.replace("Model", "Network"))
    monkeypatch.syspath_prepend(str(study.tasks))
    monkeypatch.delitem(sys.modules, "task_t", raising=False)  # of another test
    task = importlib.import_module("task_t")
    for _ in range(2):
        columns = study.load()
        assert columns["model"] == columns["same"]
        assert [type(kind).A for kind in columns["kind"]] == columns["kind"]
        kinds = {type(value) for value in [*columns["kind"], columns["same"][0].kind]}
        assert len(kinds) == 1
        assert sys.modules["task_t"] is task


def test_what_is_imported_from_the_task_folder_is_taken(
    ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ran / "psy-tasks"))
    monkeypatch.delitem(sys.modules, "task_t", raising=False)  # of another test
    task = importlib.import_module("task_t")
    assert all(type(model) is task.Model for model in load(ran)["model"])


def test_two_runs_with_equal_modules_share_their_classes(study: Study) -> None:
    (study.tasks / "beside.py").write_text(BESIDE)
    for name in ("t", "u"):
        study.task(
            "from beside import Prior\npspace = Param(n=[1])\n"
            "def execute(n):\n    return {'prior': Prior(n)}\n",
            name,
        )
    study.psy("run")
    first, second, again = (study.load(name)["prior"][0] for name in ("t", "u", "t"))
    assert first == second == again
    assert pickle.loads(pickle.dumps([first, second, again])) == [first] * 3
    # Other code has other classes, which are those of the latest.
    (study.tasks / "beside.py").write_text(BESIDE.replace("mean", "average"))
    study.psy("run", "t")
    newest = study.load()["prior"][0]
    assert (repr(first), repr(newest)) == ("Prior(mean=1)", "Prior(average=1)")
    assert pickle.loads(pickle.dumps(newest)) == newest


def test_a_module_of_the_same_name_from_elsewhere_is_neither_taken_nor_displaced(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "task_t.py").write_text("class Model:\n    layers = 'of another'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    another = importlib.import_module("task_t")
    assert shown(load(ran)) == ROWS
    assert sys.modules["task_t"] is another


def test_those_of_a_copy_are_loaded_when_that_is_trusted(ran: Path, tmp_path: Path) -> None:
    shutil.copytree(ran, tmp_path / "copy")
    mark = tmp_path / "has run"
    frozen = next((tmp_path / "copy/psy-work/t/plans").glob("*/code/task_t.py"))
    frozen.write_text(frozen.read_text() + f"\nPath({str(mark)!r}).touch()\n")
    with pytest.raises(UntrustedFileError, match=r"add --trust .* or trust=True to psyflow.load"):
        load(tmp_path / "copy")
    with pytest.raises(UntrustedFileError, match=r"The code in .* is not run"):
        psyflow.load(tmp_path / "copy/psy-work/t/result.pkl")
    # Named, it is loaded if the import system knows the modules, as any pickle is.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path / "copy/psy-tasks"))
        assert shown(psyflow.load(tmp_path / "copy/psy-work/t/result.pkl")) == ROWS
    assert not mark.exists()
    for name in NAMES:
        sys.modules.pop(name)
    assert shown(load(tmp_path / "copy", trust=True)) == ROWS
    assert mark.exists()


def test_an_item_that_takes_its_process_along_is_told_with_its_parameters(study: Study) -> None:
    study.task(
        "class Model:\n    def __repr__(self): return 'Model of mine'\n"
        "pspace = Param(model=[Model()])\n"
        "def execute(model):\n    os.abort()\n"
    )
    study.psy("run", code=1)
    (failed,) = json.loads(study.psy("status", "--json").stdout)["t"]["failed"]
    assert (failed["kind"], failed["pset"]) == ("crash", {"model": "Model of mine"})


def test_a_module_that_ends_the_program_ends_no_loading(study: Study) -> None:
    study.task("class Model: pass\npspace = Param(n=[1])\ndef execute(n): return {'m': Model()}\n")
    study.psy("run")
    (frozen,) = study.folder.glob("psy-work/t/plans/*/code/task_t.py")
    frozen.write_text("raise SystemExit")
    with pytest.raises(UnmakeableValuesError, match="task_t ends the program"):
        study.load()


def test_a_trial_evaluates_psets_of_ones_own_classes(study: Study) -> None:
    study.task(
        "class Model:\n    n = 3\n"
        "pspace = Param(model=[Model()])\ndef execute(model): return {'y': model.n}\n"
    )
    trial = try_task(TaskDef(study.tasks / "task_t.py"))
    assert (trial.failures, trial.row and trial.row["y"]) == ([], 3)


CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
import joblib
import beside, model

OFFSET = int(Path(__file__).with_name("offset.txt").read_text())

class Scaled:
    def __init__(self, by): self.by = by
    def __call__(self, x): return self.by * x

def shifted(x): return x + OFFSET

FUNCTIONS = [shifted, Scaled(3), beside.g, model.g]
pspace = Param(how=["fork", "spawn", "forkserver", "loky"])

def execute(how):
    for file in (__file__, beside.__file__, model.__file__):
        if not Path(file).read_text().startswith("raise"):
            Path(file).write_text("raise SystemExit('edited')\\n")
    if how == "loky":
        done = joblib.Parallel(2, backend=how)(joblib.delayed(f)(1) for f in FUNCTIONS)
        return {"y": done}
    done = []
    for f in FUNCTIONS:
        with ProcessPoolExecutor(1, multiprocessing.get_context(how)) as pool:
            done.append(pool.submit(f, 1).result())
    return {"y": done}
"""


def test_children_of_any_start_method_find_the_frozen_code(study: Study) -> None:
    (study.tasks / "offset.txt").write_text("40")
    (study.folder / "src").mkdir()
    (study.folder / "src/model.py").write_text("def g(x): return x + 100\n")
    (study.tasks / "beside.py").write_text(
        "from pathlib import Path\nN = int(Path(__file__).with_name('offset.txt').read_text())\n"
        "def g(x): return x + 10 * N\n"
    )
    study.task(CHILDREN)
    study.psy("run")
    assert (
        psyflow.PickleStore().load(study.folder / "psy-work/t/result.pkl")["y"]
        == [[41, 3, 401, 101]] * 4
    )


REFUSED = {
    "lambda x: x": "a function that cannot be kept: it is a lambda, which no name leads to. "
    "Write it at the top of your file, as def NAME(...).",
    "local()": "a Local with a type in it that cannot be kept: it is defined inside of a function,"
    " where no name leads to it. Define the class at the top of your file",
    "{'a': [threading.Lock()]}": "a dict with a lock in it that cannot be kept: ",
    "open(__file__)": "a TextIOWrapper that cannot be kept: ",
    "(i for i in [])": "a generator that cannot be kept: ",
    "Stubborn(1, 2)": "a Stubborn that cannot be kept: its pickle cannot be loaded",
}


@pytest.mark.parametrize("store", [".pkl", ".npz"])
def test_results_that_nobody_can_keep_are_refused_by_name(study: Study, store: str) -> None:
    made = ", ".join(f"lambda: {value}" for value in REFUSED)
    study.task(
        # One result can be kept, or the run would end before the others.
        f"import threading\nstore = {store!r}\npspace = Param(n=range(-1, {len(REFUSED)}))\n"
        "class Stubborn(Exception):\n    def __init__(self, a, b): super().__init__(a)\n"
        "def local():\n    class Local: pass\n    return Local()\n"
        f"def execute(n):\n    return {{'y': n, 'model': [{made}][n]() if n >= 0 else 0}}\n"
    )
    study.psy("run", code=1)
    failed = json.loads(study.psy("status", "--json").stdout)["t"]["failed"]
    for failure, why in zip(failed, REFUSED.values(), strict=True):
        start = f'UnsupportedDataError: execute returned, as "model", {why}'
        assert failure["exception"].startswith(start)
        assert failure["exception"].endswith('leave it out: exclude_from_result = ["model"].')
    study.task((study.tasks / "task_t.py").read_text() + "exclude_from_result = ['model']\n")
    study.psy("run")
    assert list(study.load()["y"]) == list(range(-1, len(REFUSED)))
