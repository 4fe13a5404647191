"""A study whose evaluations leave a trace, and `psy` in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psyflow
from psyflow.columns import Column
from tests.support.processes import MARK, marked

HEAD = """
import os, time
from pathlib import Path
from psyflow import Param
LOG = Path(__file__).parent.parent / "calls.log"
GATE = Path(__file__).parent.parent / "gate"

def note(**pset):
    with LOG.open("a") as log:
        log.write(repr(sorted(pset.items())) + "\\n")

def wait_at_gate(seconds=120):
    end = time.monotonic() + seconds
    while not GATE.exists():
        assert time.monotonic() < end, "nobody has opened the gate"
        time.sleep(0.01)
"""


class Study:
    """A folder with task files, and the `psy` command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tasks = folder / "psy-tasks"
        self.tasks.mkdir()
        self.calls_log = folder / "calls.log"
        self.python = sys.executable
        self._processes: list[subprocess.Popen[str]] = []

    def task(self, body: str, name: str = "t") -> None:
        """Write a task file; its functions can call `note` to leave a trace of each call.

        With `wait_at_gate` they wait for `open_gate`: so what a test does meanwhile may take as
        long as it has to.
        """
        (self.tasks / f"task_{name}.py").write_text(HEAD + body)

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [self.python, "-m", "psyflow", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: str(self.folder)},
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def psy(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, f"{out}\n{err}\n{self.logs()}"
        return subprocess.CompletedProcess(arguments, code, out, err)

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

    def wait_for_calls(self, n: int, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.calls_log.exists() or len(self.calls_log.read_text().splitlines()) < n:
            assert time.monotonic() < deadline, f"no {n} calls in {seconds} s\n{self.logs()}"
            time.sleep(0.01)

    def load(self, name: str = "t") -> dict[str, Column]:
        return psyflow.load(name, self.tasks, self.folder / "psy-work")

    def rows(self, name: str = "t") -> list[tuple[object, ...]]:
        columns = self.load(name)
        return list(zip(*(list(columns[n]) for n in sorted(columns)), strict=True))

    def processes(self) -> list[int]:
        """Return the living processes that `psy` in this folder has to do with, and itself."""
        return marked(str(self.folder))

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
