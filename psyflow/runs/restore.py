"""What is in the archive of a task, and putting it back by name."""

from __future__ import annotations

import calendar
import dataclasses
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from psyflow.exceptions import PsyflowError, UnknownNameError, UsageError
from psyflow.record import refusals
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.earlier import with_own_result
from psyflow.record.layout import RUN_ID, Layout, id_in, runs_beginning
from psyflow.record.ownership import check_folder
from psyflow.record.recover import recover
from psyflow.runs.archive import Why, bring_back, put_aside
from psyflow.runs.run import Run

__all__ = ["Restored", "Shelved", "in_archive", "restore", "shelved"]


@dataclass(frozen=True)
class Shelved:
    """A run in the archive.

    Attributes
    ----------
    name : str
        Of its folder: the id of the run, or ``before-`` and that of the one that came after it.
    folder : Path
    time : float
        When it began, in seconds since 1970; where nobody knows, when it came there.
    n_rows, n_items : int or None
        How many of its own items have a result; None if that cannot be told.
    is_present_code : bool or None
        Whether its results are of the present code; None if nobody knows.
    changes : list of str
        What has changed since in the code, as far as it is known.
    commit : str or None
        Of the task folder, when the run began.
    why : list of str
        Why it came there; empty if that was not noted.
    problem : str
        Why it cannot be read; empty if it can.
    """

    name: str
    folder: Path
    time: float
    n_rows: int | None
    n_items: int | None
    is_present_code: bool | None
    changes: list[str]
    commit: str | None
    why: list[str]
    problem: str


@dataclass(frozen=True)
class Restored:
    """What `restore` has done, or would do.

    Attributes
    ----------
    archived : Path
        Where the run was.
    aside : Path or None
        Where what was there before is now; None if nothing was there.
    now : Assessment
        Of what is there now.
    """

    archived: Path
    aside: Path | None
    now: Assessment


def shelved(run: Run) -> list[Shelved]:
    """Return what is in the archive of a task, the latest first. Writes nothing."""
    code = run.assess().code
    found = []
    for layout in map(with_own_result, run.layout.archived()):
        there = Assessment(run.task, layout=layout)
        there.code = code
        found.append(_shelved(there))
    return found


def in_archive(run: Run, name: str) -> Layout:
    """Return the run in the archive whose name, or id, begins with `name`.

    Raises
    ------
    UnknownNameError
        If there is none.
    UsageError
        If there are several.
    """
    runs = {layout.root.name: layout for layout in run.layout.archived()}
    found = runs_beginning(name, runs)
    if not found:
        raise UnknownNameError("run in the archive", name, runs)
    if len(found) > 1:
        raise UsageError(f'"{name}" may be any of: {", ".join(found)}. Type more of the name.')
    return with_own_result(runs[found[0]])


def restore(run: Run, archived: Layout) -> Restored:
    """Make a run in the archive the present one, whatever its code; the present one goes there.

    Raises
    ------
    UsageError
        If jobs of the task are alive.
    RunHeldError
        If somebody else holds the run.
    TaskFileError
        If it is a run of another task file.
    """
    run.take_hold()
    try:
        run.way.wait_for_orphans()
        check_restorable(run, archived)
        command = f"psy restore {run.task.name} {archived.root.name}"
        aside = put_aside(run.assess(), [command], is_whole=True)
        bring_back(run.layout, archived)
        return Restored(archived.root, aside, run.assess())
    finally:
        run.release()


def check_restorable(run: Run, archived: Layout) -> None:
    """Raise an error if a run in the archive may not be put back now; see `restore`."""
    if alive := run.alive():
        raise UsageError(refusals.not_replaced(run.task, alive))
    if not any(archived.root.iterdir()):
        raise UsageError(f"{archived.root} is empty, so there is nothing to restore.")
    check_folder(archived, run.task.path)


def _shelved(there: Assessment) -> Shelved:
    layout, why, problem = there.layout, Why.read(there.layout), ""
    with warnings.catch_warnings(record=True) as damage:
        warnings.simplefilter("always")
        try:
            n_rows, n_items = _numbers(there)
            problem = there.about_gone()
        except (PsyflowError, OSError) as error:
            n_rows, n_items, problem = None, None, str(error)
    plan = there.plan
    made_by = plan.made_by if plan is not None else {}
    return Shelved(
        name=layout.root.name,
        folder=layout.root,
        time=float(made_by.get("time") or _time_in(layout.root.name)),
        n_rows=n_rows,
        n_items=n_items,
        is_present_code=_is_present_code(there),
        changes=[change.describe() for change in there.code_changes],
        commit=made_by.get("git_commit"),
        why=why.reasons if why is not None else [],
        problem=problem or "; ".join(str(found.message) for found in damage),
    )


def _numbers(there: Assessment) -> tuple[int | None, int | None]:
    """Return how many rows a run has for its own space, and how many psets that has."""
    if there.plan is not None:
        plan = dataclasses.replace(there.plan, result=str(there.layout.result))
        found = recover(plan, there.task.store)
        return found.n_done, len(found.frozen)
    about = ItemsFile(there.layout).about()
    return (None, None) if about is None else (about.n_rows, about.n_items)


def _is_present_code(there: Assessment) -> bool | None:
    if not there.is_known:
        return None
    return not there.code_changes if there.plan is not None else not there.dirt


def _time_in(name: str) -> float:
    """Return the time that is part of a run id.

    Examples
    --------
    >>> _time_in("before-19700102T000000-abcdef")
    86400.0
    """
    found = RUN_ID.match(id_in(name))
    assert found is not None
    return float(calendar.timegm(time.strptime(found[0][:15], "%Y%m%dT%H%M%S")))
