"""How a plan is written: paths in the study go from the run's folder, wherever that may be.

So a plan in a copied or moved study is of that study. Format 1 had absolute paths. A plan whose
items were asked for anew has format 3: to an earlier psyflow, their old results would still count.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from psyflow.exceptions import DamagedFileError, LaterFormatError, StoreError
from psyflow.record.layout import home_of
from psyflow.record.paths import located, portable
from psyflow.system.place import Place, absolute, is_same_file
from psyflow.system.reading import ask_again

__all__ = ["FORMAT", "fields_of", "newer_run", "read_record", "record_of"]

FORMAT = 2
_WITH_RENEWALS = 3
_READ_FORMATS = (1, FORMAT, _WITH_RENEWALS)
_PATHS = ("task_file", "base", "result", "conf_file")


def record_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a plan as they are written."""
    root, study = Path(fields["root"]), Path(fields["base"])
    paths = {name: fields[name] for name in _PATHS if fields[name] is not None}
    kept = {name: value for name, value in fields.items() if name != "root"}
    kept["format"] = _WITH_RENEWALS if fields["renewals"] else FORMAT
    return kept | {name: portable(Path(p), root, study) for name, p in paths.items()}


def read_record(path: Path) -> dict[str, Any] | None:
    """Read what was written; None if there is nothing.

    Raises
    ------
    DamagedFileError
        If the file is no plan.
    LaterFormatError
        If a later psyflow wrote it.
    """
    try:
        fields = json.loads(ask_again(path.read_text, path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {error}.") from error
    if not isinstance(fields, dict):
        raise DamagedFileError(f"{path} is damaged: it is no plan.")
    if fields.get("format") not in _READ_FORMATS:
        raise LaterFormatError(
            f"{path} has format {fields.get('format')}; this psyflow reads the formats up to "
            f"{max(_READ_FORMATS)}. Use the psyflow that wrote it."
        )
    return fields


def newer_run(path: Path, run_id: str) -> str | None:
    """Return the run id of a run's present plan if that is newer than another one.

    No job is at work when a plan takes the place of another one, unless its cluster accepted it
    later than anybody looked. An older plan is what a host of NFS may still see there.

    Parameters
    ----------
    path : Path
        Of the present plan.
    run_id : str
        Of the other one.
    """
    with contextlib.suppress(StoreError, OSError):
        record = read_record(path)
        present = "" if record is None else str(record.get("run_id"))
        return present if present > run_id else None
    return None


def fields_of(record: Mapping[str, Any], path: Path, known: Container[str]) -> dict[str, Any]:
    """Return the fields of a plan of which the file at `path` has the record.

    Raises
    ------
    KeyError, TypeError, AttributeError
        If they are not those of a plan.
    """
    # Another psyflow may write more than this one knows of.
    fields = {name: value for name, value in record.items() if name in known}
    root = _root_of(absolute(path), record["run_id"])
    place = Place.from_json(record.get("place"))
    if "root" in record:
        fields, place = _as_of_now(fields), _place_of_old(fields["root"], root)
    paths = {name: fields[name] for name in _PATHS if fields.get(name) is not None}
    home = home_of(root)
    fields |= {name: str(located(path, home)) for name, path in paths.items()}
    if home != root:
        fields["result"] = str(root / Path(fields["result"]).name)
    return fields | {"root": str(root), "place": place, "format": FORMAT}


def _root_of(path: Path, run_id: str) -> Path:
    """Return the folder of the run in which a plan was read."""
    is_frozen = path.parent.name == run_id and path.parent.parent.name == "plans"
    return path.parents[2] if is_frozen else path.parent


def _as_of_now(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a plan of format 1, whose paths are all absolute, as now written."""
    root, study = Path(fields["root"]), Path(fields["base"])
    paths = {name: fields[name] for name in _PATHS if fields.get(name) is not None}
    return {**fields, **{name: portable(Path(p), root, study) for name, p in paths.items()}}


def _place_of_old(recorded: str, root: Path) -> Place | None:
    """Return the place of a plan of format 1, which says no more of it than a path."""
    is_there = is_same_file(Path(recorded), root)
    return None if is_there else Place(recorded, device=0, inode=0)
