"""What `psy` says to people who have typed, written or left something wrong."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.place import SQUARE, Place
from tests.support.screen import Shown, on_screen


def test_what_is_chosen_is_told_from_what_there_is(place: Place) -> None:
    place.task("square")
    place.psy("run", "--limit", "1")
    told = place.psy("run", "-n", "--where", "x>2").stdout.splitlines()
    assert told[0].startswith("square: 1 of 4 items would run, ")
    assert told[1] == "  chosen by --where 'x>2': 1 of the 3 items that have no result"
    assert told[2] == "  because: 3 of 4 items have no result"
    report = json.loads(place.psy("run", "-n", "--json", "--where", "x>2").stdout)["square"]
    assert (report["n_pending"], report["n_missing"], report["n_items"]) == (1, 3, 4)


def test_that_nothing_is_chosen_is_said_before_and_in_a_run(place: Place) -> None:
    place.task("square")
    place.psy("run", "--limit", "1")
    why = "no item without a result fulfils x=0"
    before = place.psy("run", "-n", "--where", "x=0").stdout
    assert f"nothing would run, because {why}. 3 of 4 items have no result" in before
    assert f"square: {why}, so nothing is run." in place.psy("run", "--where", "x=0").stderr
    place.psy("run")
    assert "No item fulfils x=7." in place.psy("run", "-n", "--where", "x=7").stdout
    assert "square: No item fulfils x=7.\n" in place.psy("run", "--where", "x=7").stderr


NAMES = ("square", "psy-work/square", "psy-work/square/", "psy-tasks/task_square.py")
COMMANDS = ("run", "status", "why", "failures", "log", "show", "watch", "restore", "kill", "test")


@pytest.mark.parametrize("subfolder", [".", "notes"])
def test_a_task_may_be_named_in_any_way_from_anywhere(place: Place, subfolder: str) -> None:
    place.task("square")
    place.psy("run")
    (place.folder / "notes").mkdir()
    inside = Place(place.folder / subfolder)
    for name in NAMES:
        for command in COMMANDS:
            told = inside.psy(command, name)
            assert told.returncode == 0, (command, name, told.stderr)
        to = str(place.folder / "out.csv")
        assert inside.psy("export", name, to).returncode == 0, name
        assert inside.psy("clean", "-n", name).stdout.count("result.pkl") == 1


def test_help_of_what_there_is_and_is_not(place: Place) -> None:
    for words in (["help"], ["help", "help"]):
        told = place.program(*words)
        assert (told.returncode, told.stdout.partition("\n")[0][:10]) == (0, "usage: psy")
    assert place.program("help", "run").stdout.startswith("usage: psy run")
    unknown = place.program("help", "rnu")
    assert unknown.returncode == 2
    assert 'there is no command "rnu". Did you mean "run"?' in unknown.stderr
    assert 'Did you mean "help"?' in place.program("hlep").stderr


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("helprs", 'Did you mean "helpers"?'),
        ("models", 'sys.path.append("../lib")'),
        ("sklearn_of_nobody", "-m pip install sklearn_of_nobody"),
        ("json.nothing", "`json` is there, but has no such module."),
    ],
)
def test_a_module_that_is_missing(place: Place, wanted: str, hint: str) -> None:
    place.task("t", f"import {wanted}\n{SQUARE}")
    for file in ("psy-tasks/helpers.py", "lib/models.py"):
        (place.folder / file).parent.mkdir(exist_ok=True)
        (place.folder / file).touch()
    for words in (("run",), ("status", "t"), ("show", "t")):
        told = place.psy(*words)
        assert told.returncode == 3
        assert told.stdout == ""
        assert told.stderr.count("could not be loaded") == 1
        assert told.stderr.count("ModuleNotFoundError") == 1
        assert told.stderr.rstrip().splitlines()[-1].endswith(hint) or hint in told.stderr


def test_the_hint_for_a_module_elsewhere_holds(place: Place) -> None:
    (place.folder / "lib").mkdir()
    (place.folder / "lib" / "models.py").write_text("def power(x):\n    return x**3\n")
    place.task("t", "import models\n" + SQUARE.replace("x**2", "models.power(x)"))
    told = place.psy("run").stderr
    line = told[told.index("import sys; ") :].strip()
    place.task("t", f"{line}\nimport models\n" + SQUARE.replace("x**2", "models.power(x)"))
    assert place.psy("run").returncode == 0
    assert place.result("t")["y"] == [0, 1, 8, 27]


def test_a_plot_of_nothing_is_no_question_of_files(place: Place) -> None:
    place.task("square")
    told = place.psy("plot", "squrae")
    assert told.returncode == 2
    assert 'There is no task "squrae". Did you mean "square"?' in told.stderr
    assert "no results yet. Type: psy run square" in place.psy("plot", "square").stderr
    place.psy("run")
    assert "psy plot square -o square.png" in place.psy("plot", "square").stderr


def test_before_results_go_it_is_asked(place: Place) -> None:
    place.task("square")
    empty = on_screen(place.command("clean", "square"), place.folder, 80)
    assert empty.screen.lines == ["square: nothing to remove.", ""]
    place.psy("run")
    question = "square: remove this for good, with 4 rows? [y/N]"

    def look(answer: str) -> Shown:
        # As somebody types it, who has read the question.
        return on_screen(
            place.command("clean", "square"), place.folder, 80, typed={"[y/N]": answer}
        )

    refused = look("n")
    assert question in "\n".join(refused.screen.lines)
    assert "square: nothing was removed." in refused.screen.lines
    assert place.result_exists("square")
    assert "square: removed psy-work/square/result.pkl" in look("y").screen.lines
    assert not place.result_exists("square")


def test_a_pipe_among_the_records_stops_nobody(place: Place) -> None:
    place.task("square")
    place.psy("run", "--limit", "2")
    work = place.folder / "psy-work/square"
    for name in ("0-0.rows", "0-1.rows.packed"):
        os.mkfifo(work / "out" / f"20260101T000000-abcdef.0.ab.{name}")
    os.mkfifo(work / "square:process:9.log")
    for words in (("status",), ("log", "square"), ("show", "square"), ("run",)):
        told = place.program(*words)
        assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("record", ["plan.json", "jobs.jsonl", "items.npz", "result.pkl"])
def test_a_pipe_in_place_of_a_record_is_named(place: Place, record: str) -> None:
    place.task("square")
    place.psy("run", "--limit", "2")
    path = place.folder / "psy-work/square" / record
    path.unlink()
    os.mkfifo(path)
    for command in ("status", "why", "run"):
        told = place.program(command)
        assert record in told.stderr or told.returncode == 0
    assert path.is_fifo() or path.is_file()
