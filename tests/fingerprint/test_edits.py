"""Which edits make results count as old, and which do not."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from psyflow.fingerprint import Part, changes, fingerprint_code
from psyflow.fingerprint.parts import digest
from tests.fingerprint import kinds
from tests.fingerprint.edits import EDITS, FILES, Edit, table

DOCS = Path(__file__).parents[2] / "docs" / "fingerprint.md"


Seen = Callable[[Mapping[str, str]], dict[str, Part]]


def write(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def seen_in(folder: Path) -> dict[str, Part]:
    return fingerprint_code(folder / "task_a.py", ["execute", "setup"])


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What is seen of files as they are, asked for once: most edits are of the same ones."""
    seen: dict[tuple[tuple[str, str], ...], dict[str, Part]] = {}

    def _before(files: Mapping[str, str]) -> dict[str, Part]:
        key = tuple(files.items())
        if key not in seen:
            folder = tmp_path_factory.mktemp("before")
            write(files, folder)
            seen[key] = seen_in(folder)
        return seen[key]

    return _before


@pytest.mark.parametrize("edit", EDITS, ids=[edit.what for edit in EDITS])
def test_an_edit_counts_just_if_it_may_change_results(
    edit: Edit, before: Seen, tmp_path: Path
) -> None:
    source = edit.files[edit.file]
    assert edit.old in source and edit.old != edit.new
    edited = source.replace(edit.old, edit.new)
    ast.parse(edited)
    write({**edit.files, edit.file: edited}, tmp_path)
    found = changes(before(edit.files), seen_in(tmp_path))
    assert bool(found) == edit.counts, found


def test_the_same_files_in_another_folder_are_no_edit(before: Seen, tmp_path: Path) -> None:
    for number, files in enumerate((FILES, kinds.FILES)):
        write(files, tmp_path / str(number))
        assert changes(before(files), seen_in(tmp_path / str(number))) == []


RUN = """
import os, pathlib, sys
import numpy

def result(folder):
    sys.path.insert(0, folder)
    text = pathlib.Path(folder, "task_a.py").read_text()
    names = {"__name__": "task_a", "__file__": folder + "/task_a.py"}
    exec(compile(text, "task_a.py", "exec"), names)
    return repr([names["execute"](3), names["execute"](7)])

for folder in sys.argv[1:]:
    sys.stdout.flush()
    if not (child := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        said, sys.stdout = sys.stdout, open(os.devnull, "w")
        print(result(folder), file=said, flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print("failed", folder)
"""


def test_edits_that_do_not_count_change_no_result(tmp_path: Path) -> None:
    names = {row[0] for row in (*kinds.PAIRS_THAT_COUNT, *kinds.NOT_SEEN)}
    run = [edit for edit in EDITS if not edit.counts or edit.what in names]
    folders = []
    for number, edit in enumerate(run):
        old = edit.files[edit.file]
        for state, text in ("old", old), ("new", old.replace(edit.old, edit.new)):
            folders.append(tmp_path / f"{number}{state}")
            write({**edit.files, edit.file: text}, folders[-1])
    lines = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, folders)], check=True, text=True, stdout=-1
    ).stdout.splitlines()
    assert not [line for line in lines if line.startswith("failed")]
    differ = {e.what for e, a, b in zip(run, lines[::2], lines[1::2], strict=True) if a != b}
    assert differ == names


def test_the_table_has_no_edit_twice() -> None:
    names = [edit.what for edit in EDITS]
    assert len(names) == len({*names}) >= 150


def test_the_table_in_the_docs_is_of_these_edits() -> None:
    assert table() in DOCS.read_text("utf-8")


ORDERED = "N = 1\nX = N\nN = 2\ndef execute(x):\n    return {'y': X + N}\n"


def test_an_order_that_an_older_psyflow_did_not_know_is_no_change(tmp_path: Path) -> None:
    task = tmp_path / "task_a.py"
    task.write_text(ORDERED)
    present = fingerprint_code(task, ["execute"])
    older = {name: part for name, part in present.items() if name != "<order>"}
    assert older != present
    assert changes(older, present) == changes(present, older) == []


def test_what_stands_elsewhere_is_shown_with_its_line(tmp_path: Path) -> None:
    task = tmp_path / "task_a.py"
    task.write_text(ORDERED)
    before = fingerprint_code(task, ["execute"])
    task.write_text(ORDERED.replace("X = N\nN = 2", "N = 2\nX = N"))
    (change,) = changes(before, fingerprint_code(task, ["execute"]))
    assert change.describe() == "<order>: line 2: added `N = 2`"


@pytest.mark.parametrize(
    ("line", "counts"),
    [("    print(x)", False), ("    n: int = 3", True), ("    return 3", True)],
)
def test_results_of_a_psyflow_that_counted_more_are_kept(
    line: str, counts: bool, tmp_path: Path
) -> None:
    source = f"def execute(x: int) -> dict:\n{line}\n    return {{}}"
    old = {"execute": Part(digest(source), source, 1, "task_a.py")}
    old["logging"] = Part(digest("import logging"), "import logging", 1, "task_a.py")
    task = tmp_path / "task_a.py"
    task.write_text("def execute(x):\n    return {}")
    found = changes(old, fingerprint_code(task, ["execute"]))
    assert bool(found) == counts
