"""A folder with task files, and `psy` as users call it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from psyflow.main import psy_main
from tests.support.processes import PATIENCE, without_progress, without_rows

SQUARE = """
from psyflow import Param

pspace = Param(x=range(4))

def execute(x):
    return {"y": x**2}
"""
SKIPS_ZERO = SQUARE.replace(
    "    return", "    if x == 0:\n        raise psyflow.Skip('dull')\n    return"
).replace("from", "import psyflow\nfrom", 1)


class Place:
    """A folder to work in, with task files, and `psy` as users call it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "psy-work"
        self.told = ""  # all of what `psy` said on stderr when it was called last

    def task(self, name: str, source: str = SQUARE, taskdir: str = "psy-tasks") -> Path:
        path = self.folder / taskdir / f"task_{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "psyflow", *words]

    def psy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call `psy` within this process, which saves the time to start one."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = psy_main(words)
        self.told = err.getvalue()
        told = without_rows(without_progress(self.told))
        return subprocess.CompletedProcess(words, status, out.getvalue(), told)

    def program(
        self, *words: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `psy` as users do."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.told = done.stderr
        done.stderr = without_rows(without_progress(self.told))
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Return time of change and size of everything in the folder."""
        stats = {path: path.lstat() for path in [self.folder, *self.folder.rglob("*")]}
        return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}

    def result_exists(self, task: str, ext: str = ".pkl") -> bool:
        return (self.work / task / f"result{ext}").exists()

    def result(self, task: str, ext: str = ".pkl") -> dict[str, list[object]]:
        from psyflow.store import store_for

        path = self.work / task / f"result{ext}"
        return {name: list(column) for name, column in store_for(path).load(path).items()}


def lines(task: str, marks: str = ". . .") -> str:
    """Return doit's lines for the three steps: ``.`` executed, ``--`` up to date."""
    words = zip(marks.split(), ("split", "process", "merge"), strict=True)
    return "".join(f"{mark:<2} {task}:{step}\n" for mark, step in words)
