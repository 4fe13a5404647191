"""Paths as records hold them: from the run's folder on, where they move along with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from psyflow.conventions import study_of

__all__ = ["Move", "located", "portable"]


def portable(path: Path, root: Path, study: Path) -> str:
    """Return how a record in `root` writes `path`.

    Parameters
    ----------
    path, root : Path
        Absolute.
    study : Path
        What is copied and moved as a whole. If either of the others is elsewhere, the path is
        kept as it is.

    Examples
    --------
    >>> study = Path("/home/me/study")
    >>> portable(study / "results" / "t.npz", study / "psy-work" / "t", study)
    '../../results/t.npz'
    >>> portable(Path("/data/t.npz"), study / "psy-work" / "t", study)
    '/data/t.npz'
    """
    moves_along = path.is_relative_to(study) and root.is_relative_to(study)
    return os.path.relpath(path, root) if moves_along else str(path)


def located(recorded: str, root: Path) -> Path:
    """Return the path that a record in `root` means.

    Links are not followed, for `..` means the folder in which users see the run.

    Examples
    --------
    >>> str(located("../../results/t.npz", Path("/backup/study/psy-work/t")))
    '/backup/study/results/t.npz'
    """
    return Path(os.path.normpath(root / recorded))


@dataclass(frozen=True)
class Move:
    """From where to where a study was moved or copied.

    Examples
    --------
    >>> move = Move.of("/home/me/study/psy-tasks/task_t.py", "/backup/study/psy-tasks/task_t.py")
    >>> move("/home/me/study/data/a.csv"), move("/data/b.csv"), move("data/c.csv")
    ('/backup/study/data/a.csv', '/data/b.csv', 'data/c.csv')
    """

    old: Path
    new: Path

    @classmethod
    def of(cls, old: str, new: str) -> Move:
        """Return the move of the study that had the task file `old` and has `new`."""
        return cls(study_of(Path(old).parent), study_of(Path(new).parent))

    def __call__(self, path: str) -> str:
        """Return where the file of a path is now."""
        if self.old == self.new or not Path(path).is_relative_to(self.old):
            return path
        return (self.new / Path(path).relative_to(self.old)).as_posix()
