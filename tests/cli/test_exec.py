"""Programs over grids, without a task file."""

from __future__ import annotations

import ast
import csv
import os
import pty
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import psyflow
from psyflow.cli.experiments.settings import Experiment
from psyflow.cli.experiments.taskfile import Running
from psyflow.cli.experiments.taskfile import task_file as text_of
from psyflow.cli.experiments.variables import (
    Variable,
    arithmetic,
    geometric,
    multiplied,
    typed,
)
from psyflow.exceptions import UsageError
from tests.support.place import Place, lines
from tests.support.processes import PATIENCE
from tests.support.programs import MAIN, SIM

QUICK = "quick_experiment"


@pytest.fixture
def study(place: Place) -> Place:
    """A folder with a program that prints its arguments."""
    program(place.folder / "sim", SIM)
    return place


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def calls(place: Place) -> list[str]:
    return sorted((place.folder / "calls.log").read_text().splitlines())


def task_file(place: Place, output: str = "out", name: str = QUICK) -> str:
    return (place.folder / output / "psy-tasks" / f"task_{name}.py").read_text()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_example_of_the_text_word_for_word(place: Place) -> None:
    home = place.folder / "home"
    program(home / "Sources/patas/examples/sanity/main.py", MAIN)
    shown = place.program(
        *("exec", "grid"),
        *("--cmd", "./main.py {hidden_neurons} {activation_function}"),
        *("--vl", "hidden_neurons", "10", "20", "30"),
        *("--vl", "activation_function", "sigmoid", "relu"),
        *("--workdir", "$HOME/Sources/patas/examples/sanity"),
        *("--repeat", "2"),
        *("-o", "tmp"),
        env={"HOME": str(home)},
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == lines(QUICK)
    assert "6 combinations × 2, 12 runs." in shown.stderr
    assert f"{QUICK}: 12 of 12 runs done, none given up, in " in shown.stderr
    shown = place.program(
        *("parse", "-e", "tmp/quick_experiment/"),
        *("-p", "TRAIN_ACC", "Train accuracy: (@float@)"),
        *("-p", "TEST_ACC", "Test accuracy:  (@float@)"),
        env={"HOME": str(home)},
    )
    assert (shown.returncode, shown.stdout) == (0, ""), shown.stderr
    path = place.folder / "tmp" / QUICK / "output.csv"
    assert path.read_text().splitlines()[0] == (
        "VAR_activation_function,VAR_hidden_neurons,OUT_TRAIN_ACC,OUT_TEST_ACC,BREAK_ID,TASK_ID,"
        "REPEAT_ID,COMBINATION_ID,EXPERIMENT_ID,EXPERIMENT_NAME,DURATION,STARTED_AT,ENDED_AT,"
        "MAX_TRIES,TRIES,CLUSTER_ID,CLUSTER_NAME,NODE_ID,NODE_NAME,WORKER_ID,OUTPUT_DIR,WORK_DIR"
    )
    rows = table(path)
    # The values that the text prints.
    found = {
        (row["VAR_activation_function"], row["VAR_hidden_neurons"]): (
            row["OUT_TRAIN_ACC"],
            row["OUT_TEST_ACC"],
        )
        for row in rows
    }
    assert found == {
        ("sigmoid", "10"): ("0.937", "0.923"),
        ("sigmoid", "20"): ("0.927", "0.916"),
        ("sigmoid", "30"): ("0.921", "0.912"),
        ("relu", "10"): ("0.942", "0.926"),
        ("relu", "20"): ("0.929", "0.917"),
        ("relu", "30"): ("0.923", "0.913"),
    }
    assert [row["TASK_ID"] for row in rows] == [str(n) for n in range(12)]
    assert [row["REPEAT_ID"] for row in rows] == ["0", "1"] * 6
    assert [row["COMBINATION_ID"] for row in rows] == [str(n // 2) for n in range(12)]
    first = rows[0]
    assert (first["VAR_activation_function"], rows[2]["VAR_activation_function"]) == (
        "sigmoid",
        "relu",
    )
    told = {name: first[name] for name in first if name.isupper() and "_ACC" not in name}
    assert (
        told.items()
        >= {
            "BREAK_ID": "0",
            "EXPERIMENT_ID": "0",
            "EXPERIMENT_NAME": QUICK,
            "MAX_TRIES": "3",
            "TRIES": "1",
            "CLUSTER_ID": "0",
            "CLUSTER_NAME": "quick_cluster",
            "NODE_ID": "0",
            "NODE_NAME": "local_machine",
            "OUTPUT_DIR": str(place.folder / "tmp" / QUICK / "0"),
            "WORK_DIR": "$HOME/Sources/patas/examples/sanity",
        }.items()
    )
    assert first["STARTED_AT"] < first["ENDED_AT"]
    assert 0 < float(first["DURATION"]) < PATIENCE
    # The folder of each run has what it printed.
    assert "Train accuracy: 0.937\n" in (Path(first["OUTPUT_DIR"]) / "stdout").read_text()
    # What the patterns find is in the results as well.
    results = psyflow.load(place.folder / "tmp" / QUICK)
    assert results.outputs == ["TRAIN_ACC", "TEST_ACC"]
    assert (
        results.item(activation_function="relu", hidden_neurons=30, repeat=1)["TEST_ACC"] == 0.913
    )


def test_added_values_only_add_runs(study: Place) -> None:
    words = ["exec", "grid", "-o", "out", "--vl", "n", "1", "2"]
    assert study.psy(*words, "--", "./sim", "{n}").returncode == 0
    shown = study.psy(*words, "3", "--", "./sim", "{n}")
    assert shown.returncode == 0
    assert "1 run to go after 2" in shown.stderr
    assert calls(study) == ["1", "2", "3"]
    again = study.psy(*words, "3", "--", "./sim", "{n}")
    assert (again.returncode, again.stdout) == (0, lines(QUICK, "-- -- --"))


@pytest.mark.parametrize("n", [3, 300])
def test_values_that_were_left_out_for_a_while_keep_what_was_printed(study: Place, n: int) -> None:
    words = ["exec", "grid", "-y", "-o", "out", "-p", "SAID", r"\[(@int@)\]", "--vl", "n"]
    numbers = [str(number) for number in range(n)]
    program = ["--", "echo", "[{n}]"]
    for values in (numbers, ["1"], [*numbers, "9999"]):
        shown = study.psy(*words, *values, *program)
        assert shown.returncode == 0, shown.stderr
    folder = study.folder / "out" / QUICK
    assert study.psy("parse", "-e", str(folder), "-p", "X", r"(@int@)\]").returncode == 0
    found = [row["OUT_X"] for row in table(folder / "output.csv")]
    assert found == [*numbers, "9999"]


def test_the_task_file_can_be_continued_and_is_never_overwritten_once_edited(study: Place) -> None:
    words = ["exec", "grid", "-o", "out", "--vl", "n", "1", "2", "--", "./sim", "{n}"]
    assert study.psy(*words).returncode == 0
    path = study.folder / "out" / "psy-tasks" / f"task_{QUICK}.py"
    path.write_text(path.read_text().replace("[1, 2]", "[1, 2, 5]"))
    ran = study.psy("run", "--taskdir", "out/psy-tasks")
    assert (ran.returncode, calls(study)) == (0, ["1", "2", "5"])
    before = path.read_text()
    shown = study.psy(*words)
    assert shown.returncode == 2
    assert "is not as psy exec wrote it, so it stays as it is" in shown.stderr
    assert f"psy run --taskdir out/psy-tasks {QUICK}" in shown.stderr
    assert path.read_text() == before


def test_every_value_is_one_argument(study: Place) -> None:
    values = ["a b", "$HOME", "; rm -rf x", "'\"", "*", "ä\n#", "{x}"]
    shown = study.psy("exec", "grid", "-o", "out", "--vl", "x", *values, "--", "./sim", "<{x}>")
    assert shown.returncode == 0, shown.stderr
    found = psyflow.load(study.folder / "out" / QUICK)
    assert list(found["x"]) == values
    printed = [
        (study.folder / "out" / QUICK / str(item) / "stdout").read_text() for item in range(7)
    ]
    assert printed == [f"1\n<{value}>\n" for value in values]


def test_values_that_begin_with_a_minus(study: Place) -> None:
    words = ["--vl", "x", "-1", "-2.5", "-1e-3", "--va", "n", "-1", "1", "1"]
    shown = study.psy("exec", "grid", "-o", "out", *words, "-n", "--", "./sim", "{x}", "{n}")
    assert shown.returncode == 0, shown.stderr
    assert "Param(x=[-1, -2.5, -0.001])" in shown.stdout
    assert "Param(n=arange(-1, 1, 1))" in shown.stdout
    assert list(study.folder.iterdir()) == [study.folder / "sim"]


def test_numbers_that_are_not_finite_reach_the_program_as_they_were_typed(study: Place) -> None:
    words = ["--vl", "x", "nan", "inf", "1e999", "1"]
    shown = study.psy("exec", "grid", "-o", "out", *words, "--", "./sim", "{x}")
    assert shown.returncode == 0, shown.stderr
    assert calls(study) == ["1", "1e999", "inf", "nan"]


def test_rows_of_a_table(study: Place) -> None:
    (study.folder / "runs.csv").write_text("a,b\n1,x y\n2,z\n")
    shown = study.psy("exec", "table", "runs.csv", "-o", "out", "--", "./sim", "{a}{b}")
    assert shown.returncode == 0, shown.stderr
    assert calls(study) == ["1x y", "2z"]
    assert psyflow.load(study.folder / "out" / QUICK)["a"] == [1, 2]


def test_a_table_of_a_spreadsheet_may_end_in_empty_columns(study: Place) -> None:
    (study.folder / "runs.csv").write_text("a,b,,\n1,2,,\n3,,,\n")
    shown = study.psy("exec", "table", "runs.csv", "-o", "out", "--", "./sim", "{a}", "{b}")
    assert shown.returncode == 0, shown.stderr
    assert "Param(a=[1, 3], b=[2, ''])" in task_file(study)


def test_a_machine_with_an_address_of_ipv6(study: Place) -> None:
    (study.folder / "lab.yaml").write_text("nodes: [{hostname: '::1', port: 2222, user: ada}]\n")
    words = ["exec", "grid", "-n", "-o", "out", "--cluster", "lab.yaml", "--", "./sim"]
    assert "Ssh({'ssh://ada@[::1]:2222': None}" in study.psy(*words).stdout


def test_files_in_yaml(study: Place) -> None:
    (study.folder / "experiment.yaml").write_text(
        "name: tracks\nworkdir: .\nrepeat: 2\nmax_tries: 4\ncmd:\n  - ./sim {v1} {v2}\n"
        "  - ./sim {v3}\n"
        "vars:\n"
        "  - {name: v1, type: list, values: [a, '007', 1]}\n"
        "  - {name: v2, type: arithmetic, min: 1, max: 3, factor: 1}\n"
        "  - {name: v3, type: geometric, min: 1, max: 3, factor: 2}\n"
    )
    shown = study.psy("exec", "grid", "--experiment", "experiment.yaml", "-o", "out")
    assert shown.returncode == 0, shown.stderr
    assert "tracks: 12 combinations × 2, 24 runs." in shown.stderr
    expected = [f"{v1} {v2}" for v1 in ("a", "007", "1") for v2 in (1, 2)] * 4
    expected += [str(v3) for v3 in (1, 2)] * 12
    assert calls(study) == sorted(expected)
    text = task_file(study, name="tracks")
    assert "retries = 3" in text and "['./sim {v1} {v2}', './sim {v3}']" in text


def test_what_fails_is_tried_again_and_then_given_up(study: Place) -> None:
    program(study.folder / "bad", "#!/bin/sh\necho $1 >> calls.log\n[ $1 = 2 ]\n")
    shown = study.psy("exec", "grid", "-o", "out", "--vl", "n", "1", "2", "--", "./bad", "{n}")
    assert shown.returncode == 1
    assert calls(study) == ["1", "1", "1", "2"]
    assert f"{QUICK}: 1 of 2 runs done, 1 given up, in " in shown.stderr
    assert "psy failures --taskdir out/psy-tasks" in shown.stderr
    words = ["--max-tries", "1", "--", "./bad", "{n}"]
    shown = study.psy("exec", "grid", "-o", "out", "--vl", "n", "1", "2", *words)
    assert shown.returncode == 1
    assert calls(study) == ["1", "1", "1", "1", "2"]


def test_a_time_limit_ends_a_run(study: Place) -> None:
    words = ["--timeout", "0.5", "--max-tries", "1", "-o", "out"]
    shown = study.psy("exec", "grid", *words, "--vl", "n", "100", "--", "sleep", "{n}")
    assert shown.returncode == 1
    failures = study.psy("failures", "--taskdir", "out/psy-tasks", QUICK)
    assert "timeout" in failures.stdout


def test_patterns_make_columns_at_once_and_stay_when_values_are_added(study: Place) -> None:
    words = ["exec", "grid", "-o", "out", "--vl", "n", "1", "2"]
    shown = study.psy(*words, "-p", "ARG", r"^(@int@)x$", "--", "./sim", "{n}x")
    assert shown.returncode == 0, shown.stderr
    assert psyflow.load(study.folder / "out" / QUICK)["ARG"] == [1, 2]
    assert study.psy(*words, "3", "--", "./sim", "{n}x").returncode == 0
    assert psyflow.load(study.folder / "out" / QUICK)["ARG"] == [1, 2, 3]


def test_a_shell_runs_the_command_if_asked_to(study: Place) -> None:
    words = ["exec", "grid", "-o", "out", "--vl", "n", "a b", "--cmd", "./sim {n} | wc -l"]
    refused = study.psy(*words)
    assert refused.returncode == 2
    assert "| in the command line" in refused.stderr and "--shell" in refused.stderr
    shown = study.psy(*words, "--shell")
    assert shown.returncode == 0, shown.stderr
    printed = (study.folder / "out" / QUICK / "0" / "stdout").read_text()
    assert printed.strip() == "2"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grd", "--", "true"], 'no kind of experiment "grd". Did you mean "grid"'),
        (["grid", "--vl", "n", "1"], "What is to run?"),
        (["grid", "--vl", "n", "--", "true"], "--vl n: give it values"),
        (["grid", "--vl", "a.b", "1", "--", "true"], '"a.b" is none'),
        (["grid", "--vl", "n", "1", "-p", "n", "(x)", "--", "true"], '"n" is a variable'),
        (["grid", "--vl", "ctx", "1", "--", "true"], "has a meaning of its own"),
        (["grid", "--vl", "n", "1", "--vl", "n", "2", "--", "true"], "given twice"),
        (["grid", "--va", "n", "1", "x", "1", "--", "true"], "'x' is no number"),
        (["grid", "--va", "n", "0", "1", "0", "--", "true"], "1 is never reached"),
        (["grid", "--va", "n", "0", "1", "1e-9", "--", "true"], "too many values"),
        (["grid", "--vl", "opt", "-O0", "-O2", "--", "true"], "as in -O{level}"),
        (["grid", "--cmd", "awk '{print $1}'"], "a brace that is no field is written twice"),
        (["grid", "--", "awk", "{print $1}"], "a brace that is no field is written twice"),
        (["grid", "--name", "psy-tasks", "--", "true"], "is a folder of psy exec itself"),
        (["grid", "--node", "a:99999", "--", "true"], "from 1 to 65535"),
        (["grid", "--va", "n", "1", "0", "1", "--", "true"], "no values from 1 to below 0"),
        (["grid", "--vg", "n", "0", "1", "3", "--", "true"], "no geometric progression"),
        (["grid", "--vg", "n", "1", "2", "2.5", "--", "true"], "whole number above 0"),
        (["grid", "--repeat", "0", "--", "true"], "whole number above 0"),
        (["grid", "--cmd", "x", "--", "true"], "not both"),
        (["grid", "--cmd", "'x"], "cannot be split"),
        (["grid", "--name", "a/b", "--", "true"], "cannot be the name"),
        (["grid", "more", "--", "true"], "more belongs to no option"),
        (["grid", "--node", "a b", "--", "true"], "user@host:port"),
        (["grid", "--node", "a*0", "--", "true"], "1 worker or more"),
        (["grid", "--ssh", "ssh -v", "--", "true"], "--ssh goes with machines"),
        (["grid", "--node", "a", "-s", "slurm", "--", "true"], "do not go with --scheduler"),
        (["grid", "-s", "slrm", "--", "true"], "slurm"),
        (["grid", "--node", "a", "b", "--filter-nodes", "gpu", "--", "true"], "No node has the"),
        (["grid", "--worldir", "x", "--", "true"], 'Did you mean "--workdir"'),
        (["grid", "--vl", "n", "1", "--", "true", "{m}"], "{m}"),
        (["grid", "--", "no-such-program-here"], "no-such-program-here"),
        (["table", "--", "true"], "takes one CSV file"),
        (["table", "gone.csv", "--", "true"], "gone.csv cannot be read"),
        (["table", "ragged.csv", "--", "true"], "row 2 has 1 of 2 values"),
        (["table", "empty.csv", "--", "true"], "has no rows"),
        (["table", "open.csv", "--", "true"], "open.csv cannot be read: unexpected end"),
        (["table", "named.csv", "--", "true"], "named.csv, the names of the columns"),
        (["grid", "--experiment", "gone.yaml"], "gone.yaml: it cannot be read"),
        (["grid", "--experiment", "bad.yaml"], "bad.yaml: it is no YAML"),
        (["grid", "--experiment", "key.yaml"], 'no key "workdirr". Did you mean "workdir"'),
        (
            ["grid", "--experiment", "var.yaml"],
            '`vars`: There is no key "vales". Did you mean "values"',
        ),
        (["grid", "--experiment", "bool.yaml"], "put it in quotes"),
        (["grid", "-p", "a", "(", "--", "true"], 'the pattern "(" is no regular expression'),
        (["grid", "--experiment", "octal.yaml"], "YAML takes 010 for another number"),
        (["grid", "--experiment", "twice.yaml"], 'the key "repeat" is there twice'),
        (["grid", "--experiment", "nan.yaml"], "put it in quotes"),
        (["grid", "--experiment", "kind.yaml"], 'Did you mean "list"'),
        (["grid", "--cluster", "node.yaml", "--", "true"], 'Did you mean "hostname"'),
        (["grid", "--experiment", "short.yaml"], "YAML takes 012 for another number"),
        (["grid", "--experiment", "name.yaml"], "`name` is text, not False"),
        (["grid", "--experiment", "loop.yaml"], "YAML reads one of the values as [[...]]"),
        (["grid", "--experiment", "list.yaml"], "has to be a mapping, such as {name: n"),
        (["grid", "--cluster", "option.yaml", "--", "true"], "is no host that ssh could reach"),
        (["grid", "--cluster", "port.yaml", "--", "true"], "`port` is a whole number"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    place: Place, words: list[str], message: str
) -> None:
    for name, text in {
        "ragged.csv": "a,b\n1,2\n3\n",
        "empty.csv": "a,b\n",
        "bad.yaml": "a: [1",
        "key.yaml": "workdirr: x\n",
        "var.yaml": "cmd: x\nvars: [{name: n, vales: [1]}]\n",
        "bool.yaml": "cmd: x\nvars: [{name: n, values: [yes]}]\n",
        "nan.yaml": "cmd: x\nvars: [{name: n, values: [.nan]}]\n",
        "octal.yaml": "cmd: x\nvars: [{name: n, values: [10, 010]}]\n",
        "twice.yaml": "cmd: x\nrepeat: 2\nrepeat: 3\n",
        "kind.yaml": "cmd: x\nvars: [{name: n, type: lists}]\n",
        "node.yaml": "nodes: [{hostnam: x}]\n",
        "open.csv": 'a,b\n1,"2\n3,4\n',
        "named.csv": "my column,b\n1,2\n",
        "short.yaml": "cmd: x\nvars: {n: [012]}\n",
        "name.yaml": "cmd: x\nname: no\n",
        "loop.yaml": "cmd: x\nvars: {n: &a [*a]}\n",
        "list.yaml": "cmd: x\nvars: [3]\n",
        "option.yaml": "nodes: [{hostname: -oProxyCommand=x}]\n",
        "port.yaml": "nodes: [{hostname: x, port: 22x}]\n",
    }.items():
        (place.folder / name).write_text(text)
    shown = place.psy("exec", *words[:1], "-o", "out", *words[1:])
    assert message in shown.stderr, shown.stderr
    assert shown.returncode in (1, 2, 3)
    assert not (place.folder / "out" / QUICK / "result.pkl").exists()


def test_machines_stand_in_the_task_file(place: Place) -> None:
    (place.folder / "cluster.yaml").write_text(
        "name: wespa\nnodes:\n"
        "  - {name: w3, user: ada, hostname: 192.168.1.105, port: 22, procs: 16, tags: [x86]}\n"
        "  - {name: tower, user: ada, hostname: tower, port: 2222, workers: 1, tags: [arm]}\n"
    )
    words = ["exec", "grid", "--cluster", "cluster.yaml", "-n", "-o", "out"]
    shown = place.psy(*words, "--node", "bob@lab1:2200*8", "--vl", "n", "1", "--", "./sim", "{n}")
    assert shown.returncode == 0, shown.stderr
    hosts = {"ada@192.168.1.105": 16, "ssh://ada@tower:2222": 1, "ssh://bob@lab1:2200": 8}
    assert f"scheduler = Ssh({hosts!r}, workdir=" in shown.stdout
    shown = place.psy(*words, "--filter-nodes", "arm", "--vl", "n", "1", "--", "./sim", "{n}")
    assert "scheduler = Ssh({'ssh://ada@tower:2222': 1}, workdir=" in shown.stdout


def test_a_batch_system_stands_in_the_task_file(place: Place) -> None:
    words = ["exec", "grid", "-s", "slurm", "-j", "4", "-n", "--vl", "n", "1", "--", "./s", "{n}"]
    shown = place.psy(*words)
    assert shown.returncode == 0, shown.stderr
    assert "from psyflow.scheduler.slurm" in shown.stdout
    assert "scheduler = Slurm()\nscheduler_args = {" in shown.stdout
    assert "pool_size = 4" in shown.stdout


def test_many_runs_are_asked_for_on_a_terminal_only(study: Place) -> None:
    words = ["exec", "grid", "-o", "out", "--va", "n", "0", "100", "1", "--", "./sim", "{n}"]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        study.command(*words),
        cwd=study.folder,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(master, b"n\n")
    _, said = process.communicate(timeout=PATIENCE)
    os.close(master)
    os.close(slave)
    assert "100 combinations, 100 runs. Go on? [y/N]" in said
    assert "Nothing is run." in said
    assert process.returncode == 0
    assert not (study.folder / "calls.log").exists()


def test_values_keep_the_form_that_the_program_is_given() -> None:
    texts = [
        "10",
        "-3",
        "0.5",
        "1e-3",
        "1E5",
        "007",
        "3.10",
        "+1",
        "1_0",
        "nan",
        "-inf",
        "1e999",
        " 1",
        "x",
        "",
    ]
    assert [typed(text) for text in texts] == [
        *(10, -3, 0.5, 0.001, 1e5, "007", "3.10", "+1", "1_0"),
        *("nan", "-inf", "1e999", " 1", "x", ""),
    ]


@given(st.from_regex(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]{1,3})?", fullmatch=True) | st.text())
def test_the_program_is_given_the_very_text_or_the_same_number(text: str) -> None:
    value = typed(text)
    if str(value) != text:
        assert "e" in text.lower() and value == float(text)


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        min_size=1,
        max_size=3,
    ),
    st.dictionaries(st.text("ab_'\"", min_size=1), st.text(), max_size=3),
)
def test_whatever_the_words_are_the_task_file_says_them(
    words: list[str], patterns: dict[str, str]
) -> None:
    variable = Variable("x", words)
    experiment = Experiment(commands=[words], variables=[variable], patterns=patterns)
    text = text_of(experiment, Running(), ["psy", "exec", *words])
    assigned = {
        node.targets[0].id: node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    call, space = assigned["execute"], assigned["pspace"]
    assert isinstance(call, ast.Call) and isinstance(space, ast.Call)
    assert ast.literal_eval(call.args[0]) == [words]
    assert ast.literal_eval(space.keywords[0].value) == words
    given_patterns = {k.arg: k.value for k in call.keywords}.get("parse")
    found = {} if given_patterns is None else ast.literal_eval(given_patterns)
    assert found == patterns


def test_arithmetic_and_geometric_variables() -> None:
    assert arithmetic("x", "0", "0.5", "0.1").values == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert arithmetic("n", "1", "10", "3").values == [1, 4, 7]
    assert arithmetic("n", "3", "0", "-1").values == [3, 2, 1]
    assert geometric("n", "1", "1000", "4").values == [1, 10, 100, 1000]
    assert geometric("x", "1", "10", "3").values == [1.0, 3.16227766016838, 10.0]
    assert multiplied("n", 1, 17, 2).values == [1, 2, 4, 8, 16]
    with pytest.raises(UsageError, match="above 1"):
        multiplied("n", 1, 17, 1)
