"""A study that is copied, moved or linked is where it is, and leaves all others alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import psyflow
from tests.support.processes import PATIENCE, children_of, eventually
from tests.support.study import Study

SQUARE = """
{settings}
pspace = Param(x={space})
def execute(x):
    note(x=x)
    return {{"y": {formula}}}
"""
GATED = """
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    while x >= {gate} and not Path(os.environ["GATE"]).exists():
        time.sleep(0.01)
    return {{"y": x**2}}
"""
COPY: dict[str, list[str]] = {
    "cp -r": ["cp", "-r"],
    "cp -a": ["cp", "-a"],
    "tar": [],
}


def square(study: Study, space: object, formula: str = "x**2", settings: str = "") -> None:
    study.task(SQUARE.format(space=space, formula=formula, settings=settings))


def tree(folder: Path) -> dict[str, str]:
    """Return what every file under `folder` holds."""
    files = [path for path in folder.rglob("*") if path.is_file() and not _is_cache(path)]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _is_cache(path: Path) -> bool:
    return "__pycache__" in path.parts


def copied(study: Study, how: str = "cp -r") -> Study:
    target = study.folder.with_name("copy")
    if how == "tar":
        target.mkdir()
        pack = f"tar -C {study.folder} -cf - . | tar -C {target} -xf -"
        subprocess.run(["sh", "-c", pack], check=True)
    else:
        subprocess.run([*COPY[how], str(study.folder), str(target)], check=True)
    (target / "calls.log").unlink(missing_ok=True)
    return Study(target)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    folder = tmp_path / "study"
    folder.mkdir()
    return Study(folder)


# -- copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", COPY)
@pytest.mark.parametrize("settings", ["", "resultfile = 'r.npz'", "workdir = 'out'"])
def test_a_copy_leaves_the_original_alone(study: Study, how: str, settings: str) -> None:
    square(study, [1, 2, 3], settings=settings)
    study.psy("run")
    copy = copied(study, how)
    before = tree(study.folder)
    assert copy.executed(copy.psy("run").stdout) == []
    copy.psy("status", "-v")
    copy.psy("why")
    for space, formula in (([1, 2, 3, 4], "x**2"), ([1], "x**2"), ([1, 2], "x**3")):
        square(copy, space, formula, settings)
        copy.psy("run")
        assert rows(copy, settings) == [(x, eval(formula)) for x in space]
        assert tree(study.folder) == before
    square(copy, [1, 2], "x + 1", settings)
    copy.psy("accept", "t")
    copy.psy("kill", "-y", "t")
    copy.psy("clean", "t")
    assert tree(study.folder) == before


def rows(study: Study, settings: str) -> list[tuple[object, ...]]:
    workdir = study.folder / ("out" if "workdir" in settings else "psy-work")
    columns = psyflow.load("t", study.tasks, workdir)
    return list(zip(*(list(columns[n]) for n in sorted(columns)), strict=True))


def test_a_copy_computes_only_what_it_lacks(study: Study) -> None:
    square(study, [1, 2, 3])
    study.psy("run")
    copy = copied(study)
    square(copy, [1, 2, 3, 4])
    copy.psy("run")
    assert copy.calls() == ["[('x', 4)]"]


def test_accept_in_a_copy_changes_the_copy_alone(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    copy = copied(study)
    square(copy, [1, 2], "x * x")
    before = tree(study.folder)
    assert "accepted execute" in copy.psy("accept", "t").stdout
    assert tree(study.folder) == before
    assert copy.executed(copy.psy("run").stdout) == []


def test_load_reads_the_folder_that_it_is_asked_about(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    copy = copied(study)
    square(study, [5, 6])
    study.psy("run")
    assert copy.rows() == [(1, 1), (2, 4)]
    assert study.rows() == [(5, 25), (6, 36)]
    by_path = psyflow.load(copy.folder / "psy-work" / "t")
    assert list(by_path["x"]) == [1, 2]


@pytest.mark.parametrize("command", [["kill", "-y", "t"], ["run"], ["clean", "t"]])
def test_a_copy_of_a_running_study_touches_no_job_of_the_original(
    study: Study, command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    study.task(GATED.format(n=4, gate=2))
    psy = study.start("run")
    study.wait_for_calls(3)
    copy = copied(study, "cp -a")
    copy.task(GATED.format(n=4, gate=99))
    if command[0] == "kill":
        assert "no jobs at work" in copy.psy(*command).stderr
    else:
        copy.psy(*command)
    gate.touch()
    psy.communicate(timeout=PATIENCE)
    assert psy.returncode == 0
    assert study.rows() == [(x, x**2) for x in range(4)]
    if command[0] == "run":
        assert copy.rows() == study.rows()


# -- moves ----------------------------------------------------------------------------------------


def moved(study: Study) -> Study:
    return Study(study.folder.rename(study.folder.with_name("moved")))


@pytest.mark.parametrize("settings", ["", "resultfile = 'r.npz'"])
def test_a_moved_study_is_up_to_date(study: Study, settings: str) -> None:
    square(study, [1, 2], settings=settings)
    study.psy("run")
    there = moved(study)
    there.calls()
    assert there.executed(there.psy("run").stdout) == []
    assert there.rows() == [(1, 1), (2, 4)]
    square(there, [1, 2, 3], settings=settings)
    there.psy("run")
    assert there.calls() == ["[('x', 3)]"]
    assert not study.folder.exists()


def test_a_moved_study_is_not_the_one_that_took_its_place(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    there = moved(study)
    study.tasks.mkdir(parents=True)
    square(study, [7])
    study.psy("run")
    assert there.rows() == [(1, 1), (2, 4)]
    assert there.executed(there.psy("run").stdout) == []
    assert study.rows() == [(7, 49)]


def test_an_interrupted_study_that_is_moved_and_extended_keeps_what_is_done(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("GATE", str(gate))
    study.task(GATED.format(n=50, gate=34))
    psy = study.start("run")
    study.wait_for_calls(35)
    eventually(lambda: "34 out of 50 rows" in study.psy("status").stdout)
    for pid in (psy.pid, *children_of(psy.pid)):
        os.kill(pid, signal.SIGKILL)
    psy.communicate()
    study.wait_until_gone()
    there = moved(study)
    there.calls()
    gate.touch()
    there.task(GATED.format(n=60, gate=34))
    there.psy("run")
    assert len(there.calls()) == 26
    assert there.rows() == [(x, x**2) for x in range(60)]


def test_a_result_that_was_moved_away_is_missed(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    result = study.folder / "psy-work/t/result.pkl"
    kept = result.rename(study.folder / "mine.pkl")
    assert "result.pkl, which had 2 rows, is gone" in study.psy("status").stderr
    assert "2 lost" in study.psy("why").stdout
    assert "result.pkl, which had 2 rows, is gone" in study.psy("run").stderr
    assert study.rows() == [(1, 1), (2, 4)]
    assert kept.exists()


def test_a_result_that_was_put_back_is_not_missed(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    study.calls()
    result = study.folder / "psy-work/t/result.pkl"
    shutil.copyfile(result.rename(study.folder / "mine.pkl"), result)
    assert study.executed(study.psy("run").stdout) == []
    assert study.calls() == []


@pytest.mark.parametrize("store", ["pkl", "npz", "h5"])
def test_a_touched_result_is_the_same(study: Study, store: str) -> None:
    """As after rsync without times, or git checkout; the excluded parameter tells no item."""
    square(study, [1, 2], settings=f"store = '.{store}'\nexclude_from_result = ['x']")
    study.psy("run")
    study.calls()
    os.utime(study.folder / f"psy-work/t/result.{store}", (1, 1))
    assert study.executed(study.psy("run").stdout) == []
    square(study, [1, 2, 3], settings=f"store = '.{store}'\nexclude_from_result = ['x']")
    study.psy("run")
    assert study.calls() == ["[('x', 3)]"]


# -- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["psy-work", "psy-work/t", "."])
def test_a_result_is_kept_that_has_two_names_by_a_link(study: Study, link: str) -> None:
    square(study, [1, 2])
    if link == ".":
        study.psy("run")
        other = study.folder.with_name("other")
        other.symlink_to(study.folder)
        linked = Study(other)
    else:
        place = study.folder.parent / "elsewhere"
        place.mkdir()
        (study.folder / "psy-work").mkdir(exist_ok=True)
        if link == "psy-work":
            (study.folder / link).rmdir()
        (study.folder / link).symlink_to(place)
        study.psy("run")
        linked = study
    square(study, [1, 2, 3])
    linked.psy("run")
    assert linked.rows() == [(1, 1), (2, 4), (3, 9)]
    square(study, [2, 3], settings="resultfile = 'psy-work/../psy-work/t/result.pkl'")
    study.psy("run")
    assert (study.folder / "psy-work/t/result.pkl").exists()
    assert study.rows() == [(2, 4), (3, 9)]


# -- one folder, two studies ----------------------------------------------------------------------


def test_two_checkouts_do_not_share_a_workdir(study: Study, tmp_path: Path) -> None:
    settings = f"workdir = {str(tmp_path / 'scratch')!r}"
    square(study, [1, 2], settings=settings)
    study.psy("run")
    other = copied(study)
    square(other, [1, 2], "x**3", settings)
    before = tree(tmp_path / "scratch")
    for command in (["run"], ["status"], ["why"], ["accept", "t"], ["kill", "t"], ["clean", "t"]):
        shown = other.psy(*command, code=3)
        assert f"is that of {study.tasks / 'task_t.py'}" in shown.stderr
    with pytest.raises(psyflow.exceptions.TaskFileError, match="is that of"):
        psyflow.load("t", other.tasks)
    assert tree(tmp_path / "scratch") == before
    # A checkout that is gone has no use for it.
    shutil.rmtree(study.folder)
    other.psy("run")
    assert list(psyflow.load("t", other.tasks)["y"]) == [1, 8]


def test_two_copies_do_not_share_a_linked_workdir(study: Study, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (study.folder / "psy-work").symlink_to(tmp_path / "scratch")
    square(study, [1, 2])
    study.psy("run")
    other = copied(study, "cp -a")
    assert "is that of" in other.psy("run", code=3).stderr
    there = moved(study)
    assert there.executed(there.psy("run").stdout) == []


def test_a_copy_does_not_write_the_result_file_of_the_original(
    study: Study, tmp_path: Path
) -> None:
    settings = f"resultfile = {str(tmp_path / 'r.npz')!r}"
    square(study, [1, 2], settings=settings)
    study.psy("run")
    other = copied(study)
    assert other.executed(other.psy("run").stdout) == []
    square(other, [1, 2, 3], settings=settings)
    assert "is that of" in other.psy("run", code=3).stderr
    other.psy("clean", "t")
    assert study.rows() == [(1, 1), (2, 4)]


# -- rows of unknown code -------------------------------------------------------------------------


@pytest.mark.parametrize("settings", ["", "resultfile = 'r.npz'"])
def test_rows_of_unknown_code_are_never_mixed_with_others(study: Study, settings: str) -> None:
    square(study, [1, 2], settings=settings)
    study.psy("run")
    _forget(study, settings)
    square(study, [1, 2], "x**3", settings)
    shown = study.psy("run")
    assert study.executed(shown.stdout) == []
    assert shown.stderr.count("unknown code") == 1
    assert "unknown code" in study.psy("status").stderr
    assert "psy accept t" in study.psy("why").stdout
    square(study, [1, 2, 3], "x**3", settings)
    assert "not up to date: 2 rows of" in study.psy("status").stderr
    assert "unknown code" in study.psy("run").stderr
    assert study.rows() == [(1, 1), (2, 8), (3, 27)]
    (kept,) = study.folder.glob("psy-work/t/archive/*/r*.*")
    assert list(psyflow.load(kept)["y"]) == [1, 4]


def _forget(study: Study, settings: str) -> None:
    """Remove all that psyflow knows of a result."""
    result = study.folder / ("r.npz" if settings else "psy-work/t/result.pkl")
    content = result.read_bytes()
    shutil.rmtree(study.folder / "psy-work")
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_bytes(content)


@pytest.mark.parametrize("settings", ["", "resultfile = 'r.npz'"])
def test_rows_of_unknown_code_may_be_accepted(study: Study, settings: str) -> None:
    square(study, [1, 2], settings=settings)
    study.psy("run")
    study.calls()
    _forget(study, settings)
    square(study, [1, 2, 3], settings=settings)
    assert "2 rows" in study.psy("accept", "-n", "t").stdout
    assert "accepted 2 rows" in study.psy("accept", "t").stdout
    study.psy("run")
    assert study.calls() == ["[('x', 3)]"]
    assert study.rows() == [(1, 1), (2, 4), (3, 9)]
    assert "unknown code" not in study.psy("status").stderr


def test_rows_of_unknown_code_are_kept_by_continue(study: Study) -> None:
    square(study, [1, 2], settings="resultfile = 'r.npz'")
    study.psy("run")
    study.calls()
    _forget(study, "resultfile")
    square(study, [1, 2, 3], settings="resultfile = 'r.npz'")
    study.psy("run", "-c")
    assert study.calls() == ["[('x', 3)]"]


def test_a_clone_with_records_and_results_knows_its_code(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    study.calls()
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", "-C", str(study.folder), *who, *command], check=True)
    clone = study.folder.with_name("clone")
    subprocess.run(["git", "clone", "-q", str(study.folder), str(clone)], check=True)
    there = Study(clone)
    there.calls()
    square(there, [1, 2, 3])
    there.psy("run")
    assert there.calls() == ["[('x', 3)]"]


def test_another_result_in_the_place_of_the_known_one_is_of_unknown_code(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    result = study.folder / "psy-work/t/result.pkl"
    psyflow.PickleStore().save(result, {"x": [1, 2], "y": ["other", "text"]})
    assert "unknown code" in study.psy("status").stderr
    square(study, [1, 2, 3])
    study.psy("run")
    assert study.rows() == [(1, 1), (2, 4), (3, 9)]


# -- where the study is ---------------------------------------------------------------------------


def test_psy_looks_upwards_for_the_study(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    inside = study.folder / "notes" / "deep"
    inside.mkdir(parents=True)
    for place in (inside, study.tasks, study.folder / "psy-work" / "t"):
        below = Study(study.folder)
        shown = _psy_in(below, place, "run")
        assert below.executed(shown.stdout) == []
        assert f"The study is {study.folder}" in shown.stderr
    assert not (inside / "psy-work").exists()


def _psy_in(study: Study, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    before, study.folder = study.folder, place
    try:
        return study.psy(*words)
    finally:
        study.folder = before


def test_a_task_folder_that_is_named_has_its_results_beside_it(study: Study) -> None:
    square(study, [1, 2])
    shown = _psy_in(study, study.folder.parent, "run", "--taskdir", "study/psy-tasks")
    assert f"The study is {study.folder}" in shown.stderr
    assert not (study.folder.parent / "psy-work").exists()
    assert study.executed(study.psy("run").stdout) == []


def test_results_that_lie_elsewhere_are_found_and_told(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    (study.folder / "psy-work").rename(study.folder.parent / "psy-work")
    plan = study.folder.parent / "psy-work/t/plan.json"
    fields = json.loads(plan.read_text())
    plan.write_text(json.dumps({**fields, "task_file": str(study.tasks / "task_t.py")}))
    shown = _psy_in(study, study.folder.parent, "run", "--taskdir", "study/psy-tasks")
    assert study.executed(shown.stdout) == []
    assert "lie in" in shown.stderr


# -- records of old -------------------------------------------------------------------------------


@pytest.fixture
def of_old(study: Study) -> Callable[[], None]:
    """Give what turns the records of a study into those of psyflow 0.1."""

    def turn() -> None:
        root = study.folder / "psy-work" / "t"
        for path in (root / "plan.json", *root.glob("plans/*/plan.json")):
            fields = json.loads(path.read_text())
            for name in ("place", "origin"):
                del fields[name]
            located = {
                name: os.path.normpath(root / fields[name])
                for name in ("task_file", "base", "result")
            }
            path.write_text(json.dumps({**fields, **located, "root": str(root), "format": 1}))
        (root / "folder.id").unlink()

    return turn


def test_a_plan_of_old_goes_on(study: Study, of_old: Callable[[], None]) -> None:
    square(study, [1, 2])
    study.psy("run")
    study.calls()
    of_old()
    assert study.executed(study.psy("run").stdout) == []
    square(study, [1, 2, 3])
    study.psy("run")
    assert study.calls() == ["[('x', 3)]"]


def test_a_copy_with_a_plan_of_old_leaves_the_original_alone(
    study: Study, of_old: Callable[[], None]
) -> None:
    square(study, [1, 2])
    study.psy("run")
    of_old()
    copy = copied(study)
    before = tree(study.folder)
    square(copy, [1, 2, 3])
    copy.psy("run")
    assert copy.calls() == ["[('x', 3)]"]
    assert copy.rows() == [(1, 1), (2, 4), (3, 9)]
    assert tree(study.folder) == before


def test_a_plan_of_a_later_psyflow_is_named(study: Study) -> None:
    square(study, [1, 2])
    study.psy("run")
    for path in study.folder.glob("psy-work/t/**/plan.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    shown = study.psy("status")
    assert "has format 99" in shown.stderr and "Traceback" not in shown.stderr
    square(study, [1, 2, 3])
    study.psy("run")
    assert study.rows() == [(1, 1), (2, 4), (3, 9)]
