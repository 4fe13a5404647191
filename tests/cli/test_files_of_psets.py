"""Parameters that are paths of files: they count with what is in the files."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

import psyflow
from psyflow.record.plan import Plan
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

READS = """
from pathlib import Path
from psyflow import Param

pspace = Param(file=[Path(f"data/{name}.csv") for name in "abc"]) * Param(n=[1, 2])

def execute(file, n):
    with open("calls.log", "a") as log:
        print(file, n, file=log)
    return {"y": Path(file).read_text() * n}
"""


@pytest.fixture
def study(place):
    place.task("t", READS)
    data = place.folder / "psy-tasks" / "data"
    data.mkdir()
    for name in "abc":
        (data / f"{name}.csv").write_text(name)
    return place


def calls(place) -> list[str]:
    log = place.folder / "psy-tasks" / "calls.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def run(place) -> list[str]:
    assert place.psy("run").returncode == 0
    return calls(place)


def edit(place, name: str, text: str) -> None:
    (place.folder / "psy-tasks" / name).write_text(text)


def loaded(place) -> list[object]:
    return list(psyflow.load("t", place.folder / "psy-tasks", place.work)["y"])


def test_a_changed_file_makes_just_its_psets_run_again_and_is_named(study):
    assert len(run(study)) == 6
    assert run(study) == []
    edit(study, "data/b.csv", "new")
    told = "2 of 6 items have no result; data/b.csv has changed, which 2 items name."
    assert told in study.psy("status").stderr
    why = study.psy("why").stdout
    assert "  data/b.csv: the content changed\n" in why
    assert "  Of 6 items: 4 done, 2 with a changed file.\n" in why
    report = json.loads(study.psy("why", "--json").stdout)["t"]
    assert (report["n_changed"], report["changed_files"]) == (2, ["data/b.csv"])
    ran = study.psy("run")
    assert "t: data/b.csv has changed, which 2 items name" in ran.stderr
    assert calls(study) == ["data/b.csv 1", "data/b.csv 2"]
    assert loaded(study) == ["a", "aa", "new", "newnew", "c", "cc"]
    assert run(study) == []


def test_results_of_a_changed_file_can_be_accepted(study):
    run(study)
    before = loaded(study)
    edit(study, "data/b.csv", "edited")
    assert "data/b.csv has changed, which 2 items name" in study.psy("accept", "-n", "t").stdout
    assert "psy accept t" in study.psy("why", "t").stdout
    assert "accepted data/b.csv has changed" in study.psy("accept", "t").stdout
    assert study.psy("accept", "t").stdout == ""
    assert "up to date" in study.psy("why", "t").stdout
    assert run(study) == [] and loaded(study) == before
    edit(study, "data/c.csv", "edited")
    assert len(run(study)) == 2
    edit(study, "data/b.csv", "edited again")
    assert len(run(study)) == 2
    assert loaded(study)[2:] == ["edited again", "edited again" * 2, "edited", "edited" * 2]


def test_what_an_earlier_run_has_damaged_is_no_reason_not_to_accept(study):
    edit(study, "task_t.py", READS.replace("return", "assert file.stem != 'c'\n    return"))
    assert study.psy("run").returncode == 1
    (plan,) = (study.work / "t" / "plans").iterdir()
    edit(study, "task_t.py", READS.replace("n=[1, 2]", "n=[1, 2, 3]"))
    assert study.psy("run", "-c").returncode == 0
    plan.mkdir(exist_ok=True)
    (plan / "plan.json").write_text("{")
    edit(study, "data/a.csv", "edited")
    assert study.psy("accept", "t").returncode == 0
    calls(study)
    assert run(study) == []


def test_results_of_a_changed_file_can_be_accepted_before_they_are_merged(study):
    """What is accepted of several runs is so in each, also where the next one extends them."""
    edit(study, "task_t.py", READS.replace("return", "assert file.stem != 'c'\n    return"))
    assert study.psy("run").returncode == 1
    edit(study, "task_t.py", READS.replace("n=[1, 2]", "n=[1, 2, 3]"))
    edit(study, "data/a.csv", "edited")
    assert study.psy("accept", "t").returncode == 0
    calls(study)
    assert sorted(run(study)) == ["data/a.csv 3", "data/b.csv 3"] + [
        f"data/c.csv {n}" for n in (1, 2, 3)
    ]
    assert loaded(study)[:3] == ["a", "aa", "edited" * 3]


def test_neither_another_time_of_change_nor_an_edit_that_is_undone_changes_anything(study):
    run(study)
    file = study.folder / "psy-tasks" / "data" / "b.csv"
    file.write_text("b")
    os.utime(file, (1, 1))
    assert "t: up to date." in study.psy("status").stderr
    edit(study, "data/b.csv", "new")
    assert "not up to date" in study.psy("status").stderr
    edit(study, "data/b.csv", "b")
    assert run(study) == []


NESTED = """
pspace = Param(file=[
    (Path("data/a.csv"), 1), {"in": [Path("data/b.csv")]}, Path("data/../data/c.csv").absolute(),
])

def execute(file):
    with open("calls.log", "a") as log:
        print(file, file=log)
    return {"y": 1}
"""


def test_a_path_counts_wherever_in_a_value_it_is(study):
    study.task("t", READS.partition("pspace")[0] + NESTED)
    assert len(run(study)) == 3
    edit(study, "data/b.csv", "new")
    edit(study, "data/c.csv", "new")
    run_again = run(study)
    assert len(run_again) == 2 and not any("a.csv" in call for call in run_again)


def test_a_space_that_grows_keeps_what_is_of_the_same_content(study):
    run(study)
    edit(study, "data/a.csv", "new")
    study.task("t", READS.replace("n=[1, 2]", "n=[0, 1, 2]"))
    assert sorted(run(study)) == [
        "data/a.csv 0", "data/a.csv 1", "data/a.csv 2", "data/b.csv 0", "data/c.csv 0",
    ]  # fmt: skip


def test_results_of_a_run_that_was_ended_are_told_by_their_files_too(study):
    study.task("t", READS.replace("return {", "assert n == 1\n    return {"))
    study.psy("run")
    calls(study)
    edit(study, "data/b.csv", "new")
    study.psy("run", "-c")
    # Of the file that has not changed, only what failed.
    assert calls(study) == ["data/a.csv 2", "data/b.csv 1", "data/b.csv 2", "data/c.csv 2"]


def test_what_is_loaded_is_of_the_contents_that_were_planned(study):
    run(study)
    edit(study, "data/b.csv", "new")
    begun = Run(TaskDef(study.folder / "psy-tasks" / "task_t.py", base=study.folder))
    begin(begun)
    begun.release()
    assert loaded(study) == ["a", "aa", "c", "cc"]


def test_files_that_are_not_there_or_outside_the_study_count_by_their_names(
    place, tmp_path_factory
):
    outside = tmp_path_factory.mktemp("outside") / "x.csv"
    outside.write_text("1")
    source = READS.replace(
        '[Path(f"data/{name}.csv") for name in "abc"]', "[Path('none'), Path(OUT)]"
    )
    source = source.replace("Path(file).read_text()", "1").replace("OUT", repr(str(outside)))
    place.task("t", source)
    assert len(run(place)) == 4
    outside.write_text("2")
    assert run(place) == []


def test_a_file_that_is_gone_leaves_the_results(study):
    run(study)
    (study.folder / "psy-tasks" / "data" / "b.csv").unlink()
    assert run(study) == []
    edit(study, "data/b.csv", "another")
    assert len(run(study)) == 2


WRITES = READS.replace(
    'return {"y": Path(file).read_text() * n}',
    """
    import os
    assert n != FAILS
    file.parent.mkdir(exist_ok=True)
    with file.open("ab") as out:
        out.write(os.urandom(8))
    return {"y": CODE}""",
)


def test_files_that_the_task_itself_makes_count_by_their_names(place):
    source = WRITES.replace("data/", "out/").replace("CODE", "1")
    place.task("t", source.replace("FAILS", "2"))
    place.psy("run")
    calls(place)
    assert place.psy("run").returncode == 1
    assert calls(place) == ["out/a.csv 2", "out/b.csv 2", "out/c.csv 2"]
    place.task("t", source.replace("FAILS", "0"))
    assert len(run(place)) == 6
    assert run(place) == []
    place.task("t", source.replace("FAILS", "0").replace("[1, 2]", "[1, 2, 3]"))
    assert len(run(place)) == 3
    assert run(place) == []


def test_files_that_were_there_before_the_task_made_them_count_by_their_names_too(study):
    source = WRITES.replace("CODE", "1").replace("FAILS", "0")
    study.task("t", source)
    assert len(run(study)) == 6
    assert run(study) == []
    study.task("t", source.replace("[1, 2]", "[1, 2, 3]"))
    assert len(run(study)) == 3
    assert run(study) == []


def test_what_later_items_overwrite_is_no_edit_either(place):
    out = place.folder / "psy-tasks" / "out"
    out.mkdir(parents=True)
    for number in range(20):
        (out / f"{number}.txt").touch()
    place.task(
        "t",
        "from pathlib import Path\nfrom psyflow import Param\npool_size = 2\n"
        "HERE = Path(__file__).parent\n"
        "pspace = Param(f=[Path(f'out/{i}.txt') for i in range(20)])\n"
        "def execute(f):\n    return {'n': (HERE / f).write_text('made')}\n",
    )
    assert place.program("run").returncode == 0
    assert len(place.result("t")["n"]) == 20


def test_a_file_that_is_there_at_last_counts_with_its_content(place):
    source = READS.replace("Path(file).read_text()", "str(file.exists())")
    place.task("t", source.replace('"abc"', '"a"'))
    run(place)
    (place.folder / "psy-tasks" / "data").mkdir()
    for name in "ab":
        edit(place, f"data/{name}.csv", "1")
    place.task("t", source.replace('"abc"', '"ab"'))
    run(place)
    edit(place, "data/b.csv", "2")
    assert run(place) == ["data/b.csv 1", "data/b.csv 2"]


def test_a_moved_study_keeps_its_results_and_sees_edits(study):
    run(study)
    moved = study.folder.with_name(f"{study.folder.name}-moved")
    shutil.copytree(study.folder, moved)
    study.folder = moved
    assert run(study) == []
    edit(study, "data/c.csv", "new")
    assert run(study) == ["data/c.csv 1", "data/c.csv 2"]
    shutil.rmtree(moved)


def test_a_moved_study_finds_its_files_by_absolute_paths_too(study):
    data = "Path(__file__).parent / 'data' / f'{name}.csv'"
    study.task("t", READS.replace('Path(f"data/{name}.csv")', data))
    run(study)
    moved = study.folder.with_name(f"{study.folder.name}-moved")
    study.folder.rename(moved)
    study.folder = moved
    assert run(study) == []
    edit(study, "data/c.csv", "new")
    assert "data/c.csv has changed, which 2 items name" in study.psy("status").stderr
    assert [call.partition("moved/")[2] for call in run(study)] == [
        "psy-tasks/data/c.csv 1", "psy-tasks/data/c.csv 2",
    ]  # fmt: skip
    assert run(study) == []


def test_results_of_an_older_psyflow_count_by_names_until_something_runs(study):
    run(study)
    for file in [study.work / "t" / "plan.json", *study.work.glob("t/plans/*/plan.json")]:
        fields = json.loads(file.read_text())
        del fields["contents"], fields["hashed"]
        file.write_text(json.dumps(fields))
    items = study.work / "t" / "items.npz"
    entries = dict(np.load(items))
    about = json.loads(str(entries.pop("about")))
    del about["contents"]
    np.savez(items, about=np.array(json.dumps(about)), **entries)
    edit(study, "data/b.csv", "new")
    assert run(study) == []
    study.task("t", READS.replace("n=[1, 2]", "n=[1, 2, 3]"))
    assert "From now on they count as made of what is in these now" in study.psy("run").stderr
    assert len(calls(study)) == 3
    edit(study, "data/b.csv", "newer")
    assert len(run(study)) == 3


def test_what_a_pset_kept_of_another_content_is_put_aside_also_by_a_run_that_dies(
    study, monkeypatch
):
    source = READS.replace("file, n):", "file, n, ctx):").replace(
        "    return", "    (ctx.dir / f'{len(list(ctx.dir.iterdir()))}').touch()\n    return"
    )
    study.task(
        "t",
        source.replace('{"y": Path(file).read_text() * n}', "{'y': len(list(ctx.dir.iterdir()))}"),
    )
    run(study)
    edit(study, "data/b.csv", "new")
    with monkeypatch.context() as dying:
        dying.setattr("psyflow.runs.begin.freeze", lambda *_: 1 / 0)
        assert study.psy("run").returncode == 3
    run(study)
    assert loaded(study) == [1] * 6
    assert len(list(study.work.glob("t/archive/*/psets/*"))) == 2


def test_each_file_is_read_once_in_a_run_and_not_at_all_if_it_is_as_it_was(study, monkeypatch):
    from psyflow.fingerprint.files import FileDigests

    monkeypatch.setattr("psyflow.fingerprint.files._SETTLED_NS", 0)
    read = []
    original = FileDigests._read
    monkeypatch.setattr(
        FileDigests, "_read", lambda self, path: (read.append(path.name), original(self, path))[1]
    )
    run(study)
    assert sorted(read) == ["a.csv", "b.csv", "c.csv"]
    read.clear()
    run(study)
    study.psy("status")
    assert read == []


def test_spaces_without_paths_look_at_no_files(place, monkeypatch):
    place.task("t")
    place.psy("run")
    monkeypatch.setattr("psyflow.record.frozen.paths_in", lambda value: 1 / 0)
    assert place.psy("status").returncode == 0
    plan = Plan.read(place.work / "t" / "plan.json")
    assert plan is not None and plan.contents == {}


# What another program writes, as an editor would, while an item is at work.
EDITED = READS.replace("import Path\n", "import Path\nimport subprocess\n").replace(
    "    return",
    "    if Path('edit').exists() and Path(file).stem == 'c':\n"
    "        subprocess.run(['sh', '-c', f'printf new > {file}'])\n"
    "    return",
)


@pytest.fixture
def edited(study):
    """Return a study of which a file was edited during the run, and put back after it."""
    study.task("t", EDITED)
    edit(study, "edit", "")
    ran = study.psy("run")
    assert ran.returncode == 1
    told = "data/c.csv changed after the run had begun, so nobody knows of which content results "
    assert f"{told}of 2 items are" in ran.stderr
    (study.folder / "psy-tasks" / "edit").unlink()
    edit(study, "data/c.csv", "c")
    assert len(calls(study)) == 6
    return study


def test_rows_of_a_file_that_is_edited_during_the_run_do_not_count(edited):
    assert loaded(edited) == ["a", "aa", "b", "bb"]
    assert "data/c.csv changed after" in edited.psy("status").stderr
    assert run(edited) == ["data/c.csv 1", "data/c.csv 2"]
    assert loaded(edited) == ["a", "aa", "b", "bb", "c", "cc"]
    assert run(edited) == []


def test_rows_of_a_file_that_is_edited_during_the_run_can_be_accepted(edited):
    """As when only its time has changed, or a line that makes no difference."""
    assert (
        "accepted data/c.csv changed after the run had begun" in edited.psy("accept", "t").stdout
    )
    assert len(loaded(edited)) == 6
    assert run(edited) == []
    assert len(loaded(edited)) == 6


def test_rows_of_an_edited_file_do_not_count_in_a_copy_either(edited, tmp_path_factory):
    copy = type(edited)(tmp_path_factory.mktemp("copies") / "copy")
    shutil.copytree(edited.folder, copy.folder, dirs_exist_ok=True)
    assert run(copy) == ["data/c.csv 1", "data/c.csv 2"]


FILE_DEP = """
from pathlib import Path
import subprocess
from psyflow import Param

file_dep = ["factor.txt"]
pspace = Param(n=[1, 2])

def execute(n):
    with open("calls.log", "a") as log:
        print(n, file=log)
    {before}
    y = n * int(Path("factor.txt").read_text())
    {after}
    return {{"y": y}}
"""


def test_a_file_of_file_dep_that_is_edited_and_put_back_during_the_run_is_noticed(place):
    sets = "if Path('edit').exists(): subprocess.run(['sh', '-c', 'printf {} > factor.txt'])"
    place.task("t", FILE_DEP.format(before=sets.format(7), after=sets.format(3)))
    edit(place, "factor.txt", "3")
    edit(place, "edit", "")
    ran = place.psy("run")
    assert "factor.txt changed after the run had begun" in ran.stderr
    assert list(psyflow.load("t", place.folder / "psy-tasks", place.work)["n"]) == []
    (place.folder / "psy-tasks" / "edit").unlink()
    calls(place)
    assert run(place) == ["1", "2"]
    assert loaded(place) == [3, 6]


def test_a_file_of_file_dep_that_workers_write_as_it_was_changes_nothing(place):
    writes = "Path('factor.txt').write_text('3')"
    place.task("t", FILE_DEP.format(before="pass", after=writes))
    edit(place, "factor.txt", "3")
    run(place)
    assert loaded(place) == [3, 6]
    assert run(place) == []
