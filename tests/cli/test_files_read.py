"""Files that evaluations read, and whose content does not count, are named once."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

from psyflow.record.plan import Plan
from psyflow.runs.process import OBSERVED, _Observer
from psyflow.system import audit
from tests.support.place import SQUARE

FILES = ("study.yaml", "model.json", "script.py", "space.txt", "unused.txt", "dep.txt", "p.csv")
READS = """
from pathlib import Path
import subprocess, sys
from psyflow import Param
import helper, other

with open("study.yaml") as file:
    SETTINGS = file.read()
file_dep = ["dep.txt"]
pspace = Param(x=[len(Path("space.txt").read_text()), 2, 3, 4, 5]) * Param(p=[Path("p.csv")])

def execute(x, p):
    for file in ("dep.txt", "../data/d.csv", OUTSIDE, p, __file__, "../psy-work/t/plan.json"):
        Path(file).read_bytes()
    Path("made.txt").write_text("1")
    Path("made.txt").read_text()
    subprocess.run([sys.executable, "script.py"], check=True)
    return {"y": helper.model() + SETTINGS}
"""


@pytest.fixture
def study(place, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "o.csv"
    outside.write_text("")
    place.task("t", READS.replace("OUTSIDE", repr(str(outside))))
    (place.folder / "data").mkdir()
    (place.folder / "data" / "d.csv").write_text("")
    tasks = place.folder / "psy-tasks"
    for name in FILES:
        (tasks / name).write_text("")
    (tasks / "helper.py").write_text(
        "from pathlib import Path\nM = Path('model.json').read_text()\ndef model(): return M"
    )
    (tasks / "other.py").write_text(
        "import pathlib\nUNUSED = pathlib.Path('unused.txt').read_text()"
    )
    return place


NAMED = (
    "task_t.py reads ../data/d.csv, model.json, script.py, study.yaml: set file_dep = "
    '["dep.txt", "../data/d.csv", "model.json", "script.py", "study.yaml"] '
    "(then, to keep the results: psy accept t)\n"
)


def test_what_is_read_and_does_not_count_is_named_once(study):
    assert NAMED in study.psy("run").stderr
    assert "reads" not in study.psy("run").stderr + study.psy("status").stderr
    # What `psy` in another terminal, or a scheduler's jobs, have left to say.
    (study.work / "t" / "told.json").unlink()
    before = study.snapshot()
    assert NAMED in study.psy("status").stderr
    assert study.snapshot() == before
    assert NAMED in study.psy("run").stderr
    assert "reads" not in study.psy("run").stderr


def test_who_follows_the_advice_is_told_nothing_more_and_keeps_the_results(study):
    study.psy("run")
    (study.work / "t" / "told.json").unlink()
    file = study.folder / "psy-tasks" / "task_t.py"
    advised = NAMED.partition(": set ")[2].partition(" (")[0]
    file.write_text(file.read_text().replace('file_dep = ["dep.txt"]', advised))
    assert study.psy("accept", "t").returncode == 0
    ran = study.psy("run")
    assert "-- t:process" in ran.stdout and "reads" not in ran.stderr
    (study.folder / "psy-tasks" / "model.json").write_text("changed")
    assert "not up to date: model.json: the content changed" in study.psy("status").stderr


def test_many_files_of_one_kind_are_named_by_a_glob_also_behind_a_link(place):
    # Each item reads all: for how many items a worker is watched depends on how long they take.
    reading = "    for n in range(20): open(f'data/{n}.csv').close()\n    return"
    place.task("t", SQUARE.replace("    return", reading))
    (place.folder / "psy-tasks" / "data").mkdir()
    for x in range(20):
        (place.folder / "psy-tasks" / "data" / f"{x}.csv").write_text("")
    linked = place.folder.with_name(f"{place.folder.name}-linked")
    linked.symlink_to(place.folder)
    place.folder = linked
    assert 'task_t.py reads data/*.csv: add file_dep = ["data/*.csv"]' in place.psy("run").stderr
    linked.unlink()


def test_files_that_psets_name_as_text_had_better_be_paths(place):
    source = SQUARE.replace("    return", "    open(x).close()\n    return").replace("x**2", "1")
    place.task("t", source.replace("range(4)", "['a.csv', 'b.csv', 'none']"))
    for name in ("a.csv", "b.csv"):
        (place.folder / "psy-tasks" / name).write_text("")
    told = place.psy("run").stderr
    assert "task_t.py reads a.csv, b.csv, which `x` names as text: give it as pathlib.Path" in told
    assert "file_dep" not in told


def test_a_damaged_record_is_named_and_stops_nothing(study):
    study.psy("run")
    (record,) = study.work.glob("t/plans/*/reads/*.json")
    record.write_text("{")
    status = study.psy("status")
    assert status.returncode == 0 and f"{record} is damaged" in status.stderr
    assert study.psy("clean", "-y", "t").returncode == 0
    assert not (study.work / "t").exists()


@pytest.fixture
def plan(study) -> Plan:
    study.psy("run")
    found = Plan.read(study.work / "t" / "plan.json")
    assert found is not None
    for record in found.frozen.reads.iterdir():
        record.unlink()
    return found


def test_only_the_first_items_are_watched(plan, study):
    file = study.folder / "psy-tasks" / "model.json"
    observer = _Observer(plan)
    assert observer(OBSERVED - 1)
    assert not plan.frozen.reads.exists() or not list(plan.frozen.reads.iterdir())
    file.read_text()
    assert not observer(1)
    (record,) = plan.frozen.reads.iterdir()
    assert json.loads(record.read_text()) == {"read": ["model.json"], "made": []}
    (study.folder / "psy-tasks" / "script.py").read_text()
    assert audit._state.watching is None
    assert not observer(1) and len(list(plan.frozen.reads.iterdir())) == 1


def test_what_goes_wrong_while_watching_is_said_and_raised_nowhere(plan, study, monkeypatch):
    monkeypatch.setattr(audit.FilesUsed, "take", lambda *_: 1 / 0)
    observer = _Observer(plan)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        (study.folder / "psy-tasks" / "model.json").read_text()
        observer(1)
    assert "Nobody can say which files are read: ZeroDivisionError" in said.getvalue()
    monkeypatch.setattr("psyflow.runs.process.note_read", lambda *_: 1 / 0)
    with contextlib.redirect_stdout(said):
        observer(1)
    assert said.getvalue().count("Nobody can say") == 2
    observer(OBSERVED)


def events(folder: Path) -> audit.FilesUsed:
    return audit.FilesUsed((f"{folder}/",), "/nowhere/")


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("open", ("FOLDER/a", "r", 0)),
        ("open", (b"FOLDER/a", None, 0)),
        ("subprocess.Popen", ("sh", ["sh", "-c", "prog <FOLDER/b FOLDER/a"], None, None)),
        ("subprocess.Popen", ("sh", ["cat", "a"], "FOLDER", None)),
        ("os.system", (b"cat FOLDER/a",)),
        ("sqlite3.connect", ("FOLDER/a",)),
        ("ctypes.dlopen", ("FOLDER/a",)),
    ],
)
def test_events_that_tell_of_a_file_that_is_read(event, arguments):
    used = events(Path("FOLDER").absolute())
    used.take(event, tuple(_in_folder(argument) for argument in arguments))
    assert str(Path("FOLDER/a").absolute()) in used.read and not used.written


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("open", ("FOLDER/a", "w", 0)),
        ("open", ("FOLDER/a", "r+b", 0)),
        ("open", ("FOLDER/a", None, 0o101)),
        ("os.rename", ("FOLDER/tmp", "FOLDER/a", -1, -1)),
    ],
)
def test_events_that_tell_of_a_file_that_is_written(event, arguments):
    used = events(Path("FOLDER").absolute())
    used.take(event, tuple(_in_folder(argument) for argument in arguments))
    assert used.written == {str(Path("FOLDER/a").absolute())} and not used.read


def test_events_that_tell_of_no_file_are_none():
    used = events(Path("/"))
    for event, arguments in (
        ("open", (3, "r", 0)),
        ("open", (None, None, 0)),
        ("import", ("os",)),
    ):
        used.take(event, arguments)
    assert not used.read and not used.written


def _in_folder(argument: object) -> object:
    here = str(Path("FOLDER").absolute())
    if isinstance(argument, str):
        return argument.replace("FOLDER", here)
    if isinstance(argument, bytes):
        return argument.replace(b"FOLDER", here.encode())
    return [_in_folder(part) for part in argument] if isinstance(argument, list) else argument


def test_a_hook_is_added_once():
    added = []
    original, sys.addaudithook = sys.addaudithook, added.append
    had = audit._state.has_hook
    try:
        audit._state.has_hook = False
        audit.watch([], Path("/a"))
        audit.watch([], Path("/b")).end()
    finally:
        sys.addaudithook, audit._state.has_hook = original, had
    assert len(added) == 1
