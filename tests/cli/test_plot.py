"""`psy plot`: a picture in a file, or characters on a terminal."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.study import Study

BODY = """
pspace = Param(a=[1, 2, 4]) * Param(seed=[0, 1])
def execute(a, seed):
    {fail}
    return {{"y": float(a + seed), "text": "x"}}
"""
PNG = b"\x89PNG\r\n"


def psy(study: Study, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Call `psy` in this process, which has imported matplotlib once."""
    done = study.call(*words)
    assert done.returncode == code, done.stderr
    return done


def run(study: Study, fail: str = "") -> None:
    study.task(BODY.format(fail=fail))
    psy(study, "run", code=1 if fail else 0)


def on_a_terminal(study: Study, *arguments: str, **environment: str) -> tuple[int, str]:
    """Return the exit code and the output of `psy` on a terminal of 60 columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "psyflow", *arguments],
        cwd=study.folder,
        stdin=follower,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "60", "LINES": "20", "TERM": "xterm", **environment},
    )
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # the terminal is gone with its last process
        while part := os.read(leader, 1 << 16):
            output += part
    os.close(leader)
    return process.wait(), output.decode()


def test_a_picture_is_written_and_said(study: Study) -> None:
    run(study)
    done = psy(study, "plot", "t", "-o", "t.png", "--data", "t.csv")
    assert (study.folder / "t.png").read_bytes().startswith(PNG)
    assert done.stdout == ""
    assert re.search(
        r"t\.png: Mean of y over seed \(n = 2\), .* 6 of 6 items of t done, run \w+-\w+\.",
        done.stderr,
    )
    with (study.folder / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["a"], row["y"], row["y_n"]) for row in rows] == [
        ("1", "1.5", "2"), ("2", "2.5", "2"), ("4", "4.5", "2"),
    ]  # fmt: skip


def test_what_is_drawn_is_there_for_programs(study: Study) -> None:
    run(study)
    done = psy(study, "plot", "t", "--json", "--data", "t.csv", "--kind", "box", "x=a")
    told = json.loads(done.stdout)
    assert told["kind"] == "box" and "items of t done" in told["caption"]
    table = list(csv.DictReader((study.folder / "t.csv").read_text().splitlines()))
    assert [[str(value) for value in row.values()] for row in told["rows"]] == [
        list(row.values()) for row in table
    ]


def test_partial_results_are_drawn_and_counted(study: Study) -> None:
    run(study, fail="assert a != 4")
    done = psy(study, "plot", "t", "-o", "t.pdf", "--where", "a<4")
    assert "4 of 6 items of t done" in done.stderr and "only a<4" in done.stderr
    assert (study.folder / "t.pdf").read_bytes().startswith(b"%PDF")


def test_a_terminal_gets_characters_that_fit(study: Study) -> None:
    run(study)
    code, text = on_a_terminal(study, "plot", "t", "hue=seed")
    assert code == 0 and "\x1b[38;5;25m" in text
    code, text = on_a_terminal(study, "plot", "t", "hue=seed", NO_COLOR="1")
    assert code == 0 and "\x1b" not in text
    lines = text.splitlines()
    assert "seed = 0" in lines[-1] and 10 < len(lines) < 22 and max(map(len, lines)) <= 60


def test_names_cannot_command_a_terminal(study: Study) -> None:
    study.task(
        "pspace = Param(**{'a\\x1b[31m': [1, 2]}) * Param(b=['\\x1b]0;x\\x07', 'c'])\n"
        "def execute(b, **pset):\n    return {'y': 1.0}\n"
    )
    psy(study, "run")
    code, text = on_a_terminal(study, "plot", "t", NO_COLOR="1")
    assert code == 0 and "\x1b" not in text and "\x07" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Type: psy plot t -o t.png"),
        (("x=a", "y=y"), "Type: psy plot t x=a y=y -o t.png"),
        (("-o", "t.docx"), r"t\.docx ends in \.docx.*-o t\.png; known: \.png, \.svg, \.pdf, "),
        (("-o", "picture"), r"picture has no ending.*-o picture\.png"),
        (("-o", "no/t.png"), "The folder no does not exist. Type: mkdir -p no"),
        (("-o", "."), "is a folder"),
        (("--data", "no/t.csv"), "The folder no does not exist"),
        (("-o", "t.png", "--width", "0"), "from 1 to 50"),
        (("-o", "t.png", "--width", "nan"), "from 1 to 50"),
        (("-o", "t.png", "y=z"), 'There is no column "z"'),
        (("-o", "t.png", "kind=box"), "kind is no role, but an option: --kind box"),
        (("-o", "t.png", "hue=sed"), 'Did you mean "seed"'),
        (("-o", "t.png", "y=text"), "it is text"),
        (("-o", "t.png", "--kind", "pie"), "Known: box, heatmap, hist"),
        (("-o", "t.png", "--where", "a=77"), "No row is left"),
        (("-o", "t.png", "--where", "b=1"), 'no column "b"'),
        (("-o", "t.png", "--where", "?"), "is no condition"),
    ],
)
def test_what_makes_no_sense_ends_with_2_and_what_to_type(
    study: Study, arguments: tuple[str, ...], message: str
) -> None:
    run(study)
    done = psy(study, "plot", "t", *arguments, code=2)
    assert re.search(message, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(study.folder.glob("*.png"))


def test_without_rows_it_says_what_to_type(study: Study) -> None:
    study.task(BODY.format(fail=""))
    assert "psy run t" in psy(study, "plot", "t", "-o", "t.png", code=2).stderr
    assert "no task" in psy(study, "plot", "tt", "-o", "t.png", code=2).stderr


def test_with_failures_only_it_says_where_to_look(study: Study) -> None:
    run(study, fail="assert False")
    done = psy(study, "plot", "t", "-o", "t.png", code=1)
    assert "6 of 6 items failed" in done.stderr and "psy failures t" in done.stderr


def test_a_missing_library_is_one_line(study: Study) -> None:
    run(study)
    libraries = study.folder / "libraries"
    libraries.mkdir()
    for library in ("matplotlib", "plotext"):
        (libraries / f"{library}.py").write_text(
            f"raise ModuleNotFoundError('none', name={library!r})"
        )
    without = {"PYTHONPATH": str(libraries)}
    done = study.program("plot", "t", "-o", "t.png", env=without)
    assert (done.returncode, done.stderr) == (
        2,
        "psy plot: matplotlib is not installed. Type: pip install 'psyflow[plot]'\n",
    )
    assert on_a_terminal(study, "plot", "t", **without)[0] == 2
    assert study.program("plot", "t", "--data", "t.csv", env=without).returncode == 0


def test_nothing_but_the_files_that_are_named_is_written(study: Study) -> None:
    run(study)

    def there() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in study.folder.rglob("*")}

    before = there()
    psy(study, "plot", "t", "-o", "t.svg")
    after = there()
    assert after.keys() - before.keys() == {study.folder / "t.svg"}
    assert {path for path in before if path.is_file() and before[path] != after[path]} == set()


def test_the_words_of_the_help_are_those_that_are_known() -> None:
    from psyflow.cli.grammar import plot
    from psyflow.results.plot.wish import KINDS, SPREADS

    assert re.split(", | or ", plot._KINDS) == list(KINDS)
    assert re.split(", | or ", plot._SPREADS) == list(SPREADS)


def test_of_an_empty_space_there_is_no_picture(place):
    place.task("none", "from psyflow import Param\npspace = Param(x=[])\ndef execute(x): ...\n")
    place.psy("run")
    shown = place.psy("plot", "none", "-o", "none.png")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == "none: it has no rows, and none is missing.\n"
    assert not (place.folder / "none.png").exists()
