"""Commits of what belongs to a study, and of nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from psyflow.exceptions import UsageError
from psyflow.fingerprint.origins import is_own

__all__ = ["Repository"]

TEMPLATES = "templates"
_MOST_NAMED = 5


@dataclass(frozen=True)
class Repository:
    """The repository that the working directory is in.

    Attributes
    ----------
    folder : Path
        The working directory when the run began.
    """

    folder: Path

    @classmethod
    def here(cls) -> Repository:
        """Return it, if it can be committed to.

        Raises
        ------
        UsageError
            If there is none, or changes are staged in it, which a commit would mix with others.
        """
        repository = cls(Path.cwd())
        if repository._git("rev-parse", "--is-inside-work-tree", fails=True).strip() != "true":
            raise UsageError(
                f"git=True, and {repository.folder} is in no git repository. Type: git init"
            )
        staged = repository._git("diff", "--cached", "--name-only").splitlines()
        if staged:
            more = f" and {len(staged) - _MOST_NAMED} more" if len(staged) > _MOST_NAMED else ""
            raise UsageError(
                f"git=True, and changes are staged that are not committed: "
                f"{', '.join(staged[:_MOST_NAMED])}{more}. Commit them: git commit. Or unstage "
                "them: git reset"
            )
        return repository

    def commit(self, run_id: str, paths: Iterable[Path]) -> None:
        """Commit what a run has changed in a study, if it has.

        Parameters
        ----------
        run_id : str
        paths : iterable of Path
            What the run wrote to.
        """
        top = Path(self._git("rev-parse", "--show-toplevel").rstrip("\n"))
        own = [*_own_code(self.folder), self.folder / TEMPLATES, *paths]
        there = list(dict.fromkeys(str(path) for path in own if self._takes(path, top)))
        if not there:
            return
        self._git("add", "--", *there)
        if self._git("diff", "--cached", "--name-only"):
            message = f"psweep: {self.folder.name}: run_id={run_id}"
            try:
                self._git("commit", "--quiet", "-m", message)
            except UsageError:
                self._git("reset", "--quiet", "--", *there)  # as it was, for the next run
                raise

    def _takes(self, path: Path, top: Path) -> bool:
        """Tell whether a path is there, in this repository, and not ignored."""
        is_inside = (self.folder / path).resolve().is_relative_to(top.resolve())
        if not is_inside or not (self.folder / path).exists():
            return False
        return not self._git("check-ignore", "--", str(path), fails=True)

    def _git(self, *words: str, fails: bool = False) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(self.folder), *words], capture_output=True, text=True
            )
        except FileNotFoundError:
            raise UsageError("git=True, and there is no program git here.") from None
        if done.returncode and not fails:
            raise UsageError(f"git {words[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout if not done.returncode else ""


def _own_code(folder: Path) -> Iterator[Path]:
    """Yield the script that this process runs, and the user's modules in a folder."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        path = Path(file).absolute() if isinstance(file, str) else None
        if path is None or path.suffix != ".py" or not is_own(path):
            continue
        if name == "__main__" or path.is_relative_to(folder):
            yield path
