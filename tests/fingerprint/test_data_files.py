"""The files that `file_dep` names: folders, globs, what is left out, and what is read of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint import FileDigests, Part, changes, parts_from_json, parts_to_json
from psyflow.fingerprint.files import file_parts
from psyflow.tasks import TaskDef

Parts = Callable[..., "dict[str, Part]"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.csv", "b.csv", "notes.txt", "sub/c.csv", ".hidden/d.csv", "sub/.e.csv"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name in ("__pycache__", "psy-work"):
        (tmp_path / "data" / name).mkdir()
        (tmp_path / "data" / name / "f.csv").write_text("made by a program")
    return tmp_path


@pytest.fixture
def parts(tree: Path) -> Parts:
    def _parts(*entries: str, own: tuple[Path, ...] = ()) -> dict[str, Part]:
        return file_parts([tree / entry for entry in entries], tree, own, FileDigests())

    return _parts


def files(found: dict[str, Part]) -> list[str]:
    (part,) = found.values()
    assert part.files is not None
    return sorted(part.files)


def described(old: dict[str, Part], new: dict[str, Part]) -> list[str]:
    return [change.describe() for change in changes(old, new)]


def test_a_folder_stands_for_the_files_below_it(parts):
    assert files(parts("data")) == ["data/a.csv", "data/b.csv", "data/notes.txt", "data/sub/c.csv"]


@pytest.mark.parametrize(
    ("glob", "matched"),
    [
        ("data/*.csv", ["data/a.csv", "data/b.csv"]),
        ("data/**/*.csv", ["data/a.csv", "data/b.csv", "data/sub/c.csv"]),
        ("**/c.csv", ["data/sub/c.csv"]),
        ("data/[ac].csv", ["data/a.csv"]),
        ("data/s*", ["data/sub/c.csv"]),
        ("data/**", ["data/a.csv", "data/b.csv", "data/notes.txt", "data/sub/c.csv"]),
        ("data/.h*/*.csv", ["data/.hidden/d.csv"]),
        ("data/psy-work/*.csv", ["data/psy-work/f.csv"]),
    ],
)
def test_a_glob_stands_for_what_it_matches(parts, glob, matched):
    assert files(parts(glob)) == matched


def test_a_name_that_looks_like_a_glob_may_be_a_file(parts, tree):
    (tree / "run[1].csv").write_text("1")
    assert parts("run[1].csv")["run[1].csv"].files is None


def test_what_the_task_writes_is_left_out(parts, tree):
    own = (tree / "data" / "sub", tree / "data" / "b.csv")
    assert files(parts("data", own=own)) == ["data/a.csv", "data/notes.txt"]


def test_links_are_followed_once(parts, tree):
    outside = tree / "elsewhere"
    outside.mkdir()
    (outside / "g.csv").write_text("7")
    (tree / "data" / "sub" / "linked").symlink_to(outside)
    (outside / "back").symlink_to(tree / "data")
    (tree / "data" / "broken").symlink_to(tree / "nowhere")
    os.mkfifo(tree / "data" / "pipe")
    found = files(parts("data/sub"))
    assert "data/sub/linked/g.csv" in found
    assert not any(name.endswith(("broken", "pipe")) for name in found)
    assert files(parts("data/**/g.csv")) == ["data/sub/linked/g.csv"]


def test_the_first_of_the_files_that_differ_is_named_and_how_many_more(parts, tree):
    before = parts("data")
    (tree / "data" / "b.csv").write_text("other")
    assert described(before, parts("data")) == ["data/b.csv: the content changed"]
    (tree / "data" / "new.csv").write_text("1")
    (tree / "data" / "a.csv").unlink()
    (change,) = changes(before, parts("data"))
    assert change.describe() == "data/b.csv: the content changed (2 more files differ)"
    assert [other.describe() for other in change.also] == [
        "data/new.csv: new",
        "data/a.csv: no longer used",
    ]


def test_an_empty_folder_may_be_filled(parts, tree):
    (tree / "none").mkdir()
    before = parts("none")
    (tree / "none" / "a.csv").write_text("1")
    assert described(before, parts("none")) == ["none/a.csv: new"]
    assert described(parts("none"), before) == ["none/a.csv: no longer used"]


def test_how_the_same_files_are_named_makes_no_difference(parts):
    one_by_one = parts("data/a.csv", "data/b.csv", "data/notes.txt", "data/sub/c.csv")
    for others in (["data"], ["data/**"], ["data/*", "data/a.csv"]):
        assert changes(one_by_one, parts(*others)) == changes(parts(*others), one_by_one) == []


def test_a_glob_that_matches_nothing_is_an_error_as_in_make(parts):
    with pytest.raises(TaskFileError, match=r'"data/\*\.h5" in `file_dep` matches no file'):
        parts("data/*.h5")


def test_parts_of_folders_survive_json_and_those_of_files_are_as_they_were(parts):
    found = parts("data", "data/a.csv")
    data = json.loads(json.dumps(parts_to_json(found)))
    assert parts_from_json(data) == found
    assert sorted(data["data/a.csv"]) == ["digest", "file", "line", "source"]


def test_a_file_is_read_once_as_long_as_it_stays_what_it_is(tmp_path, monkeypatch):
    file = tmp_path / "a.csv"
    file.write_text("1")
    os.utime(file, (1, 1))
    monkeypatch.setattr("psyflow.fingerprint.files._SETTLED_NS", 0)
    digests = FileDigests()
    first = digests.of(file)
    again = FileDigests()
    again.know(json.loads(json.dumps(digests.records(tmp_path))), tmp_path)
    assert again.records(tmp_path) == {}  # nobody has asked for it since
    monkeypatch.setattr(FileDigests, "_read", lambda self, path: "read")
    assert digests.of(file) == again.of(file) == first
    # Neither size nor time of change tells it, as after `rsync -t`.
    file.write_text("2")
    os.utime(file, (1, 1))
    assert digests.of(file) == again.of(file) == "read"


def test_what_may_change_within_the_same_tick_of_the_clock_is_read_again_later(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("psyflow.fingerprint.files._SETTLED_NS", 3600 * 10**9)
    file = tmp_path / "a.csv"
    file.write_text("1")
    digests = FileDigests()
    digests.of(file)
    assert digests.records(tmp_path) == {}


def test_a_result_file_in_a_folder_of_data_is_none_of_them(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a.csv", "r.pkl", "r.new.pkl"):
        (tmp_path / "data" / name).write_text("")
    task = tmp_path / "task_t.py"
    task.write_text(
        "pspace = [{'x': 1}]\nfile_dep = 'data'\nresultfile = 'data/r.pkl'\n"
        "def execute(x): return {}"
    )
    assert TaskDef(task, base=tmp_path).fingerprint()["data"].files.keys() == {"data/a.csv"}
