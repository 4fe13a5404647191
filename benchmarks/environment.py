"""Where the benchmarks run: interpreters, peers, scratch space, and the machine itself."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements"
COMMON = ("numpy", "tables", "joblib", "doit")
INSTALL_SECONDS = 900


class PeerMissingError(Exception):
    """A peer is not there, and could not be installed."""


@dataclass(frozen=True)
class Peers:
    """Virtual environments, one for each peer, as their requirements need not go together.

    Attributes
    ----------
    folder : Path
        Where they are; each is made when it is first asked for, and kept.
    """

    folder: Path

    @functools.cache  # noqa: B019 (there is one)
    def python(self, name: str) -> Path:
        """Return the interpreter of a peer; make its environment if need be.

        Raises
        ------
        PeerMissingError
            If that does not work.
        """
        folder, wanted = self.folder / name, REQUIREMENTS / f"{name}.txt"
        python, installed = folder / "bin" / "python", folder / wanted.name
        if installed.exists() and installed.read_text() == wanted.read_text():
            return python
        print(f"Installing {name} into {folder} …", file=sys.stderr, flush=True)
        commands = (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "-q", "-r", str(wanted)],
        )
        for command in commands:
            try:
                subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
            except (OSError, subprocess.SubprocessError) as error:
                raise PeerMissingError(f"{name} could not be installed: {error}") from error
        shutil.copy(wanted, installed)
        return python

    def program(self, name: str) -> Path | None:
        """Return the program of a peer that has its name; None, which is said, without it."""
        try:
            return self.python(name).with_name(name)
        except PeerMissingError as error:
            print(f"Without {name}: {error}", file=sys.stderr, flush=True)
            return None

    def packages(self, name: str) -> Path:
        """Return the folder with the packages of a peer, for another interpreter to import."""
        return next(self.python(name).parents[1].glob("lib/python*/site-packages"))

    def versions(self) -> str:
        """Return the versions of all peers that are there."""
        told = []
        for wanted in sorted(REQUIREMENTS.glob("*.txt")):
            if (self.folder / wanted.stem / wanted.name).exists():
                lines = wanted.read_text().split()
                told += [line.replace("==", " ") for line in lines if line.startswith(wanted.stem)]
        return ", ".join(told)


@dataclass(frozen=True)
class Environment:
    """What a benchmark needs to know.

    Attributes
    ----------
    scratch : Path
        An empty folder on a real disk.
    peers : Peers
    is_quick : bool
        A tenth of the items, and one repeat: to see that the benchmarks work.
    """

    scratch: Path
    peers: Peers
    is_quick: bool

    @property
    def python(self) -> str:
        """The interpreter that has psyflow: this one."""
        return sys.executable

    @property
    def psy(self) -> str:
        """The program `psy`."""
        return str(Path(sys.executable).with_name("psy"))

    def repeats(self, number: int) -> int:
        """Return how often to repeat."""
        return 1 if self.is_quick else number

    def items(self, number: int) -> int:
        """Return how many items to have."""
        return number // 10 if self.is_quick else number

    def folder(self, name: str) -> Path:
        """Return a new, empty folder in the scratch space."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def peer(self, name: str, *arguments: str) -> list[str]:
        """Return the command of a peer's script in this interpreter, with what psyflow has."""
        return [self.python, str(HERE / "peers" / name), *arguments]

    def program(self, name: str, *arguments: str) -> list[str]:
        """Return the command of a program that uses psyflow from Python."""
        return [self.python, str(HERE / "programs" / name), *arguments]


def machine(peers: Peers) -> dict[str, str]:
    """Describe the machine and the software."""
    own = ("psyflow", *COMMON)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "CPU": f"{len(os.sched_getaffinity(0))} × {_cpu_model()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in own),
        "peers": peers.versions(),
        "load": " to ".join(f"{load:.1f}" for load in os.getloadavg()[::2]),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
