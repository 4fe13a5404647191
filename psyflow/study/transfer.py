"""Copies of a study's results on another host, by rsync."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from psyflow.conventions import CALC_DIR, DATABASE
from psyflow.exceptions import PsyflowError, UsageError
from psyflow.study.database import HIDDEN, Database
from psyflow.system.files import make_folder

__all__ = ["Transfer"]

_OPTIONS = (
    "--recursive",
    "--links",
    "--perms",
    "--times",
    "--verbose",
    "--relative",
    "--no-implied-dirs",
    "--keep-dirlinks",
    "--update",
    "--protect-args",
    f"--exclude={HIDDEN}",
    "--exclude=*.appending",
)
_NOT_RESULTS = (".git", ".venv")


@dataclass(frozen=True)
class Transfer:
    """Between the study in a folder and the same on another host.

    A file that is newer where it would be replaced stays. Of the database, which both sides may
    have extended, no row is lost: before anything else, those of the other side are added here.

    Attributes
    ----------
    host : str
        As rsync and ssh take it. The study is at the same place there, from the home folder on; or
        where ``host:path`` says.
    names : sequence of str
        Folders or files of the study; ``.`` for all of it.
    study : Path
    tell : callable
        Gets each line that rsync prints.
    dry_run : bool
        Whether to tell only what would be copied.
    """

    host: str
    names: Sequence[str]
    study: Path
    tell: Callable[[str], None] = print
    dry_run: bool = False

    def push(self) -> None:
        """Copy to the host."""
        self._check()
        absent = [name for name in self.names if not (self.study / name).exists()]
        if absent:
            raise UsageError(f"There is no {absent[0]} in {self.study} to push.")
        base, target = self._ends()
        # Where rows there could not be read, they are not replaced.
        options = [] if self._take_rows() else ["--ignore-existing"]
        files = [file for file in self._databases(base) if (base / file).is_file()]
        excluded = [f"--exclude=/{file}" for file in files]
        self._rsync(base, [*excluded, *self._paths(base), target])
        if files:
            self._rsync(base, [*options, *files, target])

    def pull(self) -> None:
        """Copy from the host."""
        self._check()
        base, target = self._ends()
        self._take_rows()
        excluded = [f"--exclude=/{file}" for file in self._databases(base)]
        there = [f"{target}./{path}" for path in self._paths(base)]
        self._rsync(base, [*excluded, *there, "./"])

    def _check(self) -> None:
        host = self.host.partition(":")[0]
        if not host or host.startswith("-"):
            raise UsageError(f"{self.host!r} is no host. Name one as for ssh: me@cluster")
        outside = [name for name in self.names if _is_outside(name)]
        if outside:
            raise UsageError(f"{outside[0]} is not in the study. Name folders in {self.study}.")

    def _ends(self) -> tuple[Path, str]:
        """Return from where on paths are the same on both sides, here and there."""
        host, colon, path = self.host.partition(":")
        if colon and path:
            return self.study, f"{host}:{path.rstrip('/')}/"
        home = Path.home().resolve()
        if not self.study.resolve().is_relative_to(home):
            raise UsageError(
                f"{self.study} is not below {home}, so nothing tells where it is on the host. Say "
                f"so: {host}:path/of/the/study"
            )
        return home, f"{host}:"

    def _paths(self, base: Path) -> Iterator[str]:
        inside = self.study.resolve().relative_to(base.resolve())
        for name in self.names:
            path = str(PurePosixPath(inside / name))
            yield path if (self.study / name).is_file() else f"{path}/"

    def _databases(self, base: Path) -> Iterator[str]:
        """Yield the paths of the databases that there may be."""
        for name, path in zip(self.names, self._paths(base), strict=True):
            if path[-1] == "/":
                yield f"{path}{CALC_DIR}/{DATABASE}" if name == "." else f"{path}{DATABASE}"

    def _take_rows(self) -> bool:
        """Add the rows of the databases on the host to those here, and tell whether it has any."""
        base, target = self._ends()
        databases = list(self._databases(base))
        # Which of them are there, only rsync can tell.
        there = [f"{target}./{file}" for file in databases]
        if self.dry_run or not there:
            return True
        with tempfile.TemporaryDirectory(prefix="psyflow-") as folder:
            command = ["rsync", *_OPTIONS, "--ignore-missing-args", *there, "./"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            for file in databases:
                self._add(Path(folder) / file, base / file)
        return done.returncode == 0

    def _add(self, pulled: Path, database: Path) -> None:
        if pulled.is_file():
            make_folder(database.parent)
            if n_rows := Database(database, math.nan).add_from(pulled):
                self.tell(f"{n_rows} rows of {self.host} are now in {database}")

    def _rsync(self, base: Path, words: Sequence[str]) -> None:
        besides = [f"--exclude={name}" for name in _NOT_RESULTS] if "." in self.names else []
        options = [*_OPTIONS, *besides, *(["--dry-run"] if self.dry_run else [])]
        self._run(base, ["rsync", *options, *words])

    def _run(self, folder: Path, command: Sequence[str]) -> None:
        try:
            with subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, text=True, errors="replace"
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    self.tell(line.rstrip("\n"))
        except FileNotFoundError:
            raise UsageError("There is no program rsync here. Install it.") from None
        if process.returncode:
            raise PsyflowError(
                f"rsync ended with {process.returncode}. What it has copied stays; the same "
                "command goes on from there."
            )


def _is_outside(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts
