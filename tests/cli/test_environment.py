"""`psy` from elsewhere runs in the virtual environment that is active."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import psyflow
from tests.support.processes import without_rows

TASK = """
from psyflow import Param
import only_there, sys
pspace = Param(x=[1])
def execute(x):
    return {"y": only_there.Y, "prefix": sys.prefix}
"""
PATHS = [entry for entry in sys.path if "site-packages" in entry]


class Installed:
    """A study, a `psy` that is installed elsewhere, and a virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.study, self.env, self.bin = folder / "study", folder / "env", folder / "bin"
        (self.study / "psy-tasks").mkdir(parents=True)
        (self.study / "psy-tasks" / "task_t.py").write_text(TASK)
        self.bin.mkdir()
        self.program = self.bin / "psy"
        self.program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom psyflow.main import main\nsys.exit(main())\n"
        )
        self.program.chmod(0o755)
        venv.create(self.env, symlinks=True, with_pip=False)
        self.packages = next(self.env.glob("lib/python*/site-packages"))
        (self.packages / "only_there.py").write_text("Y = 5\n")

    def install_psyflow(self) -> None:
        entries = [str(Path(__file__).parents[2]), *PATHS]
        (self.packages / "psyflow.pth").write_text("\n".join(entries))

    def psy(self, *words: str, program: str = "psy") -> subprocess.CompletedProcess[str]:
        path = f"{self.env / 'bin'}:{self.bin}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", f'{program} "$@"', "sh", *words],
            cwd=self.study,
            env={**os.environ, "PATH": path, "VIRTUAL_ENV": str(self.env)},
            capture_output=True,
            text=True,
        )


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_items_are_evaluated_in_the_active_environment(installed: Installed) -> None:
    installed.install_psyflow()
    ran = installed.psy("run")
    assert (ran.returncode, without_rows(ran.stderr)) == (0, "")
    result = installed.study / "psy-work" / "t" / "result.pkl"
    assert psyflow.load(result) == {"x": [1], "y": [5], "prefix": [str(installed.env)]}


def test_an_environment_without_psyflow_is_told_with_what_to_install(installed: Installed) -> None:
    ran = installed.psy("status")
    python = installed.env / "bin" / "python"
    assert "No module named 'psyflow'" in ran.stderr
    assert f"tasks run in {sys.executable}" in ran.stderr
    assert f"{python} -m pip install psyflow" in ran.stderr
    assert "No module named 'only_there'" in ran.stderr


def test_an_environment_that_is_gone_is_told(installed: Installed) -> None:
    (installed.env / "bin" / "python").unlink()
    ran = installed.psy("--version")
    assert (ran.returncode, ran.stdout[:7]) == (0, "psyflow")
    assert f"No such file or directory: '{installed.env / 'bin' / 'python'}'" in ran.stderr


def test_a_psy_that_is_named_by_its_path_stays_in_its_own_python(installed: Installed) -> None:
    installed.install_psyflow()
    ran = installed.psy("doctor", program="../bin/psy")
    assert f", {sys.executable}\n" in ran.stdout
    assert f", {installed.env / 'bin' / 'python'}\n" in installed.psy("doctor").stdout


def test_a_link_to_the_environment_is_the_environment(installed: Installed) -> None:
    installed.install_psyflow()
    link = installed.env.with_name("link")
    link.symlink_to(installed.env)
    installed.env = link
    ran = installed.psy("list")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "t\n", "")
