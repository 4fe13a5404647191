"""Where the benchmarks run: interpreters, peers, scratch space, and the machine itself."""

from __future__ import annotations

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
COMMON = ("numpy", "tables", "joblib", "doit")
PEERS = ("jug", "execo", "patas", "psweep")


@dataclass(frozen=True)
class Environment:
    """What a benchmark needs to know.

    Attributes
    ----------
    scratch : Path
        An empty folder on a real disk.
    peers : Path
        The peers' interpreter.
    is_quick : bool
        A tenth of the items, and one repeat: to see that the benchmarks work.
    """

    scratch: Path
    peers: Path
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
        """Return the command of a peer's script."""
        return [str(self.peers), str(HERE / "peers" / name), *arguments]

    def own_peer(self, name: str, *arguments: str) -> list[str]:
        """Return the command of a peer's script in this interpreter, with what psyflow has."""
        return [self.python, str(HERE / "peers" / name), *arguments]

    def program(self, name: str, *arguments: str) -> list[str]:
        """Return the command of a program that uses psyflow from Python."""
        return [self.python, str(HERE / "programs" / name), *arguments]


def find_peers(folder: Path) -> Path:
    """Return the peers' interpreter in the virtual environment `folder`; make it if need be."""
    python, wanted = folder / "bin" / "python", HERE / "requirements.txt"
    installed = folder / wanted.name
    if not (installed.exists() and installed.read_text() == wanted.read_text()):
        print(f"Installing the peers into {folder} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "-q", "-r", str(wanted)]
        subprocess.run([str(python), *install], check=True)
        shutil.copy(wanted, installed)
    return python


def machine(peers: Path) -> dict[str, str]:
    """Describe the machine and the software."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "CPU": f"{len(os.sched_getaffinity(0))} × {_cpu_model()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "packages": _versions(Path(sys.executable)),
        "peers": _versions(peers),
        "load at start": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _versions(python: Path) -> str:
    if python == Path(sys.executable):
        own = ("psyflow", *COMMON)
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in own)
    code = (
        "import importlib.metadata as m; "
        f"print(', '.join(f'{{n}} {{m.version(n)}}' for n in {COMMON + PEERS}))"
    )
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()
