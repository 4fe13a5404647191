from __future__ import annotations

import json

from tests.support.place import SKIPS_ZERO, SQUARE

from .test_jobs import CLUSTER, FAR

HELPED = "import helper\nN = 2\n" + SQUARE.replace("x**2", "helper.f(x) * N")
HELPER = "def f(x):\n    return x + 1\n"


def ask(place, *words: str):
    """Call ``psy why``, and check that it changed nothing."""
    before = place.snapshot()
    shown = place.psy("why", *words)
    assert place.snapshot() == before
    return shown


def test_before_the_first_run(place):
    place.task("square")
    shown = ask(place)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == (
        "square: not up to date.\n"
        "  Of 4 items: 4 have not run.\n"
        "  psy run would compute 4 of 4 items.\n"
        "  See the jobs first: psy run -n square\n"
        "  Bring it up to date: psy run square\n"
    )
    assert not place.work.exists()


def test_up_to_date(place):
    place.task("square")
    place.psy("run")
    assert ask(place).stdout == "square: up to date.\n  Of 4 items: 4 done.\n"


def test_changed_lines_are_shown_old_and_new(place):
    helper = place.folder / "psy-tasks" / "helper.py"
    place.task("helped", HELPED)
    helper.write_text(HELPER)
    place.psy("run")
    run_id = json.loads((place.work / "helped" / "plan.json").read_text())["run_id"]
    place.task("helped", "# A comment.\n" + HELPED.replace("N = 2", "N = 3"))
    helper.write_text(
        HELPER.replace("    return x + 1", "    # better\n    y = x + 2\n    return y")
    )
    assert ask(place, "helped").stdout == (
        "helped: not up to date.\n"
        "  helper.f changed:\n"
        "    - helper.py, line 2: return x + 1\n"
        "    + helper.py, line 3: y = x + 2\n"
        "    + helper.py, line 4: return y\n"
        "  N changed:\n"
        "    - task_helped.py, line 2: N = 2\n"
        "    + task_helped.py, line 3: N = 3\n"
        "  Of 4 items: 4 done.\n"
        "  psy run would put result.pkl, items.npz, out, plans, plan.json into "
        f"psy-work/helped/archive/{run_id}.\n"
        "  psy run would compute 4 of 4 items.\n"
        "  The old results are still good: psy accept helped\n"
        "  Keep them, compute what is missing: psy run -c helped\n"
        "  See the jobs first: psy run -n helped\n"
        "  Bring it up to date: psy run helped\n"
    )


def test_parts_that_come_and_go_and_data_files(place):
    data = place.folder / "psy-tasks" / "data.txt"
    source = SQUARE + "file_dep = ['data.txt']\n"
    place.task("square", "def power(x):\n    return x**2\n" + source.replace("x**2", "power(x)"))
    data.write_text("1")
    place.psy("run")
    data.write_text("2")
    place.task("square", "E = 2\n" + source.replace("x**2", "x**E"))
    shown = ask(place).stdout
    assert "  E is new:\n    + task_square.py, line 1: E = 2\n" in shown
    assert "  power is gone:\n    - task_square.py, line 1: def power(x):\n" in shown
    assert "  data.txt: the content changed\n" in shown


def test_items_are_told_apart(place):
    place.task("bad", SQUARE.replace("x**2", "1 / x"))
    place.psy("run")
    place.task("bad", SQUARE.replace("x**2", "1 / x").replace("range(4)", "range(-2, 5)"))
    shown = ask(place).stdout
    assert "  Of 7 items: 3 done, 1 failed, 3 new.\n" in shown
    assert "  psy run would compute 4 of 7 items.\n" in shown
    assert "  See what failed: psy failures bad\n" in shown
    assert "archive" not in shown


def test_repeated_psets_may_be_new(place):
    place.task("square", SQUARE.replace("range(4)", "[1, 1]"))
    place.psy("run")
    place.task("square", SQUARE.replace("range(4)", "[1, 1, 1]"))
    assert "Of 3 items: 2 done, 1 new." in ask(place).stdout


def test_only_the_merge_is_missing(place):
    place.task("square")
    place.psy("run")
    place.task("square", SQUARE.replace("range(4)", "[3, 1]"))
    shown = ask(place).stdout
    assert "psy run would put result.pkl into psy-work/square/archive/" in shown
    assert "psy run would compute nothing, and merge the result anew." in shown


def test_what_keeps_it_from_running(place):
    place.task("far", FAR, taskdir="studies")
    (place.folder / "studies" / "cluster.py").write_text(CLUSTER)
    place.psy("run", "--taskdir", "studies")
    shown = place.psy("why", "--taskdir", "studies").stdout
    assert '  psy run would do nothing now. Task "far" is not up to date, but has jobs' in shown
    # Some of them are running.
    assert "have no result yet." in shown and "have not run" not in shown
    assert "psy kill --taskdir studies far" in shown
    assert "Bring it up to date" not in shown


def test_an_empty_space(place):
    place.task("square", SQUARE.replace("range(4)", "[]"))
    shown = ask(place)
    assert shown.returncode == 0
    assert "  Its parameter space is empty.\n" in shown.stdout


def test_json(place):
    place.task("square")
    place.psy("run")
    place.task("square", SQUARE.replace("x**2", "x**3").replace("range(4)", "range(5)"))
    report = json.loads(ask(place, "--json").stdout)["square"]
    assert (report["up_to_date"], report["has_run"], report["refusal"]) == (False, True, None)
    numbers = {name: report[name] for name in report if name.startswith("n_")}
    assert numbers == {
        "n_items": 5, "n_done": 4, "n_failed": 0, "n_skipped": 0, "n_lost": 0, "n_new": 1,
        "n_never_ran": 0, "n_to_run": 5, "n_changed": 0,
    }  # fmt: skip
    (change,) = report["changes"]
    assert change["name"] == "execute"
    assert change["lines"] == [
        {
            "old": {"file": "task_square.py", "number": 7, "text": 'return {"y": x**2}'},
            "new": {"file": "task_square.py", "number": 7, "text": 'return {"y": x**3}'},
        }
    ]
    assert report["archive"].startswith(str(place.work / "square" / "archive"))
    assert {"meaning": "The old results are still good", "command": "psy accept square"} in (
        report["commands"]
    )


def test_skipped_items_did_run(place):
    place.task("square", SKIPS_ZERO)
    place.psy("run")
    assert "  Of 4 items: 3 done, 1 skipped.\n" in ask(place).stdout
    place.task("square", SKIPS_ZERO.replace("range(4)", "range(-2, 4)"))
    assert "  Of 6 items: 3 done, 1 skipped, 2 new.\n" in ask(place).stdout
    told = json.loads(ask(place, "--json").stdout)["square"]
    assert (told["n_skipped"], told["n_new"], told["n_never_ran"]) == (1, 2, 0)


WATCHED = """
import getpass, os
import numpy as np
import helper

def execute(x):
    np.sin(x)
    return {"y": helper.f(x), "z": getattr(os, f"get{'cwd'}")()}

pspace = [{"x": 1}]
"""


def test_which_code_is_watched_and_which_is_not(place):
    place.task("a", WATCHED)
    lib = place.folder / "psy-tasks" / "lib"
    lib.mkdir()
    (lib / "deep.py").write_text("def g(x): return exec('1')")
    helper = "import sys\nsys.path.append('lib')\nfrom deep import g\ndef f(x): return g(x)"
    (place.folder / "psy-tasks" / "helper.py").write_text(helper)
    lines = ask(place, "-v", "a").stdout.splitlines()
    assert "  Watched: task_a.py: execute, np, os" in lines
    assert "  Watched: helper.py: helper.<module>, helper.f, helper.sys" in lines
    assert "  Watched: lib/deep.py: deep.g" in lines
    assert any(line.startswith("  Not watched, because it is installed: numpy ") for line in lines)
    assert "  Cannot be followed: lib/deep.py, line 1: exec" in lines
    where = "task_a.py, line 8: getattr with a name made at run time"
    assert f"  Cannot be followed: {where}" in lines
    assert "Watched" not in ask(place, "a").stdout
    code = json.loads(ask(place, "-v", "--json", "a").stdout)["a"]["watched"]
    assert code["files"]["lib/deep.py"] == ["deep.g"] and "numpy" in code["distributions"]
