"""Mistakes that people make in their first task files: what is told, and what to type next."""

from __future__ import annotations

import json

import pytest

from psyflow import load
from tests.support.place import SQUARE, Place

SPACE = "Param(x=range(4))"
LATIN = "# Größe\n".encode("latin-1")


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("Param([1, 2])", "such as Param(a=[1, 2]); for rows, or a data frame, write "),
        ("Param({'x': [1]})", "for a dict of them, write Param(**{...})."),
        ("Param('x')", "Param takes values by the names of parameters, such as Param(a=1)."),
        ("Param(x=[1]) * {'y': [1]}", "Spaces are combined with spaces: for a dict, write Param("),
        ("Param(x=[1]) + [{'x': 2}]", "for a list, write Param.from_psets([...])."),
    ],
)
def test_spaces_that_are_none(place: Place, space: str, told: str) -> None:
    place.task("t", SQUARE.replace(SPACE, space))
    shown = place.psy("test")
    assert shown.returncode == 3
    assert told in shown.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from .helper import x", "import what is beside it by its name, without the dot."),
        ("from ..helper import x", "import what is beside it by its name, without the dot."),
        ("import around", "task_t.py imports the module that asks for this, and is not done yet"),
        ("from tabnanny import check", "is taken for the module `tabnanny` of Python's standard"),
        ("import tabnanny; tabnanny.check", "is taken for the module `tabnanny` of Python's stan"),
    ],
)
def test_imports_that_go_wrong(place: Place, line: str, told: str) -> None:
    place.task("t", f"{line}\n{SQUARE}")
    around = "from task_t import pspace\n"
    for name, source in (("helper", "x = 1\n"), ("around", around), ("tabnanny", "")):
        (place.folder / f"psy-tasks/{name}.py").write_text(source)
    assert told in place.psy("test").stderr.splitlines()[-1]


@pytest.mark.parametrize("call", ["run('t', progress=False)", "load('t')"])
def test_a_task_that_asks_for_itself_while_it_is_loaded(place: Place, call: str) -> None:
    asks = f"import psyflow\n{SQUARE}\nif 'now':\n    psyflow.{call}\n"
    place.task("t", asks)
    shown = place.psy("run")
    assert shown.returncode == 3
    assert shown.stderr.count("Traceback") == 1
    assert 'Write what runs or loads that below `if __name__ == "__main__":`' in shown.stderr
    place.task("t", asks.replace("if 'now'", "if __name__ == '__main__'"))
    assert place.psy("run").returncode == 0


def test_comments_that_are_not_in_utf8(place: Place) -> None:
    file = place.task("t")
    file.write_bytes(LATIN + file.read_bytes() + LATIN)
    assert place.psy("run").returncode == 0
    file.write_bytes(file.read_bytes().replace(b"x**2", b"x**3"))
    assert "y" in place.psy("why").stdout
    assert place.psy("run").returncode == 0
    assert place.result("t")["y"] == [0, 1, 8, 27]


@pytest.mark.parametrize("source", [SQUARE.encode("utf-16"), b"name = '" + LATIN[2:-1] + b"'\n"])
def test_code_that_is_not_in_utf8(place: Place, source: bytes) -> None:
    place.task("t").write_bytes(source)
    told = place.psy("run").stderr.splitlines()[-1]
    assert told.startswith("Save it as UTF-8, or name its encoding in its first line: ")


@pytest.mark.parametrize(
    ("name", "new_name"),
    [("my_task", "task_my"), ("Task-a", "task_a"), ("task", "task_first"), ("x", "task_x")],
)
def test_task_files_of_another_name(place: Place, name: str, new_name: str) -> None:
    file = place.task("t")
    file.rename(file.with_name(f"{name}.py"))
    told = place.psy("run").stderr
    assert f'"psy-tasks/{name}.py" has an `execute`, but' in told
    assert told.endswith(f"rename it, such as {new_name}.py.\n")


@pytest.mark.parametrize("is_there", [True, False])
def test_task_files_beside_their_folder(place: Place, is_there: bool) -> None:
    file = place.task("t")
    file.rename(place.folder / "task_t.py")
    if not is_there:
        file.parent.rmdir()
    told = place.psy("run").stderr
    assert told.endswith('"task_t.py" is no task there: move it into "psy-tasks".\n')


def test_a_task_file_whose_name_is_none(place: Place) -> None:
    place.task("my study")
    told = place.psy("run").stderr
    assert told.endswith("It is from the name of the file: rename that, or set `name`.\n")


@pytest.mark.parametrize(
    ("takes", "told"),
    [
        ("pset", "To get all as one dict, write: def execute(**pset)\n"),
        ("a, b", "Add **kwargs to it to take anything.\n"),
        ("x, rng", "For random numbers, set a seed, such as seed = 1.\n"),
    ],
)
def test_arguments_that_nobody_gives(place: Place, takes: str, told: str) -> None:
    place.task("t", SQUARE.replace("execute(x)", f"execute({takes})"))
    assert place.psy("run").stderr.endswith(told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("assert x > 5", "  1 × AssertionError\n"),
        ("input('? ')", "Nobody is there to answer `input()`: make it a parameter, or "),
        ("breakpoint()", "There is no terminal for `breakpoint()` here: psy debug has one."),
        ("raise ValueError('long' * 900)", "  1 × ValueError: longlong"),
        ("return {1: x}", "keys have to be text, such as str(key)."),
    ],
)
def test_what_fails(place: Place, line: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray leaves a debugger of its own to all that its process starts.
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    source = SQUARE.replace(SPACE, "Param(x=[1])")
    place.task("t", source.replace("    return", f"    {line}\n    return"))
    assert place.psy("run").returncode == 1
    assert told in place.psy("failures").stdout


def test_what_an_item_printed_whose_process_died(place: Place) -> None:
    dies = "print('so far', flush=True)\n    os._exit(3)\n    return"
    place.task("t", "import os\n" + SQUARE.replace("return", dies))
    assert place.psy("run", "--limit", "1").returncode == 1
    shown = place.psy("log", "t", "0")
    assert "What it printed is in that log, among what other items did." in shown.stderr
    (log,) = (place.folder / "psy-work/t").glob("*worker-*.log")
    assert log.name in shown.stdout
    assert log.read_text() == "so far\n"
    log.unlink()
    assert "not there any more" in place.psy("log", "t", "0").stderr


def test_a_seed_that_is_another_each_time(place: Place) -> None:
    place.task("t", SQUARE.replace("(x)", "(x, rng)") + "seed = 1\n")
    place.psy("run")
    place.task("t", SQUARE.replace("(x)", "(x, rng)") + "seed = 2\n")
    assert "seed: `seed = 1` -> `seed = 2`" in place.psy("status").stderr
    assert "    - task_t.py: seed = 1\n" in place.psy("why").stdout


OBJECTS = """
import numpy as np
from psyflow import Param

class Model:
    def __init__(self, drift):
        self.drift = drift

pspace = Param(model=[Model(1), Model(2)])

def execute(model):
    return {"y": np.array(model.drift / 2)}
"""


def test_objects_and_arrays_without_axes_are_shown_by_what_is_in_them(place: Place) -> None:
    place.task("t", OBJECTS)
    assert place.psy("run").returncode == 0
    assert place.psy("show").stdout.splitlines()[2:] == [
        "Model(drift=1)  0.5",
        "Model(drift=2)  1",
    ]
    assert "item 1: {'model': Model(drift=2)}" in place.psy("log", "t", "1").stdout


def test_names_that_python_has_a_meaning_for(place: Place) -> None:
    names = ("self", "class", "item", "task", "key", "pset")
    space = f"Param(**{json.dumps(dict(zip(names, range(6), strict=True)))})"
    place.task("t", SQUARE.replace(SPACE, space).replace("(x)", "(**pset)").replace("x**2", "2"))
    assert place.psy("run").returncode == 0
    assert load(place.work / "t").item(self=0, item=2)["y"] == 2
