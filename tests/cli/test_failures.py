from __future__ import annotations

import json

import pytest

from tests.support.place import SQUARE

MIXED = """
import os
from psyflow import Param

pspace = Param(a=[0, 1, 2, 3]) * Param(b=range(8))

def check(a, b):
    if a == 1:
        raise ValueError(f"bad b: {b}")

def execute(a, b):
    check(a, b)
    if b == 7:
        os._exit(4)
    if (a, b) == (0, 0):
        return int("none")
    if (a, b) == (3, 3):
        return 5
    return {"c": a + b}
"""


@pytest.fixture
def mixed(place):
    place.task("mixed", MIXED)
    place.psy("run")
    return place


def ask(place, *words: str):
    """Call ``psy failures``, and check that it changed nothing."""
    before = place.snapshot()
    shown = place.psy("failures", *words)
    assert place.snapshot() == before
    return shown


def test_none(place):
    place.task("square")
    for _ in range(2):
        shown = ask(place)
        assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "square: no failures.\n")
        place.psy("run")


def test_failures_are_grouped_by_their_place(mixed):
    shown = ask(mixed)
    assert shown.returncode == 0
    assert shown.stdout.startswith("mixed: 13 of 32 items failed.\n\n")
    groups = shown.stdout.split("\n\n")[1:-1]
    assert [group.splitlines()[0] for group in groups] == [
        "  task_mixed.py, line 9, in check (8 error)",
        "  crash (3 crash)",
        "  task_mixed.py, line 16, in execute (1 error)",
        "  TypeError (1 result)",
    ]
    first = groups[0].splitlines()
    assert first[1:5] == [
        "    1 × ValueError: bad b: 0",
        "    1 × ValueError: bad b: 1",
        "    1 × ValueError: bad b: 2",
        "    … and 5 other messages",
    ]
    assert first[5].startswith("    a = 1 in 8 of 8 of these, but in 8 of all 32 that ran (p = ")
    assert first[6] == "    for example item 8: {'a': 1, 'b': 0}"
    assert first[7].startswith("    attempt 1, process ")
    assert ", log psy-work/mixed/mixed:process:0." in first[7]
    assert first[8] == "      Traceback (most recent call last):"
    assert first[-1] == "      ValueError: bad b: 0"
    assert "    3 × Its process exited with code 4.\n    b = 7 in 3 of 3 " in groups[1]
    assert shown.stderr == "mixed: try one in the debugger: psy debug mixed 8\n"


def test_json_has_all_failures(mixed):
    report = json.loads(ask(mixed, "--json", "mixed").stdout)["mixed"]
    assert (report["n_items"], report["n_failed"]) == (32, 13)
    first, second, *_ = report["groups"]
    assert first["kinds"] == {"error": 8}
    assert [failure["item"] for failure in first["failures"]] == list(range(8, 16))
    assert first["failures"][1]["pset"] == {"a": "1", "b": "1"}
    assert first["failures"][1]["exception"] == "ValueError: bad b: 1"
    assert first["failures"][1]["log"].startswith(str(mixed.work / "mixed" / "mixed:process:0."))
    (suspect,) = second["suspects"]
    assert (suspect["name"], suspect["value"]) == ("b", "7")
    assert (suspect["n_group"], suspect["n_ran"], second["n_ran"]) == (3, 4, 32)
    assert 0 < suspect["p"] < 0.05


def test_only_the_latest_failure_of_what_has_no_result_counts(place):
    source = "MESSAGE = 'first'\n" + SQUARE.replace(
        "return", "assert x not in BAD, MESSAGE\n    return"
    )
    place.task("square", "BAD = [1, 2]\n" + source)
    place.psy("run")
    place.task("square", "BAD = [2]\n" + source.replace("first", "second"))
    place.psy("run", "-c")
    # Its number changes, too.
    place.task("square", "BAD = [2]\n" + source.replace("range(4)", "[7, 2]"))
    report = json.loads(ask(place, "--json").stdout)["square"]
    (group,) = report["groups"]
    assert group["exceptions"] == {"AssertionError: second": 1}
    assert [failure["item"] for failure in group["failures"]] == [1]
    assert (report["n_items"], report["n_failed"]) == (2, 1)


def test_what_is_no_longer_asked_for_is_left_out(mixed):
    mixed.task("mixed", MIXED.replace("a=[0, 1, 2, 3]", "a=[2]").replace("range(8)", "range(7)"))
    shown = ask(mixed)
    assert (shown.stdout, shown.stderr) == ("", "mixed: no failures.\n")


def test_places_in_local_modules_and_beyond(place):
    (place.folder / "psy-tasks").mkdir()
    (place.folder / "psy-tasks" / "helper.py").write_text(
        "import json\n\ndef f(x):\n    return json.loads('}')\n"
    )
    place.task("far", "import helper\n" + SQUARE.replace("x**2", "helper.f(x)"))
    place.task("outside", SQUARE.replace("def execute(x):\n    return {\"y\": x**2}\n", "")
               + "import functools, json\nexecute = lambda x: json.loads(x)\n")  # fmt: skip
    place.psy("run")
    shown = ask(place).stdout
    assert "\n  helper.py, line 4, in f (4 error)\n" in shown
    assert "\n  task_outside.py, line 7, in <lambda> (4 error)\n" in shown


def test_no_frame_of_the_task(place):
    place.task("odd", SQUARE.partition("def")[0] + "execute = dict.fromkeys\n")
    place.psy("run")
    shown = ask(place)
    assert "Traceback (most recent call last):\n  File" not in shown.stderr
    assert "odd" in shown.stdout + shown.stderr


def test_a_common_value_is_no_suspect(place):
    source = SQUARE.replace("range(4)", "range(40)").replace("(x)", "(x, c)")
    source = source.replace(")\n\ndef", ") * Param(c=[1])\n\ndef")
    place.task("square", source.replace("return", "assert x % 2\n    return"))
    place.psy("run")
    (group,) = json.loads(ask(place, "--json").stdout)["square"]["groups"]
    assert (len(group["failures"]), group["suspects"]) == (20, [])


PROGRAMS = """
import subprocess
from psyflow import Param

pspace = Param(how=["bytes", "text", "merged", "nothing", "another", "timeout"])

def execute(how):
    command = ["sh", "-c", f"echo reading {how}; echo no such mesh: {how} >&2; exit 3"]
    if how == "timeout":
        command = ["sh", "-c", f"echo slow: {how} >&2; exec sleep 60"]
        subprocess.run(command, capture_output=True, timeout=1)
    if how == "merged":
        subprocess.check_output(command, stderr=subprocess.STDOUT, text=True)
    try:
        subprocess.run(command, check=True, capture_output=how != "nothing", text=how == "text")
    except subprocess.CalledProcessError as error:
        if how == "another":
            raise RuntimeError("no mesh") from error
        raise
"""


def test_the_last_words_of_a_program_are_part_of_the_reason(place):
    place.task("programs", PROGRAMS)
    place.psy("run")
    groups = json.loads(ask(place, "--json").stdout)["programs"]["groups"]
    found = [failure for group in groups for failure in group["failures"]]
    reasons = {failure["pset"]["how"].strip("'"): failure for failure in found}
    for how in ("bytes", "text"):
        ending = f"status 3. Its standard error ends:\n  no such mesh: {how}"
        assert reasons[how]["exception"].endswith(ending)
    assert reasons["timeout"]["exception"].endswith("error ends:\n  slow: timeout")
    ending = "Its output ends:\n  reading merged\n  no such mesh: merged"
    assert reasons["merged"]["exception"].endswith(ending)
    assert reasons["nothing"]["exception"].endswith("exit status 3.")
    assert "no such mesh: another" in reasons["another"]["traceback"]
    assert "no such mesh" in ask(place).stdout
