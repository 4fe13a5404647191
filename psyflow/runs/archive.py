"""Runs that are put aside before others take their place, and that come back from there.

A run comes back by way of a folder beside the archive, to which it is renamed whole: so whoever
comes after a crash finds which one was on its way, and moves the rest.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from psyflow.command.packs import FOLDER as PACKS
from psyflow.exceptions import PsyflowError
from psyflow.outcomes.table import Items
from psyflow.record.archived import Archive
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.earlier import keep_plan, results_of, with_own_result
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan, new_run_id
from psyflow.system.files import make_folder, move, sync_folder, write_atomic
from psyflow.system.place import is_same_file
from psyflow.system.reading import is_there, names_in, read_whole
from psyflow.work.psetfolders import folder_name

__all__ = [
    "Why",
    "archive_of",
    "bring_back",
    "finish_bringing_back",
    "make_way",
    "put_aside",
    "put_folders_aside",
    "replaceable",
]


@dataclass(frozen=True)
class Why:
    """What the archive says of how a run came there.

    Attributes
    ----------
    time : float
        In seconds since 1970.
    reasons : list of str
    """

    time: float
    reasons: list[str]

    @classmethod
    def read(cls, layout: Layout) -> Why | None:
        """Return what is noted in a folder of the archive; None if nothing is, as of old."""
        try:
            fields = json.loads(read_whole(layout.why_archived))
            return cls(float(fields["time"]), [str(reason) for reason in fields["reasons"]])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def archive_of(assessment: Assessment, next_id: str, paths: Sequence[Path]) -> Path:
    """Return where some of the results go before the run `next_id`; nothing is there already."""
    plan, layout = assessment.plan, assessment.layout
    name = plan.run_id if plan is not None else f"before-{next_id}"
    archive, number = layout.archive(name), 1
    while any(is_there(archive / path.name) for path in paths):
        number += 1
        archive = layout.archive(f"{name}-{number}")
    return archive


def replaceable(
    assessment: Assessment, *, is_whole: bool = False, keeps_folders: bool = False
) -> list[Path]:
    """Return what of the results is not of the present code, in the order of its going.

    Parameters
    ----------
    assessment : Assessment
    is_whole : bool
        Whether all of the run goes, of whatever code it is.
    keeps_folders : bool
        Whether what psets keep stays: it is of the code of what comes in place of the run, too.
    """
    layout = assessment.layout
    made = [*results_of(layout, assessment.plan), layout.items_file, layout.new_items_file]
    if assessment.code_changes or is_whole:
        # The plan goes last: until then, whoever comes next archives the rest.
        made += [] if keeps_folders else [layout.psets]
        made += [layout.out, layout.plans, layout.plan_file]
    return [path for path in made if is_there(path)]


def put_aside(
    assessment: Assessment,
    reasons: Sequence[str],
    *,
    is_whole: bool = False,
    keeps_folders: bool = False,
) -> Path | None:
    """Put what is not of the present code, or all of a run, into the archive; see `replaceable`.

    Returns
    -------
    Path or None
        Where it is now; None if there was nothing.
    """
    paths = replaceable(assessment, is_whole=is_whole, keeps_folders=keeps_folders)
    if not paths:
        return None
    archive = make_folder(archive_of(assessment, new_run_id(), paths))
    why = assessment.layout.moved_to(archive).why_archived
    if not is_there(why):
        write_atomic(why, json.dumps({"time": time.time(), "reasons": list(reasons)}, indent=1))
    about = ItemsFile(assessment.layout).about()
    if about is not None and assessment.layout.plans not in paths:
        keep_plan(assessment.layout, about.run_id, archive)
    for path in paths:
        move(path, _free(archive / path.name))
    return archive


def _free(target: Path) -> Path:
    """Return a name for what goes to `target`, where results of one name may be of two folders."""
    others = (target.with_stem(f"{target.stem}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([target], others) if not is_there(path))


def put_folders_aside(assessment: Assessment, items: Items) -> None:
    """Put what some psets keep into the archive: it is not of what they are evaluated for now."""
    layout = assessment.layout
    keys = assessment.frozen.keys(items).tolist()
    names = {folder_name((low, high)) for low, high in keys}
    archive = archive_of(assessment, new_run_id(), []) / layout.psets.name
    for name in names_in(layout.psets):
        # Those of repeated psets have a number besides.
        if name.partition("-")[0].partition(".")[0] in names:
            move(layout.psets / name, make_folder(archive) / name)


def make_way(assessment: Assessment, tell: Callable[[str], None]) -> bool:
    """Put results of other code aside; return whether those of this code were in the archive.

    Then they are the present ones now. What becomes of all these is told in one line.
    """
    archive = Archive(assessment)
    archived = archive.best
    if archived is None and not assessment.dirt:
        return False
    reasons = assessment.dirt or ["the archive had more results of the same code"]
    is_whole = archived is not None
    aside = put_aside(
        assessment, reasons, is_whole=is_whole, keeps_folders=is_whole and not assessment.dirt
    )
    tell("; ".join(_about_moves(assessment, archive, aside)))
    if archived is not None:
        bring_back(assessment.layout, archived.run.layout)
    return archived is not None


def _about_moves(assessment: Assessment, archive: Archive, aside: Path | None) -> Iterator[str]:
    """Say what becomes of the results that are there, and of those in the archive."""
    if assessment.dirt:
        first, *others = assessment.dirt
        yield f"{first} (and {len(others)} more)" if others else first
    if aside is not None:
        yield f"earlier results are in {aside}"
    if (archived := archive.best) is not None:
        number = f"{archived.n_rows} of {assessment.n_items}"
        yield f"{number} results of this code are back from the archive ({archived.folder.name})"
    for run in archive.runs:
        if run.problem:
            yield f"{run.folder} is of this code too, but is not used: {run.problem}"


def bring_back(layout: Layout, archived: Layout) -> None:
    """Make a run in the archive the present one; nothing may be in its way."""
    move(archived.root, make_folder(layout.returning) / archived.root.name)
    finish_bringing_back(layout)


def finish_bringing_back(layout: Layout) -> None:
    """Put in its place what is left of a run that is on its way back from the archive."""
    if not is_there(layout.returning):
        return
    for folder in sorted(layout.returning.iterdir()):
        place = with_own_result(layout.moved_to(folder))
        for source, target in _moves(place, layout):
            _move_to_free(source, target)
        for folder_of_psets, target in _folders_of_psets(place, layout):
            _move_to_free(folder_of_psets, target)
        _note_name_of_result(layout)
        place.why_archived.unlink(missing_ok=True)
        _clear_away(folder, layout.archive(folder.name))
    layout.returning.rmdir()
    sync_folder(layout.root)


def _move_to_free(source: Path, target: Path) -> None:
    if is_there(source) and not is_there(target):
        make_folder(target.parent)
        move(source, target)


def _folders_of_psets(place: Layout, layout: Layout) -> Iterator[tuple[Path, Path]]:
    """Yield what psets keep in the archive and in a run, where both have something."""
    for name in [*names_in(place.psets), *(f"{PACKS}/{n}" for n in names_in(place.psets / PACKS))]:
        yield place.psets / name, layout.psets / name


def _moves(place: Layout, layout: Layout) -> Iterator[tuple[Path, Path]]:
    is_alike = place.result.suffix == layout.result.suffix
    yield place.result, layout.result if is_alike else layout.root / place.result.name
    yield place.items_file, layout.items_file
    yield place.new_items_file, layout.new_items_file
    yield place.psets, layout.psets
    yield place.out, layout.out
    yield place.plans, layout.plans
    yield place.plan_file, layout.plan_file


def _note_name_of_result(layout: Layout) -> None:
    """Have the records of a run that is back say where its result is now: loading goes by them."""
    try:
        plan = Plan.read(layout.plan_file)
    except PsyflowError:
        return  # whoever asks for the run is told of that
    about = ItemsFile(layout).about()
    if about is None or plan is None or not is_there(plan.frozen.plan_file):
        return
    if not is_same_file(Path(about.result), Path(plan.result)):
        ItemsFile(layout).follow(Path(plan.base))
        replace(plan, result=about.result).write()


def _clear_away(folder: Path, archive: Path) -> None:
    """Remove a folder that is empty now; what somebody else has put into it goes back."""
    try:
        folder.rmdir()
    except OSError:
        move(folder, make_folder(archive.parent) / archive.name)
