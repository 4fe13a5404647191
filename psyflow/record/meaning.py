"""What a task file said of its columns when a plan was made: in plain values, beside the plan.

So a folder of a run that was copied, sent or archived still tells units and axes, without any
code being run. Of what is derived it only tells the names; the functions are in the frozen code.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from psyflow.exceptions import PsyflowWarning
from psyflow.fingerprint import CONF_FILE, freeze_code
from psyflow.fingerprint.frozen import copies_in
from psyflow.record.plan import Plan
from psyflow.system.files import write_atomic
from psyflow.system.reading import ask_again, is_there, read_whole
from psyflow.tasks.signature import Takes

if TYPE_CHECKING:
    from psyflow.tasks import TaskDef

__all__ = ["Said", "code_with_derived", "is_edited", "may_say_something", "record"]

FORMAT = 1
_PLAIN = "biufUMm"
# What binds a name without naming it may bind these.
_SAYING = re.compile(
    rb"\b(coords|derive|dims|labels|units|globals|vars|exec|setattr)\b|import\s*\*"
)
T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """What a task file says of its columns.

    Attributes
    ----------
    dims, coords, units, labels : mapping
        The settings of these names.
    derived : mapping from str to Takes
        The names of the columns that are derived, and of what they are derived from.
    """

    dims: Mapping[str, list[str]] = field(default_factory=dict)
    coords: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, Takes] = field(default_factory=dict)

    @classmethod
    def of(cls, task: TaskDef) -> Said:
        """Return what a task that was loaded says."""
        derived = {name: Takes.of(function) for name, function in task.derive.items()}
        return cls(task.dims, task.coords, task.units, task.labels, derived)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was said."""
        return not (self.dims or self.coords or self.units or self.labels or self.derived)

    @classmethod
    def read(cls, plan: Plan) -> Said | None:
        """Return what was said when a plan was made; None if that was nothing, or nobody noted it.

        Warns
        -----
        PsyflowWarning
            If the record is damaged.
        """
        path = plan.frozen.meaning
        try:
            return cls._from_json(ask_again(path.read_bytes, path))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"{path} is damaged ({error}), so nothing is known of what columns mean."
            warnings.warn(PsyflowWarning(message), stacklevel=2)
            return cls()

    @classmethod
    def _from_json(cls, text: bytes) -> Said:
        fields = json.loads(text)
        return cls(
            dims=_each(fields["dims"], lambda axes: [str(axis) for axis in axes]),
            coords=_each(fields["coords"], _places),
            units=_each(fields["units"], str),
            labels=_each(fields["labels"], str),
            derived=_each(fields["derived"], _takes),
        )

    def to_json(self) -> str:
        """Return the record."""
        coords = {axis: _record_of(places) for axis, places in self.coords.items()}
        derived = {name: asdict(takes) for name, takes in self.derived.items()}
        return json.dumps({**asdict(self), "format": FORMAT, "coords": coords, "derived": derived})


def _each(fields: Mapping[str, Any], convert: Callable[[Any], T]) -> dict[str, T]:
    return {str(name): convert(value) for name, value in fields.items()}


def _takes(fields: Mapping[str, Any]) -> Takes:
    return Takes(tuple(fields["required"]), tuple(fields["optional"]), bool(fields["is_any"]))


def _record_of(places: Any) -> object:
    if isinstance(places, str):
        return places
    values = places.astype(str) if places.dtype.kind == "M" else places
    values = places.astype("i8") if places.dtype.kind == "m" else values
    return {"dtype": places.dtype.str, "values": values.tolist()}


def _places(recorded: Any) -> Any:
    if isinstance(recorded, str):
        return recorded
    import numpy as np  # what only reads units does without

    dtype = np.dtype(recorded["dtype"])
    if dtype.kind not in _PLAIN:
        raise ValueError(f"values of dtype {dtype}")
    return np.array(recorded["values"], dtype)


def record(plan: Plan, task: TaskDef) -> None:
    """Note in the folder of a plan what a task says of its columns, if that is not noted there.

    The code that a plan froze stays; what is derived is kept beside that if it was edited since.
    """
    said = Said.of(task)
    text = "" if said.is_nothing else said.to_json()
    path = plan.frozen.meaning
    if is_there(path) and not text:
        path.unlink()
    elif text and not (is_there(path) and path.read_text() == text):
        write_atomic(path, text)
    if said.derived and is_edited(plan, code_with_derived(plan)):
        shutil.rmtree(plan.frozen.meaning_code, ignore_errors=True)
        freeze_code(task.path, task.conf_path, plan.frozen.meaning_code, task.modules_elsewhere())


def code_with_derived(plan: Plan) -> Path:
    """Return the folder with the code of what is derived, as it was noted last."""
    later = plan.frozen.meaning_code
    return later if later.is_dir() else plan.frozen.code


def is_edited(plan: Plan, code: Path) -> bool:
    """Tell whether files of the task are others than their copies in a folder."""
    conf = Path(plan.task_file).with_name(CONF_FILE)
    if conf.is_file() and not (code / CONF_FILE).is_file():
        return True
    copies = copies_in(code, Path(plan.task_file).parent)
    return any(not _are_equal(copy, original) for copy, original in copies)


def _are_equal(copy: Path, original: Path) -> bool:
    try:
        return read_whole(copy) == read_whole(original)
    except OSError:
        return False


def may_say_something(plan: Plan) -> bool:
    """Tell, without running the task file as it is now, whether it may say anything of columns."""
    task_file = Path(plan.task_file)
    files = [task_file, task_file.with_name(CONF_FILE)]
    return any(_SAYING.search(read_whole(file)) for file in files if file.is_file())
