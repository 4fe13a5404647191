from __future__ import annotations

import re

import pytest

from psyflow.report.folded import folded
from tests.support.place import SKIPS_ZERO, SQUARE

LOUD = SQUARE.replace("return", "print('I am', x)\n    assert x != 2, 'not two'\n    return")


@pytest.fixture
def loud(place):
    place.task("loud", LOUD)
    place.psy("run")
    return place


def ask(place, *words: str):
    """Call ``psy log``, and check that it changed nothing."""
    before = place.snapshot()
    shown = place.psy("log", *words)
    assert place.snapshot() == before
    return shown


def test_logs_in_the_order_of_the_steps(loud):
    for number in (2, 10):
        (loud.work / "loud" / f"loud:process:{number}.log").write_text(f"job {number}\n")
    shown = ask(loud, "loud")
    assert (shown.returncode, shown.stderr) == (0, "")
    heads = [line for line in shown.stdout.splitlines() if line.startswith("==>")]
    assert heads == [
        f"==> psy-work/loud/loud:{job}.log <=="
        for job in ("split", "process:0", "process:0.worker-0", "process:2", "process:10", "merge")
    ]
    assert "==> psy-work/loud/loud:process:10.log <==\njob 10\n" in shown.stdout
    assert "Item 2 failed: AssertionError: not two\n" in shown.stdout
    assert "I am 3\n" in shown.stdout


def test_no_logs(place):
    place.task("loud", LOUD)
    shown = ask(place, "loud")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr.endswith("loud: has no logs.\n")


@pytest.mark.parametrize("item", ["2", "first-failed"])
def test_a_failed_item(loud, item):
    shown = ask(loud, "loud", item)
    assert shown.returncode == 0
    head, attempt, *traceback, last, printed, text = shown.stdout.splitlines()
    assert head == "loud: item 2: {'x': 2}"
    assert attempt.startswith("=== 20")
    assert " attempt 1: error after " in attempt
    assert traceback[0] == "Traceback (most recent call last):"
    assert (last, printed, text) == ("AssertionError: not two", "=== printed:", "I am 2")


def test_every_attempt_is_shown_until_all_is_done(loud):
    loud.psy("run")
    assert ask(loud, "loud", "2").stdout.count("AssertionError: not two\n") == 2
    loud.task("loud", LOUD.replace("x != 2", "x"))
    assert loud.psy("run", "-c").returncode == 0
    assert ask(loud, "loud", "2").stdout == (
        "loud: item 2: {'x': 2}\n=== done\n=== printed:\nI am 2\n"
    )


def test_an_item_that_is_done(loud):
    assert ask(loud, "loud", "3").stdout == (
        "loud: item 3: {'x': 3}\n=== done\n=== printed:\nI am 3\n"
    )


def test_an_item_that_printed_nothing(place):
    place.task("square")
    assert ask(place, "square", "1").stdout == "square: item 1: {'x': 1}\n"
    place.psy("run")
    shown = ask(place, "square", "1")
    assert shown.stdout == "square: item 1: {'x': 1}\n=== done\n"
    assert shown.stderr == "It printed nothing.\n"


@pytest.mark.parametrize("item", ["4", "-1", "x", "99"])
@pytest.mark.parametrize("command", ["log", "debug"])
def test_unknown_items_are_told_the_range(place, command, item):
    place.task("square")
    shown = place.psy(command, "square", "--", item)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f'There is no item "{item}"' in shown.stderr
    assert "0 to 3" in shown.stderr


@pytest.mark.parametrize("command", ["log", "debug"])
def test_there_may_be_no_failed_item(place, command):
    place.task("square")
    shown = place.psy(command, "square", "first-failed")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == 'square: Task "square" has no failed items.\n'


def test_a_skipped_item(place):
    place.task("square", SKIPS_ZERO.replace("raise", "print('hm'); raise"))
    place.psy("run")
    shown = ask(place, "square", "0")
    heading, item, reason, *printed = shown.stdout.splitlines()
    assert heading == "square: item 0: {'x': 0}"
    assert re.fullmatch(r"=== .* attempt 1: skipped after \S+ s, process \d+ on .*", item)
    assert (reason, printed) == ("dull", ["=== printed:", "hm"])
    assert shown.stderr == ""


def test_a_program_that_wrote_is_not_said_to_have_printed_nothing(place):
    place.task(
        "said",
        "from psyflow import Command, Param\n"
        "pspace = Param(x=[1])\nexecute = Command('echo hello {x}')\n",
    )
    assert place.psy("run").returncode == 0
    shown = ask(place, "said", "0")
    assert shown.stdout.endswith("\nhello 1\n")
    assert shown.stderr == ""


def test_what_many_items_failed_with_is_printed_once(place):
    body = "if x == 3: raise Skip('no')\n    assert x % 2, f'even' if x < 6 else f'{x} is even'\n"
    place.task(
        "loud",
        LOUD.replace("import Param", "import Param, Skip")
        .replace("range(4)", "range(12)")
        .replace("assert x != 2, 'not two'\n", body),
    )
    assert place.psy("run").returncode == 1
    whole = ask(place, "loud").stdout
    assert "3 items (0, 2, 4) failed: AssertionError: even\nTraceback" in whole
    assert "Item 6 failed: AssertionError: 6 is even\n(with the traceback of item 0)\n" in whole
    assert "Item 3 is skipped: no\n" in whole
    assert whole.count("Traceback") == 1
    assert f'File "{place.folder}/psy-tasks/task_loud.py", line' in whole
    some = ask(place, "loud", "--where", "x<7").stdout
    assert some.count("Traceback") == 2
    assert "AssertionError: even\n(with the traceback of item 0)\n=== printed:\nI am 2\n" in some


def test_nothing_of_a_log_is_lost_where_failures_are_told_once(tmp_path):
    log = tmp_path / "t:process:0.log"
    alike = "failed: E: e\nTraceback (most recent call last):\n  File x\nE: e\n\n"
    said = (
        f"=== begin\nItem 1 {alike}Item 7 {alike}a worker died\n\nand more\nItem 12 {alike}=== end"
    )
    log.write_text(said)
    assert "".join(folded(log)) == (
        f"=== begin\n3 items (1, 7, 12) {alike}a worker died\n\nand more\n=== end"
    )
    odd = "Item 1 failed: one\n\ntwo\nItem 2 failed: one\n\nthree\nItem 3 is\n"
    log.write_text(odd)
    assert "".join(folded(log)) == odd
    log.write_text("".join(f"Item {item} is skipped: no\n\n" for item in range(100)))
    assert "".join(folded(log)) == (
        "100 items (0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more) are skipped: no\n\n"
    )
