"""With what a run was made: packages and the commit."""

import os
import subprocess
import sys

from psyflow.record import provenance as module
from psyflow.record.provenance import asking_git_seldom, provenance


def test_a_package_that_is_installed_meanwhile_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "joblib-1.0.dist-info").mkdir()
    os.utime(tmp_path, (1, 1))
    assert provenance(tmp_path)["packages"]["joblib"] == "1.0"
    (tmp_path / "joblib-1.0.dist-info").rename(tmp_path / "joblib-2.0.dist-info")
    os.utime(tmp_path, (2, 2))
    assert provenance(tmp_path)["packages"]["joblib"] == "2.0"


def test_the_first_folder_on_the_path_that_has_a_package_counts(tmp_path, monkeypatch):
    for folder, version in (("a", "1.0"), ("b", "2.0")):
        (tmp_path / folder / f"joblib-{version}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b")])
    found = provenance(tmp_path)["packages"]
    assert (found["joblib"], found["numpy"]) == ("1.0", None)


def test_git_is_asked_once_for_tasks_that_begin_at_the_same_time(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_asked_of_git", lambda folder: asked.append(folder) or "abc+")
    with asking_git_seldom():
        assert [provenance(tmp_path)["git_commit"] for _ in range(3)] == ["abc+"] * 3
        assert len(asked) == 1
        monkeypatch.setattr(module, "GIT_SECONDS", -1.0)
        provenance(tmp_path)
        assert len(asked) == 2
    monkeypatch.undo()
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert provenance(tmp_path)["git_commit"] is None  # nothing is committed
