"""A study to test with: task files, and `psy` in their folder. The one harness of all tests."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psyflow
from psyflow.columns import Column
from psyflow.main import psy_main
from psyflow.store import store_for
from tests.support.processes import (
    MARK,
    PATIENCE,
    eventually,
    marked,
    without_progress,
    without_rows,
)

SQUARE = """
from psyflow import Param

pspace = Param(x=range(4))

def execute(x):
    return {"y": x**2}
"""
HEAD = """
import os, time
from pathlib import Path
from psyflow import Param
LOG = Path(__file__).parent.parent / "calls.log"
GATE = Path(__file__).parent.parent / "gate"

def note(**pset):
    with LOG.open("a") as log:
        log.write(repr(sorted(pset.items())) + "\\n")

def wait_at_gate(seconds=600):
    end = time.monotonic() + seconds
    while not GATE.exists():
        assert time.monotonic() < end, "nobody has opened the gate"
        time.sleep(0.01)
"""


def _read_at_start() -> dict[str, str]:
    """Return the part of the environment that only counts when an interpreter starts."""
    return {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}


AT_START = _read_at_start()


class Study:
    """A folder with task files, and `psy` as users call it there.

    Some tests want a trace of each evaluation and call `psy`, which has to succeed (`task`,
    `psy`); others ask for what `psy` says, and whether it succeeds (`write`, `call`).
    """

    is_apart = False
    """Whether `psy` is a program: where it matters what that begins with, or leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = sys.executable
        self.told = ""  # all of what `psy` said on stderr when it was called last
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def tasks(self) -> Path:
        return self.folder / "psy-tasks"

    @property
    def work(self) -> Path:
        return self.folder / "psy-work"

    @property
    def calls_log(self) -> Path:
        return self.folder / "calls.log"

    # Task files

    def write(self, name: str, source: str = SQUARE, taskdir: str = "psy-tasks") -> Path:
        """Write a task file, as it is."""
        path = self.folder / taskdir / f"task_{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return path

    def task(self, body: str, name: str = "t") -> None:
        """Write a task file; its functions can call `note` to leave a trace of each call.

        With `wait_at_gate` they wait for `open_gate`: so what a test does meanwhile may take as
        long as it has to.
        """
        self.write(name, HEAD + body)

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    # `psy`

    def command(self, *words: str) -> list[str]:
        # As the program `psy` is started: without the folder it is typed in as a place of modules.
        return [self.python, "-P", "-m", "psyflow", *words]

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: str(self.folder), **(env or {})},
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def program(
        self, *words: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `psy` as a program, to whatever end."""
        process = self.start(*words, env=env)
        out, err = process.communicate(timeout=PATIENCE)
        self.told = err
        told = without_rows(without_progress(err))
        return subprocess.CompletedProcess(words, process.returncode, out, told)

    def psy(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Call `psy`, which has to end with `code`; as a program, if it would be another here."""
        is_as_here = self.python == sys.executable and _read_at_start() == AT_START
        is_apart = self.is_apart or not is_as_here
        done = self.program(*words) if is_apart else self.call(*words)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
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

    def logs(self) -> str:
        return "\n".join(p.read_text() for p in self.folder.glob("psy-work/*/*.log"))

    def executed(self, stdout: str) -> list[str]:
        """Return the steps that were executed, from the lines of `psy run`."""
        return [line[3:] for line in stdout.splitlines() if line.startswith(".")]

    def calls(self) -> list[str]:
        """Return the psets that were evaluated since the last call of this."""
        if not self.calls_log.exists():
            return []
        lines = self.calls_log.read_text().splitlines()
        self.calls_log.unlink()
        return lines

    def wait_for_calls(self, n: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.calls_log.exists() or len(self.calls_log.read_text().splitlines()) < n:
            assert time.monotonic() < deadline, f"no {n} calls in {PATIENCE} s\n{self.logs()}"
            time.sleep(0.01)

    # What there is

    def load(self, name: str = "t") -> dict[str, Column]:
        return psyflow.load(name, self.tasks, self.work)

    def rows(self, name: str = "t") -> list[tuple[object, ...]]:
        columns = self.load(name)
        return list(zip(*(list(columns[n]) for n in sorted(columns)), strict=True))

    def result_exists(self, task: str, ext: str = ".pkl") -> bool:
        return (self.work / task / f"result{ext}").exists()

    def result(self, task: str, ext: str = ".pkl") -> dict[str, list[object]]:
        """Return the columns of a result file, read by its store alone."""
        path = self.work / task / f"result{ext}"
        return {name: list(column) for name, column in store_for(path).load(path).items()}

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Return time of change and size of everything in the folder."""
        stats = {path: path.lstat() for path in [self.folder, *self.folder.rglob("*")]}
        return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}

    def processes(self) -> list[int]:
        """Return the living processes that `psy` in this folder has to do with, and itself."""
        return marked(str(self.folder))

    def wait_until_gone(self) -> None:
        eventually(lambda: not self.processes())

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
