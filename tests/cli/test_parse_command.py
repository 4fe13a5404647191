"""Outputs of programs, read again without running anything."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import psyflow
from psyflow.cli.experiments.outputs import BOOKKEEPING
from tests.support.place import SQUARE, Place, lines

EPOCHS = """\
#!/bin/sh
echo "$1" >> calls.log
for epoch in 1 2; do echo "loss $1.$epoch"; echo "epoch $epoch done"; done
echo "{\\"n\\": $1, \\"test\\": {\\"acc\\": 0.$1}}" > "$PSYFLOW_DIR/metrics.json"
"""
TASK = """
from pathlib import Path
from psyflow import Command, Param

pspace = Param(n=[1, 2, 3])
execute = Command("./epochs {{n}}", cwd={here!r}, parse={parse}{more})
"""


@pytest.fixture
def study(place: Place) -> Place:
    path = place.folder / "epochs"
    path.write_text(EPOCHS)
    path.chmod(0o755)
    return place


def task(place: Place, parse: object, more: str = "") -> None:
    place.task("sim", TASK.format(here=str(place.folder), parse=parse, more=more))


def calls(place: Place) -> int:
    return len((place.folder / "calls.log").read_text().splitlines())


def rows_of(path: Path, sign: str = ",") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=sign))


def loaded(place: Place) -> dict[str, list[object]]:
    return {name: list(column) for name, column in psyflow.load(place.work / "sim").items()}


def experiment(place: Place) -> Path:
    words = ["exec", "grid", "-o", "out", "--vl", "n", "2", "1", "--", "./epochs", "{n}"]
    assert place.psy(*words).returncode == 0
    return place.folder / "out" / "quick_experiment"


def test_other_patterns_run_nothing(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 0
    assert loaded(study) == {"n": [1, 2, 3], "loss": [1.2, 2.2, 3.2]}
    parse = {"first": ("stdout", r"loss (@float@)", "first"), "*": "metrics.json"}
    task(study, parse)
    assert study.psy("run").stdout == lines("sim", "-- -- --")
    shown = study.psy("parse", "sim")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == "sim: 3 of 3 rows were read anew.\n"
    assert loaded(study) == {
        "n": [1, 2, 3],
        "first": [1.1, 2.1, 3.1],
        "test.acc": [0.1, 0.2, 0.3],
    }
    assert calls(study) == 3
    assert study.psy("run").stdout == lines("sim", "-- -- --")
    status = study.psy("status", "sim")
    assert "3" in status.stdout and status.returncode == 0


def test_a_run_that_is_not_complete_keeps_what_it_lacks(study: Place) -> None:
    (study.folder / "epochs").write_text(EPOCHS + '[ "$1" != 2 ]\n')
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 1
    task(study, {"epoch": r"epoch (@int@)"})
    shown = study.psy("parse", "sim")
    assert (shown.returncode, shown.stderr) == (0, "sim: 2 of 2 rows were read anew.\n")
    results = psyflow.load(study.work / "sim")
    assert (results.outputs, results["epoch"]) == (["epoch"], [2, 2])
    assert list(results.failures["n"]) == [2]
    assert study.psy("run").returncode == 1
    assert (calls(study), loaded(study)) == (4, {"n": [1, 3], "epoch": [2, 2]})
    (study.folder / "epochs").write_text(EPOCHS)
    assert study.psy("run").returncode == 0
    assert loaded(study) == {"n": [1, 2, 3], "epoch": [2, 2, 2]}


def test_rows_of_which_nothing_is_kept_stay(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"}, ', keep="none"')
    assert study.psy("run").returncode == 0
    task(study, {"epoch": r"epoch (@int@)"}, ', keep="none"')
    shown = study.psy("parse", "sim")
    assert shown.returncode == 0
    assert "0 of 3 rows were read anew. 3 are as they were, for nothing is kept" in shown.stderr
    assert loaded(study)["loss"] == [1.2, 2.2, 3.2]


def test_what_cannot_be_read_is_named_and_stays(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 0
    folders = sorted((study.work / "sim" / "psets").glob("*/metrics.json"))
    folders[0].write_text('{"n": 1')
    task(study, {"*": "metrics.json"})
    shown = study.psy("parse", "sim")
    assert shown.returncode == 1
    assert "2 of 3 rows were read anew. 1 are as they were, for they cannot be" in shown.stderr
    assert "metrics.json is no whole JSON" in shown.stderr


def test_a_function_that_raises_costs_no_row(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 0
    path = study.tasks / "task_sim.py"
    code = "def n(folder):\n    return {2: 'two', 3: 'three'}[read(folder)]\n"
    read = "def read(folder):\n    return int((folder / 'stdout').read_text()[5])\n"
    text = path.read_text().replace("parse={'loss': 'loss (@float@)'}", "parse={'word': n}")
    path.write_text(f"{read}{code}{text}")
    shown = study.psy("parse", "sim")
    assert shown.returncode == 1
    assert "2 of 3 rows were read anew. 1 are as they were" in shown.stderr
    assert (
        "sim: item 0: KeyError: 1 (psy-tasks/task_sim.py, line 4, in n: return {2:" in shown.stderr
    )
    assert loaded(study)["word"][1:] == ["two", "three"]
    assert loaded(study)["loss"][0] == 1.2


def test_a_column_that_is_a_parameter_of_another_value_is_refused(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 0
    task(study, {"n": r"epoch (@int@)"})
    shown = study.psy("parse", "sim")
    assert shown.returncode == 1
    assert 'as "n", which is a parameter' in shown.stderr


def test_a_line_breaker_makes_several_rows_of_a_run(study: Place) -> None:
    folder = experiment(study)
    words = ["-p", "LOSS", r"loss (@float@)", "-p", "EPOCH", r"epoch (@int@)"]
    shown = study.psy("parse", "-e", str(folder), *words, "-n", "^epoch .* done")
    assert shown.returncode == 0, shown.stderr
    assert "output.csv has 4 rows." in shown.stderr
    rows = rows_of(folder / "output.csv")
    found = [[row[f] for f in ("VAR_n", "OUT_LOSS", "OUT_EPOCH", "BREAK_ID")] for row in rows]
    assert found == [
        ["2", "2.1", "1", "0"],
        ["2", "2.2", "2", "1"],
        ["1", "1.1", "1", "0"],
        ["1", "1.2", "2", "1"],
    ]
    assert psyflow.load(folder).outputs == []
    assert calls(study) == 2


def test_each_of_several_line_breakers_ends_a_row(study: Place) -> None:
    folder = experiment(study)
    words = ["parse", "-e", str(folder), "-p", "LOSS", "loss (@float@)"]
    assert study.psy(*words, "-n", "^epoch 1", "-n", "epoch 2 done").returncode == 0
    found = [row["OUT_LOSS"] for row in rows_of(folder / "output.csv")]
    assert found == ["2.1", "2.2", "1.1", "1.2"]


def test_where_the_table_goes_and_what_separates_its_columns(study: Place) -> None:
    folder = experiment(study)
    words = ["parse", "-e", "out", "-p", "LOSS", r"loss (@float@)"]
    shown = study.psy(*words, "--sep", ";", "-o", "losses.csv")
    assert shown.returncode == 0, shown.stderr
    assert [row["OUT_LOSS"] for row in rows_of(study.folder / "losses.csv", ";")] == ["2.2", "1.2"]
    assert not (folder / "output.csv").exists()
    shown = study.psy(*words, "-o", "-")
    assert shown.stdout.splitlines()[0] == ",".join(["VAR_n", "OUT_LOSS", *BOOKKEEPING])
    # Without patterns, what is in the results.
    shown = study.psy("parse", "-e", str(folder))
    assert [row["OUT_LOSS"] for row in rows_of(folder / "output.csv")] == ["2.2", "1.2"]


def test_no_match_is_an_empty_field(study: Place) -> None:
    folder = experiment(study)
    assert study.psy("parse", "-e", str(folder), "-p", "X", r"x (@int@)").returncode == 0
    assert [row["OUT_X"] for row in rows_of(folder / "output.csv")] == ["", ""]


def test_an_edited_task_file_stays_as_it_is(study: Place) -> None:
    folder = experiment(study)
    path = study.folder / "out" / "psy-tasks" / "task_quick_experiment.py"
    path.write_text(path.read_text() + "# mine\n")
    before = path.read_text()
    shown = study.psy("parse", "-e", str(folder), "-p", "LOSS", r"loss (@float@)")
    assert shown.returncode == 0
    assert "is not as psy exec wrote it, so the results stay as they were" in shown.stderr
    assert path.read_text() == before
    assert [row["OUT_LOSS"] for row in rows_of(folder / "output.csv")] == ["2.2", "1.2"]
    assert psyflow.load(folder).outputs == []


def test_the_table_of_any_run_of_a_command(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 0
    shown = study.psy("parse", "-e", "psy-work/sim", "-o", "-")
    assert shown.returncode == 0, shown.stderr
    rows = list(csv.DictReader(shown.stdout.splitlines()))
    assert [row["OUT_loss"] for row in rows] == ["1.2", "2.2", "3.2"]
    assert {row["EXPERIMENT_NAME"] for row in rows} == {"sim"}
    assert (Path(rows[0]["OUTPUT_DIR"]) / "stdout").read_text().startswith("loss 1.1\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Name a task, or a folder"),
        (["sim", "-e", "out"], "but not both"),
        (["sim", "-p", "A", "(b)"], "go with -e FOLDER"),
        (["sime"], 'Did you mean "sim"'),
        (["square"], "is no Command"),
        (["sim"], "has no `parse`"),
        (["-e", "gone"], "There is no folder gone."),
        (["-e", "psy-tasks"], "is no folder of an experiment"),
        (["-e", "psy-work/sim", "-p", "A", "a ("], "is no regular expression"),
        (["-e", "psy-work/sim", "-p", "A", "a"], "has no group"),
        (["-e", "psy-work/sim", "-p", "A", "(@flaot@)"], "no @flaot@"),
        (["-e", "psy-work/sim", "-p", "A", "(a)", "-p", "A", "(b)"], "the same name"),
        (["-e", "psy-work/sim", "-n", "x"], "-n goes with patterns"),
        (["-e", "psy-work/sim", "--sep", ", "], "--sep is one character"),
        (["-e", "psy-work/sim", "-o", "gone/x.csv"], "There is no folder for gone/x.csv"),
        (["-e", "psy-work/sim", "-o", "."], ". is a folder. Name a file in it: -o output.csv"),
        (["-e", "psy-work/sim", "--sepp", ";"], 'Did you mean "--sep"'),
    ],
)
def test_mistakes(ran: Place, words: list[str], message: str) -> None:
    shown = ran.psy("parse", *words)
    assert message in shown.stderr
    assert shown.returncode == 2
    assert not list(ran.folder.rglob("*.csv"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A study in which a Command without `parse` has run."""
    place = Place(tmp_path_factory.mktemp("study"))
    path = place.folder / "epochs"
    path.write_text(EPOCHS)
    path.chmod(0o755)
    task(place, None)
    place.task("square", SQUARE)
    assert place.psy("run").returncode == 0
    return place


def test_a_task_that_has_never_run(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    shown = study.psy("parse", "sim")
    assert shown.returncode == 2
    assert "psy run" in shown.stderr


def test_what_has_the_name_of_a_variable_is_in_the_table_alone(study: Place) -> None:
    out = experiment(study)
    shown = study.psy("parse", "-e", str(out), "-p", "n", r"loss (@float@)", "-p", "m", r"(@int@)")
    assert shown.returncode == 0, shown.stderr
    assert '"n" is a variable' in shown.stderr
    assert {"VAR_n", "OUT_n", "OUT_m"} <= set(rows_of(out / "output.csv")[0])
    assert set(psyflow.load(out)) == {"n", "m"}


def test_what_is_wrong_in_a_function_of_the_user_s_is_told_with_its_line(study: Place) -> None:
    task(study, {"loss": r"loss (@float@)"})
    assert study.psy("run").returncode == 0
    study.task(
        "sim",
        "import json\nfrom psyflow import Command, Param\npspace = Param(n=[1, 2, 3])\n"
        "def read(folder):\n    return inner((folder / 'stdout').read_text())\n"
        "def inner(text):\n    return json.loads(text + '{')\n"
        "execute = Command('./epochs {n}', parse=read)\n",
    )
    shown = study.psy("parse", "sim")
    assert shown.returncode == 1
    assert "0 of 3 rows were read anew" in shown.stderr
    assert "line 7, in inner: return json.loads(text + '{')" in shown.stderr
    assert "reparse.py" not in shown.stderr and "decoder.py" not in shown.stderr
    assert loaded(study)["loss"] == [1.2, 2.2, 3.2]
