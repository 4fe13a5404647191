"""Results in the archive: taken up again when their code comes back, and put back by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import psyflow
from psyflow.record.assess import Assessment
from psyflow.runs import archive as archiving
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef
from tests.support.place import Place

SQUARE, CUBE = "x**2", "x**3"


def write(place: Place, formula: str, space: str = "range(4)", more: str = "") -> Path:
    """Write a task whose evaluations leave traces, and which fails from `limit` on."""
    return place.task(
        "t",
        "from pathlib import Path\nfrom psyflow import Param\n"
        f"pspace = Param(x={space})\n{more}\n"
        "HERE = Path(__file__).parent.parent\n"
        "def execute(x, **rest):\n"
        "    limit = HERE / 'limit'\n"
        "    if limit.exists() and x >= int(limit.read_text()):\n"
        "        raise ValueError(x)\n"
        "    with (HERE / 'calls').open('a') as calls:\n        calls.write(f'{x}\\n')\n"
        f"    return {{'y': {formula}}}\n",
    )


def calls(place: Place) -> list[int]:
    """Return what was evaluated since this was asked last."""
    file = place.folder / "calls"
    found = [int(line) for line in file.read_text().split()] if file.exists() else []
    file.unlink(missing_ok=True)
    return sorted(found)


def run(place: Place, *words: str, code: int = 0) -> str:
    shown = place.psy("run", *words)
    assert shown.returncode == code, shown.stderr
    return shown.stderr


def ys(place: Place) -> list[object]:
    return place.result("t")["y"]


def archived(place: Place) -> list[Path]:
    return sorted((place.work / "t" / "archive").glob("*"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with results of a code in the archive, others present, and the first code again."""
    place = Place(tmp_path_factory.mktemp("template") / "study")
    place.folder.mkdir()
    for formula in (SQUARE, CUBE):
        write(place, formula)
        run(place)
    write(place, SQUARE)
    calls(place)
    return place.folder


@pytest.fixture
def back(template: Path, tmp_path: Path) -> Place:
    """A copy of it: so what holds of archives holds of those in copied studies, too."""
    return Place(Path(shutil.copytree(template, tmp_path / "study")))


def test_code_that_comes_back_finds_its_results(back):
    shown = back.program("run").stderr
    assert "; 4 of 4 results of this code are back from the archive (2" in shown
    assert len(shown.splitlines()) == 1
    assert calls(back) == [] and ys(back) == [0, 1, 4, 9]
    assert back.psy("status").stderr == "t: up to date.\n"
    (cubes,) = archived(back)
    assert list(psyflow.load(cubes / "result.pkl")["y"]) == [0, 1, 8, 27]
    write(back, CUBE)
    run(back)
    assert calls(back) == [] and ys(back) == [0, 1, 8, 27]
    assert len(archived(back)) == 1, "each code's results are there once"


def test_it_is_said_beforehand_and_nothing_is_written_for_that(back):
    before = back.snapshot()
    assert "t: 4 of 4 results of this code are in the archive, and psy run takes them up." in (
        back.psy("status").stderr
    )
    assert json.loads(back.psy("status", "--json").stdout)["t"]["archived"]["n_rows"] == 4
    dry = back.psy("run", "-n").stdout
    assert "t: 0 of 4 items would run; the results are in the archive." in dry
    assert ": 4 of 4 results of this code" in dry
    assert "psy run would take up 4 of 4 results of this code from" in back.psy("why").stdout
    assert back.snapshot() == before


def test_items_are_not_chosen_before_what_is_in_the_archive_is_taken_up(back):
    shown = back.psy("run", "--todo")
    assert shown.returncode == 2 and "computed anew" not in shown.stderr
    assert f"results of the present code are in {archived(back)[0]}" in shown.stderr


def test_only_what_is_missing_of_an_extended_space_is_computed(back):
    write(back, SQUARE, "range(2, 7)")
    assert "3 of 5 items would run" in back.psy("run", "-n").stdout
    assert "2 of 5 results of this code are back" in run(back)
    assert calls(back) == [4, 5, 6] and ys(back) == [4, 9, 16, 25, 36]


def test_a_run_that_was_not_complete_goes_on(place):
    (place.folder / "limit").write_text("2")
    write(place, SQUARE)
    run(place, code=1)
    (place.folder / "limit").unlink()
    write(place, CUBE)
    run(place)
    write(place, SQUARE)
    calls(place)
    assert "2 of 4 results of this code are back" in run(place)
    assert calls(place) == [2, 3] and ys(place) == [0, 1, 4, 9]


@pytest.mark.parametrize("what", ["file_dep", "seed"])
def test_whatever_results_depend_on_has_to_be_as_it_was(place, what):
    data = place.folder / "psy-tasks" / "data.txt"
    data.parent.mkdir()
    settings = {"file_dep": "file_dep = ['data.txt']", "seed": "seed = %d\nseed_globals = True"}

    def version(number: int) -> None:
        data.write_text(str(number))
        write(place, SQUARE, more=settings[what].replace("%d", str(number)))
        calls(place)

    n_calls = []
    for number in (1, 2, 3, 1):
        version(number)
        run(place)
        n_calls.append(len(calls(place)))
    assert n_calls == [4, 4, 4, 0]


def test_keeping_results_of_other_code_leaves_the_archive_alone(back):
    before = archived(back)
    run(back, "-c")
    assert calls(back) == [] and ys(back) == [0, 1, 8, 27] and archived(back) == before


def test_an_edit_that_was_accepted_and_is_undone_computes_nothing(place):
    """As long as the edited code has computed nothing, there is nothing but the first code's."""
    write(place, SQUARE)
    run(place)
    assert calls(place) == [0, 1, 2, 3]
    for formula in ("x * x", "x ** 2.0", SQUARE, "x * x"):
        write(place, formula)
        assert place.psy("accept", "t").returncode == 0
        run(place)
    for formula in (SQUARE, "x ** 2.0"):
        write(place, formula)
        assert "up to date" in place.psy("why", "t").stdout
        run(place)
    assert calls(place) == []
    assert not (place.folder / "psy-work" / "t" / "archive").exists()
    write(place, CUBE)
    run(place)
    assert calls(place) == [0, 1, 2, 3]


def test_results_of_an_accepted_edit_are_not_those_of_the_code_before_it(place):
    """That an edit changes nothing of what is there says nothing of what it computes later."""
    write(place, SQUARE)
    run(place)
    write(place, "x**2 if x < 4 else -1")
    assert place.psy("accept", "t").returncode == 0
    write(place, "x**2 if x < 4 else -1", space="range(6)")
    run(place)
    assert calls(place) == [0, 1, 2, 3, 4, 5]
    write(place, SQUARE, space="range(6)")
    run(place)
    assert ys(place) == [0, 1, 4, 9, 16, 25]


def test_the_archived_run_with_most_results_is_taken_up(place):
    """As there are several of one code where an older psyflow has archived them."""
    for space in ("range(2)", "range(3)", "range(1)"):
        write(place, SQUARE, space)
        run(place)
        write(place, CUBE, space)
        run(place)
        for folder in archived(place):
            folder.rename(place.folder / folder.name)
    for folder in place.folder.glob("2*"):
        shutil.move(folder, place.work / "t" / "archive" / folder.name)
    write(place, SQUARE)
    calls(place)
    assert "3 of 4 results of this code are back" in run(place)
    assert calls(place) == [3] and ys(place) == [0, 1, 4, 9]


def test_rows_of_a_space_that_had_shrunk_come_back(place):
    for space in ("range(4)", "range(2)"):
        write(place, SQUARE, space)
        run(place)
    write(place, SQUARE)
    calls(place)
    run(place)
    assert calls(place) == [] and ys(place) == [0, 1, 4, 9]
    assert place.psy("status").stderr == "t: up to date.\n"


def flip(file: Path) -> None:
    """Damage a file, such that neither its size nor its time tells."""
    stat, data = file.stat(), bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    "damage",
    [lambda f: flip(f / "result.pkl"), lambda f: (f / "result.pkl").write_bytes(b"\x80")],
    ids=["flipped", "cut"],
)
def test_a_damaged_archive_is_not_used_and_that_is_said(back, damage: Callable[[Path], None]):
    (folder,) = archived(back)
    damage(folder)
    shown = run(back)
    assert f"{folder} is of this code too, but is not used: " in shown and "damaged" in shown
    assert calls(back) == [0, 1, 2, 3] and ys(back) == [0, 1, 4, 9]
    assert (folder / "result.pkl").exists()


def test_an_archive_that_does_not_say_its_code_is_not_used(back):
    (folder,) = archived(back)
    for path in (folder / "plan.json", folder / "items.npz"):
        path.unlink()
    shutil.rmtree(folder / "plans")
    run(back)
    assert calls(back) == [0, 1, 2, 3]
    assert "of unknown code" in back.psy("restore", "t").stdout


def test_a_result_outside_of_the_runs_folder_comes_back_too(place):
    more = "resultfile = 'results/mine.npz'"
    for formula in (SQUARE, CUBE, SQUARE):
        write(place, formula, more=more)
        calls(place)
        run(place)
    assert calls(place) == []
    assert list(psyflow.load(place.folder / "results/mine.npz")["y"]) == [0, 1, 4, 9]


def loaded(place: Place) -> list[object]:
    return list(psyflow.load(place.work / "t")["y"])


def task_of(place: Place) -> TaskDef:
    return TaskDef(place.folder / "psy-tasks" / "task_t.py", base=place.folder)


def begun(place: Place) -> int:
    """Begin a run as `psy run` does, and return how many items are to be evaluated."""
    run = Run(task_of(place))
    plan = begin(run)
    if plan is not None and plan.n_pending == 0:
        run.here.merge(plan)
    run.release()
    return 0 if plan is None else plan.n_pending


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("store = '.npz'", "store = '.pkl'"),
        ("resultfile = 'a.npz'", "resultfile = 'b.npz'"),
        ("resultfile = 'a/r.npz'", "resultfile = 'b/r.npz'"),
        ("resultfile = 'a.npz'", "store = '.pkl'"),
    ],
)
def test_no_row_of_other_code_is_taken_up_where_the_result_has_another_name(place, before, after):
    write(place, SQUARE, "range(2)", before)
    run(place)
    write(place, CUBE, "range(4)", after)
    (place.folder / "b").mkdir()
    (place.folder / "b" / "r.npz").write_bytes(b"of somebody")
    assert begun(place) == 4
    (folder,) = archived(place)
    (squares,) = [f for f in folder.glob("*.npz") if f.stem in ("result", "a", "r")]
    assert list(psyflow.load(squares)["y"]) == [0, 1]
    assert b"of somebody" in {file.read_bytes() for file in place.folder.rglob("r*.npz")}
    assert "2 of 2 rows, of other code" in place.psy("restore", "t").stdout


def test_rows_of_unknown_code_in_another_format_are_not_taken_up(place):
    write(place, SQUARE, more="store = '.npz'")
    run(place)
    shutil.rmtree(place.work / "t" / "plans")
    for name in ("plan.json", "items.npz"):
        (place.work / "t" / name).unlink()
    write(place, CUBE, "range(5)", "store = '.pkl'")
    assert begun(place) == 5
    (folder,) = archived(place)
    assert list(psyflow.load(folder / "result.npz")["y"]) == [0, 1, 4, 9]


def test_results_come_back_though_the_store_is_another(place):
    for formula, space in ((SQUARE, "range(3)"), (CUBE, "range(4)")):
        write(place, formula, space, "store = '.npz'")
        run(place)
    write(place, SQUARE, "range(3)", "store = '.pkl'")
    assert begun(place) == 0 and ys(place) == [0, 1, 4]
    assert (place.work / "t" / "result.pkl").exists()
    plans = place.work.glob("t/archive/*/plan.json")
    kept = [list(psyflow.load(plan.with_name("result.npz"))["y"]) for plan in plans]
    assert [0, 1, 8, 27] in kept


@pytest.mark.parametrize("present", ["resultfile = 'b.npz'", "resultfile = 'b.pkl'", ""])
def test_results_come_back_though_their_file_has_another_name(place, present):
    for formula in (SQUARE, CUBE):
        write(place, formula, more="resultfile = 'a.npz'")
        run(place)
    write(place, SQUARE, more=present)
    (squares,) = json.loads(place.psy("restore", "--json", "t").stdout)["t"]["runs"]
    assert (squares["n_rows"], squares["problem"]) == (4, "")
    assert begun(place) == 0 and loaded(place) == [0, 1, 4, 9]
    assert Assessment(task_of(place)).reasons() == []
    assert not (place.folder / "a.npz").exists()
    cubes = [
        line for line in place.psy("restore", "t").stdout.splitlines() if "other code" in line
    ]
    place.psy("restore", "t", cubes[0].split()[0])
    assert loaded(place) == [0, 1, 8, 27]
    write(place, SQUARE, more="resultfile = 'c.npz'")
    assert begun(place) == 0 and loaded(place) == [0, 1, 4, 9]
    write(place, CUBE, more="resultfile = 'd.h5'")
    assert begun(place) == 0 and loaded(place) == [0, 1, 8, 27]


def test_an_archived_run_without_its_result_says_so(back):
    (folder,) = archived(back)
    (folder / "result.pkl").unlink()
    shown = back.psy("restore", "t").stdout
    assert "0 of 4 rows" in shown and "result.pkl, which had 4 rows, is gone" in shown
    assert begun(back) == 4


class Killed(BaseException):
    """Ends a process in the middle."""


def test_killed_at_any_move_the_next_run_goes_on(back, tmp_path_factory, monkeypatch):
    cubes = (back.work / "t" / "result.pkl").read_bytes()
    move, n_moves = archiving.move, 0

    def killed_at(number: int) -> Callable[[Path, Path], None]:
        left = iter(range(number))

        def move_or_die(source: Path, target: Path) -> None:
            if next(left, None) is None:
                raise Killed
            move(source, target)

        return move_or_die

    while True:
        study = tmp_path_factory.mktemp("study") / "s"
        shutil.copytree(back.folder, study)
        task = TaskDef(study / "psy-tasks" / "task_t.py", base=study)
        monkeypatch.setattr(archiving, "move", killed_at(n_moves))
        try:
            begin(Run(task))
            break
        except Killed:
            n_moves += 1
        assert Assessment(task).reasons(), "it is not yet up to date, and says so"
        monkeypatch.setattr(archiving, "move", move)
        again = Run(task)
        plan = begin(again)
        assert plan is None or plan.n_pending == 0
        if plan is not None:
            again.here.merge(plan)
        again.release()
        assert Assessment(task).reasons() == []
        assert not (study / "psy-work/t/returning").exists()
        assert cubes in {path.read_bytes() for path in study.rglob("archive/*/result.pkl")}
    assert n_moves >= 10
    assert calls(back) == []


def test_what_is_in_the_archive_is_listed(back):
    shown = back.psy("restore", "t")
    assert "4 of 4 rows, of the present code\n    archived: execute: line " in shown.stdout
    assert f"psy restore t {archived(back)[0].name}" in shown.stderr
    (found,) = json.loads(back.psy("restore", "--json", "t").stdout)["t"]["runs"]
    assert (found["n_rows"], found["is_present_code"]) == (4, True)
    shutil.rmtree(back.work / "t" / "archive")
    assert back.psy("restore", "t").stderr == "t: nothing is in the archive.\n"


def test_restored_results_are_called_what_they_are(place):
    write(place, SQUARE)
    run(place)
    write(place, CUBE)
    run(place)
    (squares,) = archived(place)
    before = place.snapshot()
    dry = place.psy("restore", "-n", "t", squares.name[:4])
    assert "t: would restore psy-work/t/archive/2" in dry.stdout and place.snapshot() == before
    shown = place.psy("restore", "t", squares.name[:-2])
    assert shown.stdout == f"t: restored psy-work/t/archive/{squares.name}\n"
    assert "4 of 4 rows, of other code: execute: line" in shown.stderr
    assert "To keep it: psy accept t" in shown.stderr
    assert ys(place) == [0, 1, 4, 9]
    assert "not up to date: execute: line" in place.psy("status").stderr
    place.psy("accept", "t")
    assert place.psy("status").stderr == "t: up to date.\n"
    calls(place)
    place.psy("restore", "t", archived(place)[0].name)
    assert ys(place) == [0, 1, 8, 27] and place.psy("status").stderr == "t: up to date.\n"


def test_a_run_that_is_not_there_cannot_be_restored(back):
    (folder,) = archived(back)
    shutil.copytree(folder, folder.with_name("20200101T000000-abcdef"))
    shown = back.psy("restore", "t", "3" + folder.name[1:])
    assert shown.returncode == 2 and f'Did you mean "{folder.name}"?' in shown.stderr
    shown = back.psy("restore", "t", "20")
    assert shown.returncode == 2 and "Type more of the name." in shown.stderr


def test_what_others_have_put_into_the_archive_stays_there(back):
    (folder,) = archived(back)
    (folder / "notes.txt").write_text("mine")
    run(back)
    assert ys(back) == [0, 1, 4, 9]
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "rows unknown, of unknown code" in back.psy("restore", "t").stdout


def test_a_name_in_the_archive_is_never_used_twice(back):
    (folder,) = archived(back)
    run_id = json.loads((back.work / "t" / "plan.json").read_text())["run_id"]
    other = folder.with_name(run_id)
    other.mkdir()
    (other / "result.pkl").write_bytes(b"something else")
    run(back)
    assert (other / "result.pkl").read_bytes() == b"something else"
    assert (folder.with_name(f"{run_id}-2") / "result.pkl").exists()
    back.psy("clean", "-y", "t")
    assert not (back.work / "t").exists()


def test_rows_of_files_that_have_changed_since_do_not_come_back(place):
    data = [place.folder / "psy-tasks" / f"{name}.txt" for name in "ab"]
    data[0].parent.mkdir()

    def write_sums(formula: str) -> None:
        place.task(
            "t",
            "from pathlib import Path\nfrom psyflow import Param\nHERE = Path(__file__).parent\n"
            "pspace = Param(file=[HERE / 'a.txt', HERE / 'b.txt'])\n"
            f"def execute(file):\n    return {{'y': {formula} * int(file.read_text())}}\n",
        )

    for number, file in enumerate(data):
        file.write_text(str(number + 1))
    for formula in ("1", "2"):
        write_sums(formula)
        run(place)
    data[1].write_text("50")
    write_sums("1")
    assert "1 of 2 results of this code are back" in run(place)
    assert ys(place) == [1, 50]


def _write_reader(place: Place, formula: str) -> None:
    place.task(
        "t",
        "from pathlib import Path\nfrom psyflow import Param\n"
        "pspace = Param(file=[Path('a.txt'), Path('b.txt')])\n"
        f"def execute(file):\n    return {{'y': {formula} * int(file.read_text())}}\n",
    )


def test_rows_of_an_older_psyflow_that_looked_into_no_files_do_not_come_back(place):
    _write_reader(place, "1")
    for number, name in enumerate("ab"):
        (place.folder / "psy-tasks" / f"{name}.txt").write_text(str(number + 1))
    run(place)
    for file in (place.work / "t").rglob("plan.json"):
        record = json.loads(file.read_text())
        del record["contents"]
        file.write_text(json.dumps(record))
    _write_reader(place, "2")
    run(place)
    _write_reader(place, "1")
    (place.folder / "psy-tasks" / "b.txt").write_text("50")
    assert "nothing says what was in the files" in run(place)
    assert ys(place) == [1, 50]
