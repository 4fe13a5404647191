"""The plan: what a run froze when it began, and everything its jobs go by."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import socket
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import (
    DamagedFileError,
    LaterFormatError,
    PsyflowWarning,
    StoreError,
    UnmakeableValuesError,
    UnstableValueError,
    UntrustedFileError,
)
from psyflow.record.layout import Layout, PlanLayout
from psyflow.record.paths import Move
from psyflow.record.planfile import FORMAT, fields_of, read_record, record_of
from psyflow.system.files import atomic_path, write_atomic
from psyflow.system.place import Place, is_same_file
from psyflow.system.reading import is_there, no_pipe
from psyflow.system.trust import require_own

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from psyflow.pspace.keys import Keys
    from psyflow.record.frozen import FrozenSpace
    from psyflow.tasks import TaskDef

__all__ = [
    "Plan",
    "digest_of",
    "has_run_of",
    "new_run_id",
    "save_items",
]


@dataclass(frozen=True)
class Plan:
    """What a run froze when it began.

    Attributes
    ----------
    run_id : str
    task, task_file, base : str
        Name of the task, its file, and the folder that relative paths of its settings start from.
    root, result : str
        The run's folder and its result file. On the disk there is no `root`, for that is where the
        plan is read, and the other paths go from there as far as they are in the same study: so
        a plan in a copied or moved study is of that study.
    n_items, n_pending, n_jobs, pool_size : int
    batch_of_job : list of int
        Which batch each process job draws from.
    space_digest : str
        Of the frozen space, see `FrozenSpace`.
    fingerprint, space_code : dict
        What ``execute`` and ``setup``, and what ``pspace``, depend on; as JSON.
    accepted : list of str
        Digests of earlier fingerprints whose results were declared to be those of this one, which
        has made none since: should the code become one of these again, they are still its own.
    backend, scheduler : str
    exclude : list of str
        Names to leave out of the result.
    timeout, retries, retry_on, max_failures, max_tasks_per_child, load_once
        The task's settings of these names; `max_failures` as a number of items.
    conf_file : str or None
    time_limit : float or None
        Seconds after which the scheduler ends a process job.
    n_cpus, n_gpus : int or None
        Processors and GPUs of a process job, if its scheduler is asked for them.
    is_afar : bool
        Whether its process job hands the items to an engine that shares no files with it.
    counts_cpus : bool
        Whether each job has as many workers as processors, and not `pool_size`.
    attempt : int
        How often the items have been planned because their jobs failed, this time included.
    reason : str or None
        Why the jobs of the plan before did not finish: ``oom``, ``timeout``, …
    chain : int
        How many plans before it this one continues.
    max_chain : int
        The task's setting of this name.
    origin : str
        The task file, absolute and with links resolved, as it was when the plan was made.
    contents : dict or None
        Of the paths in the space, the digests of the files whose content counts, as it was when
        the plan was made. None in plans of old, which did not look at it.
    hashed : dict
        What files that count with their content were like, so that nobody has to read them again:
        see `FileDigests`.
    unsettled : dict
        The stamps of the other files that count with their content: those that had just changed.
    renewals : list of list of int
        When its items were asked for anew, see `Renewals`.
    cut_off : list of int
        Items that jobs of the plans before, which had as much time, had to break off, each as
        often as that happened.
    place : Place or None
        The folder in which the plan was made, and in which alone its jobs are at work. None in
        plans of old.
    made_by : dict
        Provenance: when, where, which Python, commit and package versions.
    """

    run_id: str
    task: str
    task_file: str
    base: str
    root: str
    result: str
    n_items: int
    n_pending: int
    n_jobs: int
    pool_size: int
    batch_of_job: list[int]
    space_digest: str
    fingerprint: dict[str, Any]
    space_code: dict[str, Any]
    backend: str
    scheduler: str
    exclude: list[str]
    timeout: float | None = None
    retries: int = 0
    retry_on: list[str] = field(default_factory=list)
    max_failures: int | None = None
    max_tasks_per_child: int | None = None
    load_once: bool = True
    conf_file: str | None = None
    time_limit: float | None = None
    n_cpus: int | None = None
    n_gpus: int | None = None
    is_afar: bool = False
    counts_cpus: bool = False
    attempt: int = 1
    reason: str | None = None
    chain: int = 0
    max_chain: int = 0
    origin: str = ""
    contents: dict[str, str] | None = None
    hashed: dict[str, list[str]] = field(default_factory=dict)
    unsettled: dict[str, str] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    renewals: list[list[int]] = field(default_factory=list)
    cut_off: list[int] = field(default_factory=list)
    place: Place | None = None
    made_by: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def layout(self) -> Layout:
        """The paths of the run."""
        return Layout(Path(self.root), self.task, Path(self.result))

    @property
    def frozen(self) -> PlanLayout:
        """The paths of what this plan froze."""
        return self.layout.plan(self.run_id)

    @property
    def has_earlier(self) -> bool:
        """Whether there were results, or failures, that it leaves as they are."""
        return self.n_pending < self.n_items

    @property
    def is_at_home(self) -> bool:
        """Whether it lies in the folder that it was made in, not in a copy of that."""
        return self.place is None or self.place.is_here(self.layout.root)

    @property
    def fingerprint_digest(self) -> str:
        """One text for the whole fingerprint."""
        return digest_of(self.fingerprint)

    def equivalents(self, digest: str) -> list[str]:
        """Return the digests of the codes, but for one, whose results there are, as accepted."""
        return sorted({self.fingerprint_digest, *self.accepted} - {digest})

    @functools.cached_property
    def stamps(self) -> dict[str, str]:
        """What tells whether files that count were written to, by paths from the task folder."""
        return {name: stamp for name, (stamp, _) in self.hashed.items()} | self.unsettled

    def freeze(self, space: FrozenSpace) -> None:
        """Write the space of this plan, and its keys too if its values may not last."""
        space.save(self.frozen.space, self.layout.root)
        if not space.is_plain:
            save_items(self.frozen.keys, space.keys())

    @property
    def needs_code(self) -> bool:
        """Whether the user's code has to be loaded before the space, of whose values it is."""
        return is_there(self.frozen.keys)

    def load_space(self) -> FrozenSpace:
        """Load the space that this plan froze.

        Raises
        ------
        DamagedFileError
            If it is not what was frozen.
        MissingFileError
            If it is gone.
        """
        from psyflow.record.frozen import FrozenSpace
        from psyflow.record.renewals import Renewals

        frozen = FrozenSpace.load(self.frozen.space, self.space_digest)
        renewals = Renewals.from_json(self.renewals)
        return replace(frozen, contents=self.contents or {}, renewals=renewals)

    def keys(self, by: FrozenSpace) -> Keys:
        """Return the keys of the psets of this plan, by the defaults of the space `by`.

        Paths in a study that was moved or copied are those of the same files in it now.

        Raises
        ------
        StoreError
            If neither the frozen space nor its keys can be read.
        """
        import numpy as np  # what only reads plans does without

        try:
            planned = self.load_space()
            keys = by.keys_of(planned.space_with(self._move), planned.defaults)
        except UntrustedFileError:
            # What goes with it could not be read either, and better now than after the run.
            raise
        except (StoreError, UnstableValueError) as error:
            # Of a class that has changed since, what was frozen may not even be whole.
            if _is_of_lost_member(error) or not self.frozen.keys.exists():
                raise
            kept: Keys = np.load(no_pipe(self.frozen.keys), allow_pickle=False)
            return kept
        if self._has_mistaken_members(planned):
            raise UnmakeableValuesError(f"The values in {self.frozen.space} are others now.")
        return keys

    def _has_mistaken_members(self, planned: FrozenSpace) -> bool:
        """Tell whether psets would be taken for others: enumerations have swapped their values."""
        import numpy as np  # what only reads plans does without

        from psyflow.pspace.keys import isin

        try:
            kept = np.load(no_pipe(self.frozen.keys), allow_pickle=False)
        except (OSError, ValueError):
            return False  # All values are plain, or it is damaged.
        present = planned.keys()
        others = present[(present != kept).any(axis=1)] if present.shape == kept.shape else kept
        return bool(len(others) and isin(others, kept).any())

    def contents_here(self) -> dict[str, str]:
        """Return `contents` by the paths that the files have now, should the study have moved."""
        return {self.path_here(path): found for path, found in (self.contents or {}).items()}

    def path_here(self, path: str) -> str:
        """Return the path that a file of the space has now."""
        return self._move(path)

    def paths_here(self) -> set[str]:
        """Return the paths among the values of the space, in the same way; none if it is lost."""
        try:
            return {self._move(path) for path in self.load_space().paths}
        except StoreError:
            return set()

    @functools.cached_property
    def _move(self) -> Move:
        return Move.of(self.origin or self.task_file, self.task_file)

    def load_task(self) -> TaskDef:
        """Load the task as this plan froze it, which runs its code.

        Raises
        ------
        UntrustedFileError
            If the code is not known to be of this user's making.
        """
        from psyflow.tasks import Config, TaskDef

        require_own(self.frozen.code, self.layout.origin(self.run_id))
        conf = self.conf_file or Config()
        return TaskDef.load_frozen(self.frozen.code, self.task_file, conf, self.base)

    def heading(self, step: str) -> str:
        """Return the line that tells in a log where the output of a job begins."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        process = f"process {os.getpid()} on {socket.gethostname()}"
        return f"=== {now} {self.task}:{step} of {self.run_id}, {process}"

    def write(self) -> None:
        """Make this the run's present plan: first for its jobs, then for everybody."""
        self.write_for_jobs()
        write_atomic(self.layout.plan_file, self._to_json())

    def write_for_jobs(self) -> None:
        """Write the copy that its jobs go by, and whoever finds what they have left."""
        write_atomic(self.frozen.plan_file, self._to_json())

    def _to_json(self) -> str:
        return json.dumps(record_of(asdict(self)), indent=1)

    @classmethod
    def read(cls, path: Path) -> Plan | None:
        """Read a plan; None if there is none.

        Raises
        ------
        DamagedFileError
            If the file is no plan.
        PsyflowError
            If a later psyflow wrote it.
        """
        record = read_record(path)
        if record is None:
            return None
        try:
            return cls(**fields_of(record, path, cls.__dataclass_fields__))
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedFileError(f"{path} is damaged: {error}.") from error

    @classmethod
    def present(cls, layout: Layout) -> Plan | None:
        """Read the present plan of a run; if its file is damaged, the copy for its jobs."""
        copies = sorted(layout.plans.glob("*/plan.json"), reverse=True)
        for path in (layout.plan_file, *copies):
            try:
                plan = cls.read(path)
            except (DamagedFileError, LaterFormatError) as error:
                warnings.warn(PsyflowWarning(str(error)), stacklevel=2)
                continue
            if plan is not None:
                return plan
        return None


def _is_of_lost_member(error: Exception) -> bool:
    """Tell whether a member of an enumeration had another value: its key says only its name."""
    cause = error.__cause__
    return isinstance(cause, ValueError) and "is not a valid" in str(cause)


def digest_of(fingerprint: Mapping[str, Any]) -> str:
    """Return one text for a whole fingerprint, which is as `parts_to_json` gives it."""
    digests = {name: part["digest"] for name, part in fingerprint.items()}
    text = json.dumps(digests, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def has_run_of(taskdir: Path, workdir: Path) -> bool:
    """Tell whether a folder for runs has one of a task in `taskdir`."""
    for file in sorted(workdir.glob("*/plan.json")):
        with contextlib.suppress(StoreError, OSError):
            plan = Plan.read(file)
            if plan is not None and is_same_file(Path(plan.task_file).parent, taskdir):
                return True
    return False


def save_items(path: Path, items: npt.NDArray[np.int64] | Keys) -> None:
    """Write the numbers of items, or their keys, whole and durable."""
    import numpy as np  # what only reads plans does without

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # `np.save` buffers in C, and a disk that is full at the end of that is not told.
        header = np.lib.format.header_data_from_array_1_0(items)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(items).data)


def new_run_id() -> str:
    """Return a run id: the time, in UTC, and something random; sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
