"""What is seen on terminals of 40, 80 and 200 columns."""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from psyflow.cli.fitting import fitted
from psyflow.cli.progress import in_room
from psyflow.outcomes.states import State, Tally
from psyflow.report.progress import Counts
from psyflow.widths import width_of
from tests.support.place import Place
from tests.support.processes import PATIENCE, eventually
from tests.support.screen import Screen, Shown, on_screen

WIDTHS = (40, 80, 200)
RED = re.compile(r"\x1b\[[0-9;]*\b(31|91|38;5;(1|9|161|197)|38;2;249;38;114)m")

SLOW = f"""
import time
from pathlib import Path
from psyflow import Param
pspace = Param(x=range(-8, 3))
def execute(x):
    time.sleep(0.12)
    end = time.monotonic() + {PATIENCE}
    while not Path("../go-on").exists() and time.monotonic() < end:
        time.sleep(0.01)
    return {{"y": 1 / (x FAIL), "label": "神経細胞の発火率🧠" * 9}}
"""
FAILS, IS_WELL = SLOW.replace("FAIL", "+ 0"), SLOW.replace("FAIL", "+ 100")


def see(place: Place, columns: int, *words: str, until: str = "", **env: str) -> Shown:
    """Run `psy` on a terminal; once it shows `until`, items may go on."""

    def heed(shown: str, process: subprocess.Popen[bytes]) -> None:
        if until and until in shown:
            (place.folder / "go-on").touch()

    return on_screen(place.command(*words), place.folder, columns, env, heed)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_run_of_which_some_fail(place: Place, columns: int) -> None:
    place.task("slow", FAILS)
    shown = see(place, columns, "run", until="/11")
    assert shown.status == 1
    assert shown.screen.wrapped == []
    text = "\n".join(shown.screen.lines)
    assert re.search(r"^slow 10/11 done, 1 failed, 0 s left", text, re.M)
    assert ("━" in text) == (columns >= 80)
    # What is to be typed is whole.
    assert "psy failures slow." in text
    assert "psy show slow" in text


@pytest.mark.parametrize("columns", (60, 200))
def test_an_item_that_hangs_is_named_though_others_wait_for_its_worker(
    place: Place, columns: int
) -> None:
    """Of thirty items, those that its worker has been given beside it do not end, either."""
    hangs = IS_WELL.replace("range(-8, 3)", "range(30)").replace("0.12", "0.02")
    place.task("hangs", hangs.replace("not Path", "x == 12 and not Path") + "pool_size = 2\n")
    shown = see(place, columns, "run", until="waiting for item 12 for")
    assert shown.status == 0
    assert re.search(r"2\d/30( done)?, 0 failed, waiting for item 12 for \d+ s", shown.raw)


@pytest.mark.parametrize("columns", WIDTHS)
def test_all_is_well_and_nothing_is_red(place: Place, columns: int) -> None:
    name = "a_task_with_a_name_that_is_longer_than_forty_columns"
    place.task(name, IS_WELL)
    shown = see(place, columns, "run", until="/11")
    assert shown.status == 0
    assert not RED.search(shown.raw)
    text = "\n".join(shown.screen.lines)
    # The name is cut, and nothing of what is worth more.
    assert re.search(r"^(a_task\S* )?11/11( done)?, 0 failed, 0 s left", text, re.M)
    assert f"psy show {name}" in text.replace("\n", "")


@pytest.mark.parametrize("columns", WIDTHS)
def test_what_only_looks_fits(place: Place, columns: int) -> None:
    (place.folder / "go-on").touch()
    place.task("slow", FAILS)
    place.psy("run")
    for words in (("status",), ("why", "slow"), ("show", "slow"), ("watch",), ("failures",)):
        shown = see(place, columns, *words)
        # Tracebacks are as Python shows them.
        screen = Screen(columns)
        screen.feed(shown.raw.partition("Traceback")[0])
        # A path that is longer than a line is not torn apart.
        assert [line for line in screen.wrapped if " " in line.strip()] == [], words
        assert "slow" in "\n".join(shown.screen.lines)


def test_jobs_and_items_are_two_lists(place: Place) -> None:
    (place.folder / "go-on").touch()
    place.task("slow", FAILS.replace("1 / (", "1 / 0 if x else int('神' * 900) + ("))
    place.psy("run")
    lines = place.psy("status", "-v", "slow").stdout.splitlines()
    at = lines.index("  Failed parameter sets:")
    listed = [line for line in lines[at + 1 :] if line.startswith("    ")]
    assert len(listed) == 11 and all(width_of(line) < 300 for line in listed)
    assert lines[at + 12] == "  No failed jobs."


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours_there_are_none(place: Place, env: dict[str, str]) -> None:
    (place.folder / "go-on").touch()
    place.task("slow", FAILS)
    shown = see(place, 80, "run", **env)
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9]*(;[0-9]+)*m", shown.raw)
    assert ("\x1b" in shown.raw) <= ("TERM" not in env)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_view_that_is_closed_leaves_the_terminal_as_it_was(place: Place, number: int) -> None:
    place.task("slow", IS_WELL)
    run = place.start("run")
    eventually(lambda: "at work" in place.psy("status").stderr)
    sent: list[int] = []

    def close(shown: str, process: subprocess.Popen[bytes]) -> None:
        if "/11" in shown and not sent:
            sent.append(number)
            process.send_signal(number)

    shown = on_screen(place.command("watch"), place.folder, 80, heed=close)
    (place.folder / "go-on").touch()
    assert shown.status == 0
    assert "Traceback" not in shown.raw
    assert shown.raw.rfind("\x1b[?25h") > shown.raw.rfind("\x1b[?25l") >= 0
    run.communicate(timeout=PATIENCE)
    after = see(place, 80, "watch")
    assert after.status == 0
    assert "No job is at work." in after.screen.lines


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n_items", [1, 1_000_000])
def test_what_is_worth_most_has_room(width: int, n_items: int) -> None:
    done = n_items // 2
    tally = Tally(n_items, {State.DONE: done, State.FAILED: n_items // 9, State.SKIPPED: 1})
    for rate, name in ((0.0, "t"), (0.01, "日本語の名前" * 9), (1e6, "x" * 300)):
        name, state, _ = in_room(name, Counts(tally, rate, 5.0), width)
        assert width_of(name) + 1 + width_of(state) <= width + (not name)
        assert state.startswith(f"{done}/{n_items}")
        assert f"{n_items // 9} failed" in state


def test_a_message_is_continued_where_words_end() -> None:
    text = "lif: 2 of 9 items failed; see them: psy failures lif. Run them again: psy run lif"
    for width in (40, 60):
        lines = fitted(text, width).splitlines()
        assert max(map(len, lines)) <= width
        assert " ".join(line.strip() for line in lines) == text
        assert sum("psy failures lif." in line for line in lines) == 1
        assert sum("psy run lif" in line for line in lines) == 1
    assert fitted("  File 'x.py', line 1 " * 9, 40) == "  File 'x.py', line 1 " * 9
