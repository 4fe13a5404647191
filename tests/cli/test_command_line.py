from __future__ import annotations

import json
import os
import pkgutil
import re
import subprocess
import sys

import pytest

import psyflow
import psyflow.cli.commands
import psyflow.cli.grammar
from psyflow.main import psy_main

COMMANDS = [
    *("run", "submit", "status", "watch", "show", "plot", "export", "query", "why", "accept"),
    *("restore", "failures", "log", "debug", "list", "test", "clean", "kill", "merge"),
    *("push", "pull", "doctor", "new-task", "exec", "parse"),
]


@pytest.mark.parametrize("room", [psyflow.cli.grammar, psyflow.cli.commands])
def test_a_command_is_two_modules_of_one_name(room):
    modules = [module.name for module in pkgutil.iter_modules(room.__path__)]
    assert modules == sorted(command.replace("-", "_") for command in COMMANDS)


def test_help_lists_every_command_in_this_order(place):
    shown = place.program("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: psy ")
    listed = re.findall(r"^    (\S+)  ", shown.stdout, re.MULTILINE)
    assert listed == COMMANDS
    assert shown.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_usage_and_examples(command, capsys):
    assert psy_main([command, "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: psy {command} [-h]")
    assert f"examples:\n  psy {command}" in text


def test_help_is_a_command_too(capsys):
    assert psy_main(["help"]) == 0
    assert capsys.readouterr().out.startswith("usage: psy [-h]")
    assert psy_main(["help", "run"]) == 0
    assert capsys.readouterr().out.startswith("usage: psy run [-h]")
    assert psy_main(["help", "rnu"]) == 2
    assert 'Did you mean "run"?' in capsys.readouterr().err


def test_version(place):
    shown = place.program("--version")
    assert (shown.returncode, shown.stdout) == (0, f"psyflow {psyflow.__version__}\n")


def test_alone_it_shows_the_help_and_fails(capsys):
    assert psy_main([]) == 2
    assert "usage: psy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnu"], 'there is no command "rnu". Did you mean "run"?'),
        (["new-tsk"], 'Did you mean "new-task"?'),
        (["xyz"], 'there is no command "xyz". Known: run, submit, status,'),
        (["run", "--contine"], 'unknown: --contine. Did you mean "--continue"?'),
        (["run", "a", "--taskdr", "x", "b"], 'unknown: --taskdr. Did you mean "--taskdir"?'),
        (["--verison"], "unrecognized arguments: --verison"),
        (["run", "-j", "0"], 'it must be "auto" or 1 or more, not 0'),
        (["run", "-j", "many"], 'it must be "auto" or 1 or more, not many'),
        (["merge", "only-one"], "required: FILE"),
        (["new-task"], "required: NAME"),
        (["run", "--failed", "--missing"], "--missing: not allowed with argument --failed"),
    ],
)
def test_bad_command_lines_are_refused_with_a_hint(words, expected, capsys):
    assert psy_main(words) == 2
    shown = capsys.readouterr()
    assert expected in shown.err
    assert "usage: psy" in shown.err
    assert shown.out == ""


def test_an_export_needs_a_file(capsys):
    assert psy_main(["export"]) == 2
    assert "Which file is to be written?" in capsys.readouterr().err


def test_options_may_stand_between_tasks(place):
    place.task("a")
    place.task("b")
    place.task("c")
    shown = place.psy("clean", "a", "--taskdir", "psy-tasks", "b")
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == "a: nothing to remove.\nb: nothing to remove.\n"


HEAVY = [
    "numpy",
    "tables",
    "joblib",
    "doit",
    "rich",
    "pandas",
    "psyflow.tasks",
    "psyflow.runs.run",
]


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"]])
def test_help_imports_nothing_heavy_and_no_task_file(words, place):
    place.task("noisy", "raise SystemExit('this file was run')")
    program = (
        "import sys; from psyflow.main import psy_main; "
        f"assert psy_main({words}) == 0; "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=place.folder, capture_output=True, text=True
    )
    assert shown.stderr == "[]\n"


@pytest.mark.parametrize("command", ["run", "status", "list", "test", "why", "failures"])
def test_missing_task_folder(command, place):
    shown = place.psy(command)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert '"psy-tasks" does not exist' in shown.stderr
    assert "psy new-task NAME" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_task_folder_without_tasks(place):
    (place.folder / "psy-tasks").mkdir()
    (place.folder / "psy-tasks" / "helpers.py").touch()
    shown = place.psy("run")
    assert shown.returncode == 2
    assert "There is no task in the folder" in shown.stderr
    assert not place.work.exists()


@pytest.mark.parametrize(
    "words",
    ["run", "run -n", "status", "test", "clean", "clean -n", "kill", "why", "accept", "restore",
     "failures", "log", "debug"],
)  # fmt: skip
def test_unknown_task(words, place):
    place.task("circle")
    item = ["0"] if words == "debug" else []
    shown = place.psy(*words.split(), "crcle", *item)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert 'There is no task "crcle". Did you mean "circle"?' in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_reader_that_leaves_is_no_error_of_ours(place):
    for number in range(30):
        place.task(f"task_{number}")
    shown = subprocess.run(
        f"{sys.executable} -u -m psyflow list | true",
        shell=True,
        cwd=place.folder,
        capture_output=True,
        text=True,
    )
    assert shown.stderr == ""


def test_list_prints_a_name_per_line_without_running_task_files(place):
    place.task("b", "raise RuntimeError")
    place.task("a", "raise RuntimeError")
    (place.folder / "psy-tasks" / "not_a_task.py").touch()
    shown = place.program("list")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "a\nb\n", "")


def test_list_of_another_folder(place):
    place.task("a", taskdir="studies")
    assert place.psy("list", "--taskdir", "studies").stdout == "a\n"


def test_what_task_files_print_is_no_result(place):
    place.task(
        "loud",
        "from psyflow import Param\n"
        "print('loading')\n"
        "pspace = Param(x=[1, 2]).where(lambda x: print('asked') or True)\n"
        "def execute(x): return {'y': x}\n",
    )
    for words in (("status",), ("why",), ("failures",), ("run", "-n")):
        shown = place.psy(*words, "--json")
        assert list(json.loads(shown.stdout)) == ["loud"]
        assert "loading" in shown.stderr
        assert "loading" not in place.psy(*words).stdout
    place.task("computed", "print('loading')\nname = 'com' + 'puted'\n")
    assert place.psy("list").stdout == "computed\nloud\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_what_the_terminal_cannot_show_is_shown_otherwise(place, encoding):
    place.task(
        "odd",
        "from psyflow import Param\n"
        "pspace = Param(x=['\\udcff', 'ü'])\n"
        "def execute(x): raise ValueError(x)\n",
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    assert place.psy("run").returncode == 1
    for words in (("failures",), ("log", "odd", "0"), ("status", "-v")):
        shown = subprocess.run(
            place.command(*words),
            cwd=place.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (
            shown.returncode,
            'Traceback (most recent call last):\n  File "' in shown.stderr,
        ) == (0, False)
        assert "\\udcff" in shown.stdout
