"""A cluster in a folder, which really runs jobs, for the programs of clusters that cannot be had.

What is common to them: jobs and arrays with dependencies, a throttle, states, exit codes, kills.
The fakes of single clusters put it into their words.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = "FAKE_CLUSTER"
WAITING, HELD, RUNNING, KILLED = "waiting", "held", "running", "killed"


@dataclass
class Job:
    number: str
    name: str
    script: str
    indices: list[str]
    """The index of each member, as the cluster counts; a single empty one for a plain job."""
    index_variable: str
    after: list[str]
    throttle: int
    held: bool
    environment: dict[str, str]
    cwd: str


class Cluster:
    def __init__(self) -> None:
        self.folder = Path(os.environ[STATE])

    def submit(
        self,
        name: str,
        script: str,
        indices: Sequence[str],
        index_variable: str,
        after: Sequence[str],
        throttle: int = 0,
        held: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        number = str(1000 + len(list(self.folder.glob("*.job"))))
        job = Job(
            number=number,
            name=name,
            script=script,
            indices=list(indices),
            index_variable=index_variable,
            after=list(after),
            throttle=throttle or len(indices),
            held=held,
            environment={**os.environ, **(environment or {})},
            cwd=str(Path.cwd()),
        )
        (self.folder / f"{number}.job").write_text(json.dumps(asdict(job)))
        for index in indices:
            self.set_state(number, index, HELD if held or after else WAITING)
        null = subprocess.DEVNULL
        subprocess.Popen(
            command_of("fake_cluster", number),
            stdin=null,
            stdout=null,
            stderr=null,
            start_new_session=True,
        )
        return number

    def job(self, number: str) -> Job | None:
        path = self.folder / f"{number}.job"
        return Job(**json.loads(path.read_text())) if path.exists() else None

    def state(self, number: str, index: str) -> str:
        return (self.folder / f"{number}.{index}.state").read_text()

    def set_state(self, number: str, index: str, state: str) -> None:
        path = self.folder / f"{number}.{index}.state"
        temporary = path.with_suffix(".new")
        temporary.write_text(state)
        temporary.replace(path)

    def is_over(self, number: str, index: str) -> bool:
        return self.state(number, index) not in (WAITING, HELD, RUNNING)

    def kill(self, number: str, index: str | None) -> bool:
        """Kill one member or all; tell whether any of them was there to be killed."""
        job = self.job(number)
        if job is None:
            return False
        for i in job.indices if index is None else [index]:
            if not self.is_over(number, i):
                (self.folder / f"{number}.{i}.kill").touch()
        return True

    def run(self, number: str) -> None:
        job = self.job(number)
        assert job is not None
        left, running = list(job.indices), dict[str, subprocess.Popen[bytes]]()
        while left or running:
            for index in [i for i in left if self._is_killed(number, i)]:
                left.remove(index)
                self.set_state(number, index, KILLED)
            while left and len(running) < job.throttle and self._may_start(job):
                index = left.pop(0)
                running[index] = self._start(job, index)
                self.set_state(number, index, RUNNING)
            for index, process in list(running.items()):
                if self._is_killed(number, index):
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait()
                    self.set_state(number, index, KILLED)
                    del running[index]
                elif process.poll() is not None:
                    self.set_state(number, index, str(process.returncode))
                    del running[index]
            if not self.folder.exists():
                for process in running.values():
                    os.killpg(process.pid, signal.SIGKILL)
                return
            time.sleep(0.02)

    def _is_killed(self, number: str, index: str) -> bool:
        return (self.folder / f"{number}.{index}.kill").exists()

    def _may_start(self, job: Job) -> bool:
        before = [earlier for number in job.after if (earlier := self.job(number)) is not None]
        return not job.held and all(self.is_over(b.number, i) for b in before for i in b.indices)

    def _start(self, job: Job, index: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**job.environment, job.index_variable: index or "0"},
            cwd=job.cwd,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(job.script.encode())
        process.stdin.close()
        return process


def main(words: list[str]) -> None:
    Cluster().run(words[0])


def end(state: Path) -> None:
    """Remove a cluster's folder: what still runs sees that it is gone, and ends."""
    deadline = time.monotonic() + 120
    while state.exists():
        # A job may write its last into it just now.
        shutil.rmtree(state, ignore_errors=True)
        assert time.monotonic() < deadline, f"{state} is still written to"
        time.sleep(0.1)


def command_of(module: str, *words: str) -> list[str]:
    """Return what runs `main` of a module beside this one, leaving the environment as it is."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        f"from tests.scheduler import {module}; {module}.main(sys.argv[1:])"
    )
    return [sys.executable, "-c", code, *words]
