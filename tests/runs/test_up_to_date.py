"""What runs again, and what does not."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import psyflow
from psyflow.exceptions import DamagedFileError
from tests.support.study import Study

SQUARE = """
pspace = Param(x={space})
def execute(x):
    note(x=x)
    return {{"y": x**2}}
"""
ALL = ["t:split", "t:process", "t:merge"]


def xs(calls: list[str]) -> list[int]:
    return sorted(int(call.split(", ")[1].rstrip(")]")) for call in calls)


def test_second_run_evaluates_nothing_and_writes_nothing(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2, 3]"))
    assert study.executed(study.psy("run").stdout) == ALL
    assert xs(study.calls()) == [1, 2, 3]
    before = {p: p.stat().st_mtime_ns for p in study.folder.rglob("psy-work/**/*")}
    assert study.executed(study.psy("run").stdout) == []
    assert study.calls() == []
    assert {p: p.stat().st_mtime_ns for p in study.folder.rglob("psy-work/**/*")} == before


@pytest.mark.parametrize("store", ["pkl", "npz", "h5"])
@pytest.mark.parametrize("backend", ["DistributeBackend", "LoadBalancingBackend"])
def test_extended_space_evaluates_only_what_is_new(study: Study, store: str, backend: str) -> None:
    settings = (
        f"store = '.{store}'\nfrom psyflow import {backend}\nbackend = {backend}\npool_size = 2\n"
    )
    study.task(settings + SQUARE.format(space="range(10)"))
    study.psy("run")
    assert xs(study.calls()) == list(range(10))
    study.task(settings + SQUARE.format(space="[12, *range(10), 11]"))
    assert study.executed(study.psy("run").stdout) == ALL
    assert xs(study.calls()) == [11, 12]
    assert study.rows() == [(x, x * x) for x in [12, *range(10), 11]]


def test_reordered_and_shrunk_space_is_only_merged(study: Study) -> None:
    study.task(SQUARE.format(space="range(10)"))
    study.psy("run")
    study.calls()
    study.task(SQUARE.format(space="[7, 3, 5]"))
    assert study.executed(study.psy("run").stdout) == ["t:merge"]
    assert study.rows() == [(7, 49), (3, 9), (5, 25)]
    study.task(SQUARE.format(space="[5, 18]"))
    study.psy("run")
    assert xs(study.calls()) == [18]
    assert study.rows() == [(5, 25), (18, 324)]


def test_new_parameter_that_is_nan_elsewhere_keeps_results(study: Study) -> None:
    body = """
pspace = {}
def execute(a, b=None):
    note(a=a, b=b)
    return {{"y": a}}
"""
    study.task(body.format("Param(a=[1, 2])"))
    study.psy("run")
    assert len(study.calls()) == 2
    study.task(body.format("Param(a=[1, 2]) + Param(a=[3], b=[4])"))
    study.psy("run")
    assert len(study.calls()) == 1
    np.testing.assert_array_equal(np.array(study.load()["b"], dtype=float), [np.nan, np.nan, 4])


def test_repeated_psets_are_as_many_items(study: Study) -> None:
    study.task(SQUARE.format(space="[1] * 5"))
    study.psy("run")
    assert len(study.calls()) == 5
    study.task(SQUARE.format(space="[1] * 7"))
    study.psy("run")
    assert len(study.calls()) == 2
    assert study.rows() == [(1, 1)] * 7


def test_changed_code_archives_and_starts_over(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.calls()
    study.task(SQUARE.format(space="[1, 2]").replace("x**2", "x**3"))
    run = study.psy("run")
    assert "x**2" in run.stderr and "x**3" in run.stderr
    assert len(study.calls()) == 2
    assert study.rows() == [(1, 1), (2, 8)]
    archived = list(study.folder.glob("psy-work/t/archive/*/result.pkl"))
    assert len(archived) == 1


def test_comments_and_unrelated_code_change_nothing(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.calls()
    study.task("# more\ndef unrelated(): pass\n" + SQUARE.format(space="[1,  2]"))
    assert study.executed(study.psy("run").stdout) == []
    assert study.calls() == []


def test_continue_keeps_results_of_other_code(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.calls()
    study.task(SQUARE.format(space="[1, 2, 3]").replace("x**2", "x**3"))
    study.psy("run", "-c")
    assert xs(study.calls()) == [3]
    assert study.rows() == [(1, 1), (2, 4), (3, 27)]


def test_overwrite_dirty_false_refuses(study: Study) -> None:
    study.task("overwrite_dirty = False\n" + SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.calls()
    study.task("overwrite_dirty = False\n" + SQUARE.format(space="[1]").replace("x**2", "x"))
    run = study.psy("run", code=3)
    assert "overwrite_dirty" in run.stderr and "psy run -c t" in run.stderr
    assert study.calls() == []
    assert study.rows() == [(1, 1), (2, 4)]


def test_file_dep_content_decides_not_its_time(study: Study) -> None:
    data = study.tasks / "data.txt"
    data.write_text("1")
    study.task("file_dep = ['data.txt']\n" + SQUARE.format(space="[1]"))
    study.psy("run")
    study.calls()
    data.write_text("1")
    study.psy("run")
    assert study.calls() == []
    data.write_text("2")
    study.psy("run")
    assert len(study.calls()) == 1


def test_random_space_is_drawn_once(study: Study) -> None:
    body = """
import numpy as np
pspace = Param(x=np.random.random({n}))
def execute(x):
    note(x=0)
    return {{"y": x}}
"""
    study.task(body.format(n=5))
    study.psy("run")
    first = study.load()["x"]
    assert len(study.calls()) == 5
    assert study.executed(study.psy("run").stdout) == []
    assert study.calls() == []
    np.testing.assert_array_equal(study.load()["x"], first)
    study.task(body.format(n=6))
    study.psy("run")
    assert len(study.calls()) == 6


def test_result_without_bookkeeping_is_up_to_date(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.calls()
    for path in ("items.npz", "plan.json"):
        (study.folder / "psy-work/t" / path).unlink()
    assert study.executed(study.psy("run").stdout) == []
    study.task(SQUARE.format(space="[1, 2, 3]"))
    study.psy("run")
    assert xs(study.calls()) == [3]
    assert study.rows() == [(1, 1), (2, 4), (3, 9)]


def test_deleted_result_with_shards_is_only_merged(study: Study) -> None:
    failing = SQUARE.replace("    return", "    assert x != 2\n    return")
    study.task(failing.format(space="[1, 2, 3]"))
    study.psy("run", code=1)
    study.calls()
    (study.folder / "psy-work/t/result.pkl").unlink()
    study.psy("run", code=1)
    assert xs(study.calls()) == [2]
    assert study.rows() == [(1, 1), (3, 9)]


def test_changed_store_takes_the_results_along(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.calls()
    study.task("store = '.h5'\n" + SQUARE.format(space="[1, 2, 3]"))
    study.psy("run")
    assert xs(study.calls()) == [3]
    assert study.rows() == [(1, 1), (2, 4), (3, 9)]
    assert (study.folder / "psy-work/t/result.h5").exists()


def test_failed_items_run_once_more(study: Study) -> None:
    study.task(
        """
pspace = Param(x=[1, 2, 3])
def execute(x):
    note(x=x)
    if x == 2 and not Path("fixed").exists():
        raise ValueError("broken")
    return {"y": x}
"""
    )
    run = study.psy("run", code=1)
    assert "1 of 3 items failed" in run.stderr
    assert study.rows() == [(1, 1), (3, 3)]
    study.calls()
    (study.tasks / "fixed").touch()
    study.psy("run")
    assert xs(study.calls()) == [2]
    assert study.rows() == [(1, 1), (2, 2), (3, 3)]


def test_exclude_from_result(study: Study) -> None:
    body = """
pspace = Param(x=[1, 2])
exclude_from_result = ['big']
def setup(proc_id):
    return {'context': object()}
def execute(context, x):
    note(x=x)
    return {'y': x, 'big': lambda: x}
"""
    study.task("store = '.h5'" + body.replace("lambda: x", "[x, 'text']"))
    study.psy("run")
    assert sorted(study.load()) == ["x", "y"]


def test_status_counts_for_the_present_space(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    study.task(SQUARE.format(space="[1, 2, 3]"))
    assert "2 out of 3 rows completed." in study.psy("status").stdout
    assert json.loads(study.psy("status", "--json").stdout)


def test_default_of_a_new_parameter_keeps_results(study: Study) -> None:
    body = """
{settings}
pspace = Param(x=[1, 2]) * Param(dropout={levels})
def execute(x, dropout):
    note(x=x)
    return {{"y": x + dropout}}
"""
    study.task(SQUARE.format(space="[1, 2]").replace("x**2", "x"))
    study.psy("run")
    study.calls()
    study.task(body.format(settings="defaults = {'dropout': 0.0}", levels="[0.0, 0.5]"))
    study.psy("run", "-c")
    assert xs(study.calls()) == [1, 2]
    assert sorted(study.rows()) == [(0.0, 1, 1), (0.0, 2, 2), (0.5, 1, 1.5), (0.5, 2, 2.5)]
    study.task(body.format(settings="defaults = {'dropout': 0.0}", levels="[0.0, 0.5]"))
    assert study.executed(study.psy("run").stdout) == []
    # Without the parameter, and its default, these are the results again.
    study.task(SQUARE.format(space="[1, 2]").replace("x**2", "x"))
    assert study.executed(study.psy("run", "-c").stdout) == ["t:merge"]
    assert (study.calls(), study.rows()) == ([], [(1, 1), (2, 2)])


def test_excluded_results_come_back_from_the_archive(study: Study) -> None:
    body = "exclude_from_result = {}\n" + SQUARE.replace("}}", ", 'z': 0}}")
    study.task(body.format([], space="[1, 2]"))
    study.psy("run")
    study.calls()
    study.task(body.format(["y"], space="[1, 2]"))
    assert study.executed(study.psy("run").stdout) == ["t:merge"]
    assert sorted(study.load()) == ["x", "z"]
    assert len(list(study.folder.glob("psy-work/t/archive/*/result.pkl"))) == 1
    study.task(body.format([], space="[1, 2, 3]"))
    study.psy("run")
    assert xs(study.calls()) == [3]
    assert study.rows() == [(1, 1, 0), (2, 4, 0), (3, 9, 0)]


def test_result_with_rows_that_are_no_longer_asked_for_is_kept(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2, 3]"))
    study.psy("run")
    study.task(SQUARE.format(space="[1]"))
    study.psy("run")
    (kept,) = study.folder.glob("psy-work/t/archive/*/result.pkl")
    assert list(psyflow.load(kept)["x"]) == [1, 2, 3]
    study.task("store = '.npz'\n" + SQUARE.format(space="[1]"))
    study.psy("run")
    assert not (study.folder / "psy-work/t/result.pkl").exists()
    assert study.rows() == [(1, 1)]


def test_strange_file_in_place_of_the_result_is_kept(study: Study) -> None:
    study.task("resultfile = 'mine.pkl'\n" + SQUARE.format(space="[1]"))
    (study.folder / "mine.pkl").write_text("my precious")
    assert "mine.pkl" in study.psy("run").stderr
    (kept,) = study.folder.glob("psy-work/t/archive/*/mine.pkl")
    assert kept.read_text() == "my precious"


def test_store_of_the_task_folder(study: Study) -> None:
    (study.tasks / "jsonstore.py").write_text(
        "import json\nfrom pathlib import Path\n"
        "class JsonStore:\n"
        "    ext = '.json'\n"
        "    def save(self, filename, data):\n"
        "        text = json.dumps({k: list(v) for k, v in data.items()})\n"
        "        Path(filename).write_text(text)\n"
        "    def load(self, filename, row=None):\n"
        "        data = json.loads(Path(filename).read_text())\n"
        "        return data if row is None else {k: v[row] for k, v in data.items()}\n"
    )
    study.task(
        "from jsonstore import JsonStore\nstore = JsonStore()\n" + SQUARE.format(space="[1, 2]")
    )
    study.psy("run")
    assert study.rows() == [(1, 1), (2, 4)]


def test_workers_draw_different_random_numbers(study: Study) -> None:
    study.task(
        """
import random
import numpy as np
pspace = Param(x=range(40))
pool_size = 4
def execute(x):
    time.sleep(0.01)
    return {"a": float(np.random.random()), "b": random.random()}
"""
    )
    study.psy("run")
    columns = study.load()
    assert len(set(columns["a"])) == len(set(columns["b"])) == 40


def test_tasks_do_not_share_a_result_file(study: Study) -> None:
    study.task("resultfile = 'r.npz'\nstore = '.npz'\n" + SQUARE.format(space="[1]"), "a")
    study.task("resultfile = 'r.npz'\nstore = '.npz'\n" + SQUARE.format(space="[2]"), "b")
    run = study.psy("run", code=3)
    assert "b" in run.stderr and 'that of "a"' in run.stderr
    assert study.rows("a") == [(1, 1)]


def test_a_task_run_alone_takes_no_other_tasks_result_for_its_own(study: Study) -> None:
    twice = SQUARE.replace("x**2", "2 * x")
    assert twice != SQUARE
    study.task("resultfile = 'r.npz'\n" + SQUARE.format(space="[1, 3]"), "a")
    study.task("resultfile = 'own.npz'\n" + twice.format(space="[1, 3]"), "b")
    study.psy("run")
    for copy, name in (("c", "c"), ("b", "b")):
        study.task("resultfile = 'r.npz'\n" + twice.format(space="[1, 3]"), name)
        for command in ("run", "status", "why"):
            assert 'is that of "a"' in study.psy(command, copy, code=3).stderr
    assert study.rows("a") == [(1, 1), (3, 9)]
    # A task that was renamed takes its rows with it.
    (study.tasks / "task_a.py").rename(study.tasks / "task_d.py")
    assert study.executed(study.psy("run", "d").stdout) == []


def test_result_of_another_tool_is_loaded(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    (study.folder / "psy-work/t").mkdir(parents=True)
    psyflow.PickleStore().save(study.folder / "psy-work/t/result.pkl", {"x": [1, 2], "y": [5, 6]})
    study.task(
        "workdir = '" + str(study.folder / "psy-work") + "'\n" + SQUARE.format(space="[1, 2]")
    )
    assert study.executed(study.psy("run").stdout) == []
    assert study.rows() == [(1, 5), (2, 6)]


def test_damaged_result_is_no_empty_table(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    study.psy("run")
    (study.folder / "psy-work/t/result.pkl").write_text("x")
    with pytest.raises(DamagedFileError, match=r"result\.pkl"):
        study.rows()


def test_closed_standard_output(study: Study) -> None:
    study.task(SQUARE.format(space="[1, 2]"))
    command = f"{sys.executable} -m psyflow run >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=study.folder).returncode == 0
    assert study.rows() == [(1, 1), (2, 4)]


@pytest.mark.parametrize("returned", ["5", "{'x': 5}", "{'z': 5}"])
def test_setup_that_cannot_be_right_is_no_items_fault(study: Study, returned: str) -> None:
    study.task(f"def setup(proc_id): return {returned}\n" + SQUARE.format(space="[1, 2]"))
    run = study.psy("run", code=3)
    assert "`setup` returned" in run.stderr
    assert "Traceback" not in run.stderr
    assert study.calls() == []


def test_a_file_that_comes_into_a_folder_or_glob_makes_results_outdated(study: Study) -> None:
    data = study.tasks / "data"
    data.mkdir()
    (data / "a.csv").write_text("1")
    study.task("file_dep = ['data/*.csv']\n" + SQUARE.format(space="[1]"))
    study.psy("run")
    assert study.executed(study.psy("run").stdout) == []
    (data / "b.csv").write_text("2")
    (data / "a.csv").write_text("3")
    told = "t: not up to date: data/a.csv: the content changed (1 more file differs)."
    assert told in study.psy("status").stderr
    study.calls()
    assert "data/a.csv: the content changed (1 more file differs);" in study.psy("run").stderr
    assert len(study.calls()) == 1
