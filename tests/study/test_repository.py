"""`git=True`: what belongs to the study is committed, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import psyflow.study as ps
from psyflow.exceptions import UsageError

SCRIPT = """
import model
import psyflow.study as ps
df = ps.run(model.func, ps.plist("a", [1, 2]), git=True)
print(df._run_id.iloc[-1])
"""


def git(*words: str) -> str:
    settings = ["-c", "user.name=me", "-c", "user.email=me@here"]
    done = subprocess.run(["git", *settings, *words], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "me")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "me@here")
    git("init", "--quiet")
    Path("notes.txt").write_text("first\n")
    git("add", "notes.txt")
    git("commit", "--quiet", "-m", "first")
    study = tmp_path / "study"
    study.mkdir()
    monkeypatch.chdir(study)
    Path("model.py").write_text("def func(pset):\n    return {'y': pset['a']}\n")
    Path("input.py").write_text(SCRIPT)
    Path("secret.key").write_text("mine")
    Path(".gitignore").write_text("calc/*/*.bin\ncalc.bak*\n__pycache__\n")
    return study


def committed() -> list[str]:
    return git("show", "--name-only", "--format=").split()


def test_a_run_commits_the_study_alone(repository: Path) -> None:
    # W19
    Path("../notes.txt").write_text("changed\n")
    printed = subprocess.run([sys.executable, "input.py"], check=True, capture_output=True)
    run_id = printed.stdout.decode().strip()
    assert git("log", "-1", "--format=%s").strip() == f"psweep: study: run_id={run_id}"
    assert committed() == ["study/calc/database.pk", "study/input.py", "study/model.py"]
    assert git("status", "--porcelain").split() == [
        *("M", "notes.txt", "??", "study/.gitignore", "??", "study/secret.key")
    ]


def test_what_is_ignored_stays_out(repository: Path) -> None:
    # W19
    Path(".gitignore").write_text("calc\n")
    Path("templates").mkdir()
    Path("templates/deck.in").touch()
    for _ in range(2):  # the second time, nothing has changed that is tracked
        ps.run(lambda pset: {}, [{"a": 1}], git=True)
    assert committed() == ["study/templates/deck.in"]
    assert len(git("log", "--format=%s").splitlines()) == 2


def test_a_commit_that_fails_leaves_nothing_staged(repository: Path) -> None:
    hook = Path("../.git/hooks/pre-commit")
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UsageError, match="not today"):
        ps.run(lambda pset: {}, [{"a": 1}], git=True)
    assert git("diff", "--cached", "--name-only") == ""
    assert len(ps.df_read("calc/database.pk")) == 1


def test_staged_changes_stop_the_run_before_it_begins(repository: Path) -> None:
    # W20
    git("add", "secret.key")
    with pytest.raises(UsageError, match=r"secret\.key") as caught:
        ps.run(lambda pset: pytest.fail("called"), [{"a": 1}], git=True)
    assert "git reset" in str(caught.value)
    assert not Path("calc").exists()


def test_without_a_repository_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    # W20
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    with pytest.raises(UsageError, match="git init"):
        ps.run(lambda pset: pytest.fail("called"), [{"a": 1}], git=True)
