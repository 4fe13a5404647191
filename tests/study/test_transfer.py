"""`psy push` and `psy pull`, with rsync as it is; only ssh is a script that stays here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import psyflow.study as ps
from tests.support.study import Study

pytestmark = pytest.mark.skipif(not shutil.which("rsync"), reason="it needs rsync")

SSH = """\
#!/bin/sh
shift
HOME={home}
cd "$HOME" && exec sh -c "$*"
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a host with a home folder of its own, a study below the one here, and go there."""
    home, host = tmp_path / "home", tmp_path / "host"
    (home / "work" / "my study").mkdir(parents=True)
    host.mkdir()
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.format(home=host))
    ssh.chmod(0o755)
    monkeypatch.setenv("RSYNC_RSH", str(ssh))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work" / "my study")
    return host / "work" / "my study"


def psy(*words: str) -> tuple[int, str]:
    done = Study(Path.cwd()).call(*words)
    return done.returncode, done.stdout + done.stderr


def prepared() -> str:
    df = ps.run(lambda pset: {}, ps.plist("a", [1, 2]))
    folder = Path("calc") / df._pset_id[0]
    folder.mkdir()
    (folder / "job").write_text("go")
    return str(df._pset_id[0])


def test_results_go_to_the_same_place_and_come_back(there: Path) -> None:
    # W27
    pset_id = prepared()
    Path("input.py").write_text("code")
    assert psy("push", "cluster")[0] == 0
    assert sorted(path.name for path in there.iterdir()) == ["calc"]
    assert (there / "calc" / pset_id / "job").read_text() == "go"
    (there / "calc" / pset_id / "out.txt").write_text("done")
    assert psy("pull", "cluster")[0] == 0
    assert (Path("calc") / pset_id / "out.txt").read_text() == "done"
    assert psy("push", "--all", "cluster")[0] == 0
    assert (there / "input.py").read_text() == "code"


def test_a_dry_run_copies_nothing(there: Path) -> None:
    pset_id = prepared()
    status, told = psy("push", "-n", "cluster")
    assert status == 0 and f"calc/{pset_id}/job" in told
    assert not there.exists()
    psy("push", "cluster")
    (there / "calc" / "more.txt").touch()
    status, told = psy("pull", "-n", "cluster")
    assert status == 0 and "calc/more.txt" in told
    assert not Path("calc/more.txt").exists()


def test_no_row_of_either_side_is_lost(there: Path) -> None:
    prepared()
    psy("push", "cluster")
    ps.run(lambda pset: {}, ps.plist("a", [3]))
    os.utime("calc/database.pk", (1, 1))
    ps.run(lambda pset: {}, ps.plist("a", [4]), calc_dir=there / "calc")
    assert psy("pull", "cluster")[0] == 0
    assert sorted(ps.df_read("calc/database.pk").a) == [1, 2, 3, 4]
    assert psy("push", "cluster")[0] == 0
    assert sorted(ps.df_read(there / "calc/database.pk").a) == [1, 2, 3, 4]


def test_a_path_on_the_host_may_be_said(there: Path) -> None:
    prepared()
    assert psy("push", "cluster:else")[0] == 0
    assert (there.parents[1] / "else" / "calc" / "database.pk").is_file()
    shutil.rmtree("calc")
    assert psy("pull", "cluster:else")[0] == 0
    assert len(ps.df_read("calc/database.pk")) == 2


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["push", "cluster"], 2, "There is no calc"),
        (["push", "cluster", "../x"], 2, "not in the study"),
        (["pull", ":path"], 2, "is no host"),
        (["push", "--all", "cluster", "calc"], 2, "not both"),
        (["pull", "cluster"], 3, "rsync ended with"),
    ],
)
def test_what_cannot_be_copied_is_told(
    there: Path, words: list[str], status: int, told: str
) -> None:
    found, said = psy(*words)
    assert found == status and told in said


def test_a_study_that_is_not_below_the_home_folder_is_told(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calc").mkdir()
    status, told = psy("push", "cluster")
    assert status == 2 and "cluster:path" in told
