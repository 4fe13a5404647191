"""Engines, as scripts that users start. Numbers such as E18 are of the behaviours of execo."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from psyflow.engine import Engine, slugify

# Below the comment, `run` is that of the manual of execo_engine, with its blanks filled in.
EXAMPLE = """
    import os
    from psyflow.engine import Engine
    from psyflow.sweeper import ParamSweeper, sweep


    class Study(Engine):
        # of the manual:
        def run(self):
            sweeps = sweep({"n": [1, 2, 3], "mode": ["slow", "fast"]})
            sweeper = ParamSweeper(sweeps, os.path.join(self.result_dir, "sweeps"))
            sweeper.reset(reset_inprogress=True)
            while True:
                comb = sweeper.get_next()
                if comb is None:
                    break
                print(f"n is {comb['n']}, {comb['mode']}", flush=True)
                if comb == {"n": 2, "mode": "fast"} and not os.path.exists("killed"):
                    open("killed", "w").close()
                    os.kill(os.getpid(), 9)
                sweeper.done(comb)


    if __name__ == "__main__":
        Study().start()
"""

FAMILY = """
    import os
    from psyflow.engine import Engine, logger


    class Common(Engine):
        def init(self):
            print("init Common", self.args, os.path.isabs(self.result_dir), bool(self.run_name))
            self.args_parser.add_argument("--size", type=int, default=3)

        def run(self):
            print("run Common", self.args.size)


    class Between(Common):
        pass


    class Special(Between):
        def init(self):
            print("init Special")
            self.args_parser.add_argument("names", nargs="*")

        def run(self):
            print("run Special", self.args.names)
            print(self.engine_dir, self.result_dir, os.path.isdir(self.result_dir), sep="|")
            logger.debug("of interest")
            os.system("echo of a child; echo and its troubles >&2")


    Special().start()
"""


def start(folder: Path, *arguments: str, source: str = FAMILY) -> subprocess.CompletedProcess[str]:
    (folder / "study.py").write_text(textwrap.dedent(source))
    command = [sys.executable, "study.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_example_of_the_manual_is_killed_and_goes_on(tmp_path: Path) -> None:  # E18
    killed = start(tmp_path, "-L", source=EXAMPLE)
    assert killed.returncode == -signal.SIGKILL
    (folder,) = tmp_path.glob("Study_*")
    again = start(tmp_path, "-L", "-c", folder.name, source=EXAMPLE)
    assert again.returncode == 0, again.stderr
    lines = [f"n is {n}, {mode}" for n in (1, 2, 3) for mode in ("slow", "fast")]
    assert killed.stdout.splitlines() == lines[:4]
    assert again.stdout.splitlines() == lines[3:]
    # And the file has what both of them printed.
    assert (folder / "stdout").read_text().splitlines() == [*lines[:4], *lines[3:]]
    assert [*tmp_path.glob("Study_*")] == [folder]
    assert "DeprecationWarning: ParamSweeper takes the folder first" in again.stderr


def test_all_of_a_family_are_called_ancestors_first(tmp_path: Path) -> None:  # E19 E20 E22
    done = start(tmp_path, "--size", "5", "x", "y")
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("Special_*")
    assert done.stdout.splitlines()[:5] == [
        "init Common None True True",
        "init Special",
        "run Common 5",
        "run Special ['x', 'y']",
        f"{tmp_path}|{folder}|True",
    ]
    # A run of its own each time.
    assert start(tmp_path).returncode == 0
    assert len([*tmp_path.glob("Special_*")]) == 2


def test_the_name_and_the_folder_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # E21
    monkeypatch.chdir(tmp_path)
    seen = []

    class Plain(Engine):
        def run(self) -> None:
            seen.append((self.run_name, self.result_dir))

    class Named(Plain):
        def setup_run_name(self) -> None:
            self.run_name = "fixed"

        def setup_result_dir(self) -> None:
            self.result_dir = f"results/{self.run_name}"

    for kind, arguments in ((Plain, []), (Named, []), (Named, ["-c", "other"])):
        kind().start(arguments)
    assert re.fullmatch(r"Plain_\d{8}_\d{6}_\+\d{4}", seen[0][0])
    assert seen[0][1] == str(tmp_path / seen[0][0])
    assert seen[1:] == [("fixed", "results/fixed"), ("fixed", str(tmp_path / "other"))]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([seen[0][0], "results", "other"])


@pytest.mark.parametrize(
    ("options", "is_shown", "files"),
    [
        (["-L"], True, {"stdout": ["run Common"], "stderr": ["and its troubles"]}),
        (["-R"], False, {"stdout": ["of a child"], "stderr": ["and its troubles"]}),
        (["-LM"], True, {"stdout+stderr": ["run Common", "of a child", "and its troubles"]}),
        (["-R", "-M"], False, {"stdout+stderr": ["run Common", "and its troubles"]}),
    ],
)
def test_what_is_printed_goes_to_files(
    tmp_path: Path, options: list[str], is_shown: bool, files: dict[str, list[str]]
) -> None:  # E23 E24
    for n in (1, 2):
        done = start(tmp_path, "-c", "here", *options)
        assert done.returncode == 0, done.stderr
        assert ("run Common" in done.stdout) is is_shown
        assert {path.name for path in (tmp_path / "here").iterdir()} == set(files)
        for name, texts in files.items():
            written = (tmp_path / "here" / name).read_text()
            assert [written.count(text) for text in texts] == [n] * len(texts)


def test_arguments_may_be_one_text(tmp_path: Path) -> None:
    engine = Engine()
    folder = tmp_path / "two words"
    engine.start(f"-c '{folder}'")
    assert Path(engine.result_dir) == folder
    with pytest.raises(SystemExit) as end:
        engine.start("-h x")
    assert end.value.code == 0


def test_log_levels(tmp_path: Path) -> None:  # E23 E24
    for level, is_said in (("debug", True), ("10", True), ("WARNING", False), ("info", False)):
        assert ("DEBUG: of interest" in start(tmp_path, "-l", level).stderr) is is_said
    bad = start(tmp_path, "-l", "debgu")
    assert (bad.returncode, bad.stderr.count('Did you mean "debug"?')) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--size", "big"], 2),
        (["--sise", "2"], 2),
        (["-L", "-R"], 2),
        (["-c"], 2),
        (["-c", "study.py"], 2),
    ],
)
def test_help_and_wrong_arguments_leave_nothing_behind(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    done = start(tmp_path, *arguments)
    assert done.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ["study.py"]
    if code == 0:
        assert all(option in done.stdout for option in ("--size", "-c DIR", "engine: Special"))


def test_a_folder_to_go_on_in_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "nowhere is not there, so nothing goes on" in start(tmp_path, "-c", "nowhere").stderr


def test_names_of_files() -> None:  # E24
    values = ["A b/C é_1.5 - x", 3.5, {"a": 1}, "../etc", ""]
    assert [slugify(value) for value in values] == ["a-bc-e_15-x", "35", "a-1", "etc", ""]
