"""A study that this user may only read: looking works, and what would write says who may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.study import Study

RIGHTS = "-dac_override,-dac_read_search,-fowner"
OWNER = 54_321


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs a second user"
)
def test_who_may_write_is_said_and_looking_works(study: Study) -> None:
    study.task("pspace = {'x': [0, 1, 2]}\ndef execute(x):\n    return {'y': 1 / (x - 1)}\n")
    study.psy("run", code=1)
    for path in (study.folder, *study.folder.rglob("*")):
        os.chown(path, OWNER, OWNER, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755)
    before = state_of(study.folder)

    def psy(*words: str) -> tuple[int, str]:
        restricted = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS]
        command = [*restricted, sys.executable, "-m", "psyflow", *words]
        done = subprocess.run(command, cwd=study.folder, capture_output=True, text=True)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    for looks in ("status", "why", "show t", "failures", "log t 1", "run -n", "status --json"):
        assert psy(*looks.split())[0] == 0, looks
    script = "import psyflow; psyflow.map(repr, [{'x': 1}], call='pset', workdir='psy-work/map')"
    restricted = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS]
    mapped = subprocess.run(
        [*restricted, sys.executable, "-c", script],
        cwd=study.folder,
        capture_output=True,
        text=True,
    )
    last = mapped.stderr.splitlines()[-1]
    assert f"psy-work cannot be written: it belongs to {OWNER}" in last, last
    assert "Give another folder as `workdir`." in last
    for writes in ("export t a.csv", "new-task u"):
        code, told = psy(*writes.split())
        assert code == 3, (writes, told)
        assert f"cannot be written: it belongs to {OWNER}" in told, told
    for writes in ("run t", "run t --again 0", "clean -y t", "accept t"):
        code, told = psy(*writes.split())
        assert code == 3, (writes, told)
        for text in ("cannot be written", f"belongs to {OWNER}, group {OWNER}", "you are root"):
            assert text in told, told
        assert "copy the study" in told
    assert state_of(study.folder) == before


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs a second user"
)
@pytest.mark.parametrize("words", ["status", "run t", "new-task t"])
def test_a_folder_that_may_not_be_read_is_named(study: Study, words: str) -> None:
    closed = study.folder / "closed"
    closed.mkdir()
    os.chown(closed, OWNER, OWNER)
    closed.chmod(0o700)
    restricted = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS]
    command = [*restricted, sys.executable, "-m", "psyflow", *words.split()]
    environment = {**os.environ, "PWD": str(closed)}
    done = subprocess.run(command, cwd=closed, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert f"{closed}, cannot be looked into (Permission denied)" in done.stderr
    assert "--taskdir" in done.stderr
    assert "Traceback" not in done.stderr


MOUNTED = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift
for words in "$@"; do
    "$PYTHON" -m psyflow $words 2>&1
    echo "code $?"
done
"""


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs a mount of its own")
def test_what_is_mounted_read_only_is_said_to_be(study: Study) -> None:
    study.task("pspace = {'x': [0, 1]}\ndef execute(x):\n    return {'y': x}\n")
    study.psy("run")
    study.task("pspace = {'x': [0, 1]}\ndef execute(x):\n    return {'y': -x}\n")
    study.psy("run")
    (archived,) = (study.folder / "psy-work" / "t" / "archive").iterdir()
    writes = [f"restore t {archived.name}", "run t --again 0", "export t a.csv", "new-task u"]
    looks = ["status t", "show t", "restore t"]
    before = state_of(study.folder)
    command = ["unshare", "-m", "sh", "-c", MOUNTED, "sh", str(study.folder), *writes, *looks]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stdout, done.stdout
    codes = [line for line in done.stdout.splitlines() if line.startswith("code ")]
    assert codes == ["code 3"] * len(writes) + ["code 0"] * len(looks), done.stdout
    assert done.stdout.count("it is on a file system that is mounted read-only") == len(writes)
    assert state_of(study.folder) == before


def state_of(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if "pycache" not in str(path)
    }
