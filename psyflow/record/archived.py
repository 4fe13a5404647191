"""What the archive has of the present code. Writes nothing."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path

from psyflow.exceptions import PsyflowError
from psyflow.record.assess import Assessment
from psyflow.record.earlier import with_own_result
from psyflow.record.layout import Layout

__all__ = ["Archive", "Archived"]

_OF_UNKNOWN_FILES = "nothing says what was in the files that its psets name"


@dataclass(frozen=True)
class Archived:
    """A run in the archive whose results are of the present code.

    Attributes
    ----------
    run : Assessment
    n_rows : int
        For how many items of the space it has a result.
    problem : str
        Why it is not to be used; empty if nothing is wrong with it.
    """

    run: Assessment
    n_rows: int
    problem: str = ""

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.run.layout.root


class Archive:
    """The archive of a task, beside what there is.

    Parameters
    ----------
    present : Assessment
        Of what there is, of which the runs in the archive are looked at as if they were it.
    """

    def __init__(self, present: Assessment) -> None:
        self._present = present

    @functools.cached_property
    def best(self) -> Archived | None:
        """The run that has more results of the present code than there are.

        The one with the most of them, and of several the latest.
        """
        n_here = 0 if self._present.dirt else self._present.n_done
        if n_here == self._present.n_items:
            return None
        runs = [run for run in self.runs if run.n_rows > n_here and not run.problem]
        return max(runs, key=lambda run: run.n_rows, default=None)

    @functools.cached_property
    def runs(self) -> list[Archived]:
        """The runs of the present code, the latest first."""
        found = map(self._look_at, map(with_own_result, self._present.layout.archived()))
        return [run for run in found if run is not None]

    def _look_at(self, layout: Layout) -> Archived | None:
        run = self._present.of_archived(layout)
        with warnings.catch_warnings(record=True) as damage:
            warnings.simplefilter("always")
            try:
                if not run.is_known or run.code_changes or (run.plan is None and run.dirt):
                    return None
                problems = [*run.dirt, *run.damage(), *(str(found.message) for found in damage)]
                n_rows = run.n_done
                if run.is_of_unknown_files:
                    return Archived(run, n_rows, _OF_UNKNOWN_FILES)
            except (PsyflowError, OSError) as error:
                return Archived(run, 0, str(error))
        # With some of its items damaged, the others are worth as much.
        is_usable = n_rows and not (run.dirt or [*run.damage()])
        return Archived(run, n_rows, "" if is_usable else "; ".join(problems))
