"""The plan: what a run froze when it began, and everything its jobs go by."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import DamagedFileError, PsyflowError, PsyflowWarning
from psyflow.files import atomic_path, write_atomic
from psyflow.layout import Layout, PlanLayout

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from psyflow.frozen import FrozenSpace
    from psyflow.tasks import TaskDef

__all__ = ["FORMAT", "Plan", "new_run_id", "provenance", "save_items"]

FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What a run froze when it began.

    Attributes
    ----------
    run_id : str
    task, task_file, base : str
        Name of the task, its file, and the folder that relative paths of its settings start from.
    root, result : str
        The run's folder and its result file.
    n_items, n_pending, n_jobs, pool_size : int
    batch_of_job : list of int
        Which batch each process job draws from.
    space_digest : str
        Of the frozen space, see `FrozenSpace`.
    fingerprint, space_code : dict
        What ``execute`` and ``setup``, and what ``pspace``, depend on; as JSON.
    backend, scheduler : str
    exclude : list of str
        Names to leave out of the result.
    timeout, retries, retry_on, max_failures, max_tasks_per_child
        The task's settings of these names; `max_failures` as a number of items.
    conf_file : str or None
    time_limit : float or None
        Seconds after which the scheduler ends a process job.
    n_cpus, n_gpus : int or None
        Processors and GPUs of a process job, if its scheduler is asked for them.
    attempt : int
        How often the items have been planned because their jobs failed, this time included.
    reason : str or None
        Why the jobs of the plan before did not finish: ``oom``, ``timeout``, …
    chain : int
        How many plans before it this one continues.
    max_chain : int
        The task's setting of this name.
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
    conf_file: str | None = None
    time_limit: float | None = None
    n_cpus: int | None = None
    n_gpus: int | None = None
    attempt: int = 1
    reason: str | None = None
    chain: int = 0
    max_chain: int = 0
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
    def fingerprint_digest(self) -> str:
        """One text for the whole fingerprint."""
        digests = {name: part["digest"] for name, part in self.fingerprint.items()}
        text = json.dumps(digests, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def load_space(self) -> FrozenSpace:
        """Load the space that this plan froze.

        Raises
        ------
        DamagedFileError
            If it is not what was frozen.
        MissingFileError
            If it is gone.
        """
        from psyflow.frozen import FrozenSpace

        return FrozenSpace.load(self.frozen.space, self.space_digest)

    def load_task(self) -> TaskDef:
        """Load the task as this plan froze it."""
        from psyflow.tasks import Config, TaskDef

        conf = self.conf_file or Config()
        return TaskDef.load_frozen(self.frozen.code, self.task_file, conf, self.base)

    def heading(self, step: str) -> str:
        """Return the line that tells in a log where the output of a job begins."""
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        process = f"process {os.getpid()} on {socket.gethostname()}"
        return f"=== {now} {self.task}:{step} of {self.run_id}, {process}"

    def write(self) -> None:
        """Make this the run's present plan: first for its jobs, then for everybody."""
        text = json.dumps(asdict(self), indent=1)
        write_atomic(self.frozen.plan_file, text)
        write_atomic(self.layout.plan_file, text)

    @classmethod
    def read(cls, path: Path) -> Plan | None:
        """Read a plan; None if there is none.

        Raises
        ------
        DamagedFileError
            If the file is no plan.
        PsyflowError
            If another psyflow wrote it.
        """
        try:
            fields = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DamagedFileError(f"{path} is damaged: {error}.") from error
        if not isinstance(fields, dict):
            raise DamagedFileError(f"{path} is damaged: it is no plan.")
        if fields.get("format") != FORMAT:
            raise PsyflowError(
                f"{path} has format {fields.get('format')}; this psyflow reads format {FORMAT}. "
                f"Use the psyflow that wrote it, or remove {path.parent}."
            )
        try:
            return cls(**fields)
        except TypeError as error:
            raise DamagedFileError(f"{path} is damaged: {error}.") from error

    @classmethod
    def present(cls, layout: Layout) -> Plan | None:
        """Read the present plan of a run; if its file is damaged, the copy for its jobs."""
        copies = sorted(layout.plans.glob("*/plan.json"), reverse=True)
        for path in (layout.plan_file, *copies):
            try:
                plan = cls.read(path)
            except DamagedFileError as error:
                warnings.warn(PsyflowWarning(str(error)), stacklevel=2)
                continue
            if plan is not None:
                return plan
        return None


def save_items(path: Path, items: npt.NDArray[np.int64]) -> None:
    """Write the numbers of items, whole and durable."""
    import numpy as np  # what only reads plans does without

    with atomic_path(path) as temporary:
        np.save(temporary, items)


def new_run_id() -> str:
    """Return a run id: the time, in UTC, and something random; sorts by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


def provenance(folder: Path) -> dict[str, Any]:
    """Return when, where and with what a run was made.

    Parameters
    ----------
    folder : Path
        The task folder, for the git commit.
    """
    from importlib.metadata import version  # slow to import, and jobs do without it

    system = os.uname()
    return {
        "time": time.time(),
        "host": socket.gethostname(),
        "python": sys.version,
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "git_commit": _git_commit(folder),
        "packages": {name: version(name) for name in ("psyflow", "numpy", "tables", "joblib")},
    }


def _git_commit(folder: Path) -> str | None:
    """Return the commit of `folder`, with ``+`` if files differ from it; None outside of git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=40"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return git.stdout.strip() if git.returncode == 0 else None
