"""Real engines on this machine, whose workers have nothing to do with any study."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.support.processes import PATIENCE, children_of, eventually

__all__ = ["DaskServers", "Engine", "RayServers"]

RAY_ATTEMPTS = 3


class Engine(Protocol):
    """What task files name as their scheduler, and tests do harm to."""

    scheduler: str
    """The lines of a task file that set it."""

    def lose_a_worker(self) -> None:
        """Kill a worker, as a node does that goes down."""

    def end(self) -> None:
        """End all that was started."""


class _Servers:
    """Processes in folders of their own, with a home of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "home").mkdir(parents=True)

    def start(
        self, name: str, words: list[str], env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        place = self.folder / name
        place.mkdir()
        # Ray leaves in this process what it was told, such as to ask for a token.
        of_tests = ("PYTHONPATH", "RAY_")
        environment = {n: value for n, value in os.environ.items() if not n.startswith(of_tests)}
        environment |= {"HOME": str(self.folder / "home"), **(env or {})}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                words,
                cwd=place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class DaskServers(_Servers):
    """A scheduler and two workers of Dask, or others (see `come_back`)."""

    def __init__(self, folder: Path, *sites: str, hidden: Path | None = None) -> None:
        super().__init__(folder)
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self._port = port
        self._before: list[str] = []
        if hidden is not None:
            self._hide(hidden)
        self._schedulers: list[subprocess.Popen[bytes]] = []
        self._workers: list[subprocess.Popen[bytes]] = []
        self.come_back(*sites)
        self.scheduler = (
            f"from psyflow.scheduler import Dask\nscheduler = Dask({self.address!r})\n"
        )

    def come_back(self, *sites: str) -> None:
        """Start a scheduler and two workers, or one for each of `sites` (see `add_worker`)."""
        name = f"scheduler-{len(self._schedulers)}"
        words = ["scheduler", "--port", str(self._port), "--host", "127.0.0.1", "--no-dashboard"]
        self._schedulers.append(self.start(name, self._dask(*words)))
        for site in sites or ("", ""):
            self.add_worker(site)

    def lose_all(self) -> None:
        """Kill the scheduler and the workers, as when the whole cluster goes down."""
        for process in (*self._schedulers, *self._workers):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    @staticmethod
    def _dask(*words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "dask", *words]

    def _hide(self, folder: Path) -> None:
        """Have workers find an empty folder, in a mount namespace of their own."""
        hidden = f'mount -t tmpfs none {shlex.quote(str(folder))} && exec "$@"'
        self._before = ["unshare", "--map-root-user", "--mount", "sh", "-c", hidden, "sh"]

    def add_worker(self, site: str = "") -> None:
        """Start a worker, whose interpreters all run `site` when they start."""
        name = f"worker-{len(self._workers)}"
        modules = self.folder / f"{name}-modules"
        modules.mkdir()
        (modules / "sitecustomize.py").write_text(site)
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
        words = [*self._before, *self._dask("worker", self.address, *options)]
        self._workers.append(self.start(name, words, {"PYTHONPATH": str(modules)}))
        eventually(lambda: "Registered to" in self.said(name), PATIENCE)

    def lose_a_worker(self) -> None:
        worker = next(worker for worker in self._workers if worker.poll() is None)
        worker.kill()
        self.add_worker()


class RayServers(_Servers):
    """A node of Ray with two processors."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for attempt in range(RAY_ATTEMPTS):
            self._begin(f"head-{attempt}")
            if self._told is not None:
                break
        assert self._told is not None, self.said("head-0")
        self.address = self._told[1]
        self.scheduler = f"from psyflow.scheduler import Ray\nscheduler = Ray({self.address!r})\n"

    def _begin(self, name: str) -> None:
        """Start a node; a port that was free may be another's by then, and the node ends."""
        words = [sys.executable, "-P", "-c", "from ray.scripts.scripts import main; main()"]
        words += ["start", "--head", "--block", "--port", str(free_port()), "--num-cpus", "2"]
        words += ["--include-dashboard", "false", "--disable-usage-stats"]
        self._head = self.start(name, words, {"RAY_TMPDIR": str(self.folder / "tmp")})

        def told_or_ended() -> bool:
            self._told = re.search(r"--address='(.+?)'", self.said(name))
            return self._told is not None or self._head.poll() is not None

        try:
            eventually(told_or_ended, PATIENCE)
        except BaseException:
            print(self.said(name))
            self.end()
            raise

    def lose_a_worker(self) -> None:
        """Kill a process that is evaluating something."""
        eventually(self._kill_one, PATIENCE)

    def _kill_one(self) -> bool:
        for pid in _below(self._head.pid):
            if b"ray::evaluate_block" in _words_of(pid):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def end(self) -> None:
        # Asked to end, it would wait for half a minute.
        for pid in [self._head.pid, *_below(self._head.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().end()


def _below(pid: int) -> list[int]:
    children = children_of(pid)
    return [*children, *(below for child in children for below in _below(child))]


def _words_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
