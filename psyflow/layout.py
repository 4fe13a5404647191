"""Where everything of a run is: the one place that knows the names of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STEPS", "Layout"]

STEPS = ("split", "process", "merge")


@dataclass(frozen=True)
class Layout:
    """The paths of one run.

    Attributes
    ----------
    root : Path
        The run's folder, ``<workdir>/<task>``.
    task : str
        Name of the task.
    result : Path
        The result file.

    Examples
    --------
    >>> layout = Layout(Path("psy-work/circle"), "circle", Path("psy-work/circle/result.npz"))
    >>> layout.log("process:0").name
    'circle:process:0.log'
    """

    root: Path
    task: str
    result: Path

    @property
    def plan_file(self) -> Path:
        """The present plan; its appearance is what makes a plan valid."""
        return self.root / "plan.json"

    @property
    def plans(self) -> Path:
        """Folder of what each plan froze."""
        return self.root / "plans"

    @property
    def out(self) -> Path:
        """Folder of the shards."""
        return self.root / "out"

    @property
    def psets(self) -> Path:
        """Folder of the psets' own folders, for what `execute` puts into ``ctx.dir``."""
        return self.root / "psets"

    @property
    def hold(self) -> Path:
        """Folder that says who is planning or submitting."""
        return self.root / "hold"

    @property
    def jobs_file(self) -> Path:
        """Every job, a line each, in the order of their submission."""
        return self.root / "jobs.jsonl"

    @property
    def items_file(self) -> Path:
        """Bookkeeping of the rows of the result."""
        return self.root / "items.npz"

    @property
    def new_items_file(self) -> Path:
        """Bookkeeping of a result that is about to replace the present one."""
        return self.root / "items.new.npz"

    @property
    def staged_result(self) -> Path:
        """A new result, before it replaces the present one."""
        return self.result.with_name(f"{self.result.stem}.new{self.result.suffix}")

    def plan(self, run_id: str) -> PlanLayout:
        """Return the paths of what plan `run_id` froze."""
        return PlanLayout(self.plans / run_id)

    def archive(self, run_id: str) -> Path:
        """Return where the results of `run_id` go when a changed task replaces them."""
        return self.root / "archive" / run_id

    def log(self, job: str) -> Path:
        """Return the log of a job: ``split``, ``process:<k>`` or ``merge``."""
        return self.root / f"{self.task}:{job}.log"

    def worker_log(self, job: int, worker: int) -> Path:
        """Return the file with what the items of one worker of a process job printed."""
        return self.root / f"{self.task}:process:{job}.worker-{worker}.log"

    def logs(self) -> list[Path]:
        """Return the logs that exist, in the order of the steps: split, process 0, …, merge."""
        return sorted(self.root.glob(f"{self.task}:*.log"), key=self._place_of_log)

    def _place_of_log(self, log: Path) -> tuple[int, list[int]]:
        step, *numbers = re.split(r":|\.worker-", log.stem.removeprefix(f"{self.task}:"))
        order = STEPS.index(step) if step in STEPS else len(STEPS)
        return order, [int(number) for number in numbers if number.isdecimal()]

    def shards(self, run_id: str = "*") -> list[Path]:
        """Return the shards of a run id, or all; in the order of their names."""
        return sorted(self.out.glob(f"{run_id}.*.rows"))

    @staticmethod
    def run_id_of(shard: Path) -> str:
        """Return the run id a shard belongs to."""
        return shard.name.partition(".")[0]

    def shard_prefix(self, run_id: str, job: int) -> str:
        """Return what the names of the shards of process job number `job` begin with."""
        return f"{run_id}.{job}"

    def log_of(self, shard: Path) -> Path:
        """Return the log of the process job that wrote a shard.

        Examples
        --------
        >>> layout = Layout(Path("a"), "a", Path("a/result.npz"))
        >>> layout.log_of(Path(f"{layout.shard_prefix('20260101T000000-f00d', 3)}.0-0.rows")).name
        'a:process:3.log'
        """
        return self.log(f"process:{shard.name.split('.')[1]}")


@dataclass(frozen=True)
class PlanLayout:
    """The paths of what one plan froze.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @property
    def plan_file(self) -> Path:
        """The plan, for its jobs, which must not take up a later one."""
        return self.folder / "plan.json"

    @property
    def space(self) -> Path:
        """The frozen parameter space."""
        return self.folder / "pspace.pkl"

    @property
    def code(self) -> Path:
        """The frozen task file and the local modules it reaches."""
        return self.folder / "code"

    @property
    def pending(self) -> Path:
        """The numbers of the items to evaluate."""
        return self.folder / "pending.npy"

    def batch(self, number: int) -> Path:
        """Return the item numbers of one batch."""
        return self.folder / "in" / f"{number}.npy"

    @property
    def leases(self) -> Path:
        """Folder in which the process jobs say that they live."""
        return self.folder / "leases"

    def claims(self, batch: int) -> Path:
        """Return the claim log of one batch."""
        return self.folder / "claims" / str(batch)
