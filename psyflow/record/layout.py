"""Where everything of a run is: the one place that knows the names of its files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from psyflow.outcomes.beside import PACKED_SUFFIX
from psyflow.system.reading import names_in
from psyflow.system.trust import Origin

__all__ = ["STEPS", "Layout", "home_of", "id_in", "is_of_worker", "runs_beginning"]

STEPS = ("split", "process", "merge")
_ID = r"\d{8}T\d{6}-[0-9a-f]{6}"
RUN_ID = re.compile(_ID)
ARCHIVE = re.compile(rf"(before-)?{_ID}(-\d+)?")
SHARD = re.compile(rf"{_ID}\..*\.rows({re.escape(PACKED_SUFFIX)})?")
PSET = re.compile(r"[0-9a-f]{32}(-\d+)?(\.\d+)?|\.[0-9a-f]{32}(-\d+)?(\.\d+)?\.lock|packs")


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
    def experiment_file(self) -> Path:
        """What `psy exec` was told of the machines and of where programs start."""
        return self.root / "experiment.json"

    def link(self, item: int) -> Path:
        """Return the link to the folder of the pset of an item."""
        return self.root / str(item)

    def links(self) -> list[Path]:
        """Return the links to folders of psets that there are."""
        found = (path for path in self.root.glob("[0-9]*") if path.name.isdecimal())
        return sorted(path for path in found if path.is_symlink())

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
    def id_file(self) -> Path:
        """What tells the folder from others that have been in its place."""
        return self.root / "folder.id"

    @property
    def told_file(self) -> Path:
        """Files that were read and do not count, and of which somebody was told."""
        return self.root / "told.json"

    @property
    def archives(self) -> Path:
        """Folder of the results that others have replaced."""
        return self.root / "archive"

    @property
    def returning(self) -> Path:
        """Folder of an archived run on its way back, until all of that is in its place."""
        return self.root / "returning"

    @property
    def why_archived(self) -> Path:
        """In a folder of the archive: when it came there, and why."""
        return self.root / "archived.json"

    @property
    def staged_result(self) -> Path:
        """A new result, before it replaces the present one."""
        return self.result.with_name(f"{self.result.stem}.new{self.result.suffix}")

    def plan(self, run_id: str) -> PlanLayout:
        """Return the paths of what plan `run_id` froze."""
        return PlanLayout(self.plans / run_id)

    def plan_folders(self) -> list[Path]:
        """Return the folders of the plans that are there, of whatever else is in theirs none."""
        return sorted(path for path in self.plans.glob("*") if RUN_ID.fullmatch(path.name))

    def origin(self, run_id: str | None) -> Origin:
        """Return what tells whose the files are that came of plan `run_id`; None: of any."""
        # What is in the archive was sealed for the run's folder.
        return Origin(home_of(self.root), None if run_id is None else self.plan(run_id).space)

    def archive(self, run_id: str) -> Path:
        """Return where the results of `run_id` go when a changed task replaces them."""
        return self.archives / run_id

    def archived(self) -> list[Layout]:
        """Return the paths of the runs in the archive, laid out as here; the newest first."""
        folders = [path for path in self.archives.glob("*") if ARCHIVE.fullmatch(path.name)]
        folders.sort(key=lambda path: id_in(path.name), reverse=True)
        return [self.moved_to(folder) for folder in folders]

    def moved_to(self, folder: Path) -> Layout:
        """Return the paths of a run of this task that lies in `folder`, as far as it is there."""
        results = (folder / self.result.name, *sorted(folder.glob("result.*")))
        found = (path for path in results if path.exists())
        return Layout(folder, self.task, next(found, results[0]))

    def log(self, job: str) -> Path:
        """Return the log of a job: ``split``, ``process:<k>`` or ``merge``."""
        return self.root / f"{self.task}:{job}.log"

    def worker_log(self, job: int, worker: int) -> Path:
        """Return the file with what the items of one worker of a process job printed."""
        return self.root / f"{self.task}:process:{job}.worker-{worker}.log"

    def logs(self) -> list[Path]:
        """Return the logs that exist, in the order of the steps: split, process 0, …, merge."""
        found = (
            path for path in self.root.glob("*.log") if self._is_log(path.name) and path.is_file()
        )
        return sorted(found, key=self._place_of_log)

    def _is_log(self, name: str) -> bool:
        # Array jobs may be numbered from their first member on.
        jobs = r"split|merge|process:\d+(\+\d+)?(\.worker-\d+)?"
        return re.fullmatch(rf"{re.escape(self.task)}:({jobs})\.log", name) is not None

    def _place_of_log(self, log: Path) -> tuple[int, list[int]]:
        step, *numbers = re.split(r":|\.worker-", log.stem.removeprefix(f"{self.task}:"))
        order = STEPS.index(step) if step in STEPS else len(STEPS)
        return order, [int(number) for number in numbers if number.isdecimal()]

    def shards(self, run_id: str = "*") -> list[Path]:
        """Return the shards of a run id, or all; in the order of their names."""
        return self._in_out(f"{run_id}.*.rows")

    def packed(self) -> list[Path]:
        """Return the files beside shards, see `psyflow.outcomes.packed`."""
        return self._in_out(f"*.rows{PACKED_SUFFIX}")

    def _in_out(self, pattern: str) -> list[Path]:
        folder = self.out
        return [
            folder / name
            for name in sorted(fnmatch.filter(names_in(folder, but_pipes=True), pattern))
        ]

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
        return self.log(f"process:{self.job_of(shard)}")

    @staticmethod
    def job_of(shard: Path) -> str:
        """Return the number of the process job that wrote a shard."""
        return shard.name.split(".")[1]


def is_of_worker(log: Path) -> bool:
    """Tell whether a log has what the items of a worker printed, and not what its job said."""
    return re.search(r":process:\d+\.worker-\d+\.log$", log.name) is not None


def id_in(archive: str) -> str:
    """Return the id of a run that is in the name of a folder in the archive."""
    return archive.removeprefix("before-")


def runs_beginning(text: str, names: Collection[str]) -> list[str]:
    """Return which runs `text` may mean: that of just this name, or all that begin with it.

    Examples
    --------
    >>> names = ["before-20260101T000000-abcdef", "20260101T000000-abcdef"]
    >>> runs_beginning("202601", names) == names, runs_beginning("2027", names)
    (True, [])
    >>> runs_beginning("20260101T000000-abcdef", names)
    ['20260101T000000-abcdef']
    """
    if text in names:
        return [text]
    return [name for name in names if name.startswith(text) or id_in(name).startswith(text)]


def home_of(root: Path) -> Path:
    """Return where the paths go from that records in a run's folder hold: not from the archive.

    Examples
    --------
    >>> str(home_of(Path("psy-work/circle/archive/20260101T000000-abcdef")))
    'psy-work/circle'
    >>> str(home_of(Path("psy-work/circle")))
    'psy-work/circle'
    """
    is_archived = ARCHIVE.fullmatch(root.name) is not None and root.parent.name == "archive"
    return root.parents[1] if is_archived else root


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
    def keys(self) -> Path:
        """The keys of the space, if it has values that one day may not be made any more."""
        return self.folder / "keys.npy"

    @property
    def code(self) -> Path:
        """The frozen task file and the local modules it reaches."""
        return self.folder / "code"

    @property
    def preparation(self) -> Path:
        """The script that prepares the node and starts a job; not there if nothing is to do."""
        return self.folder / "job.sh"

    @property
    def meaning(self) -> Path:
        """What the task file said of the columns; not there if it said nothing."""
        return self.folder / "meaning.json"

    @property
    def meaning_code(self) -> Path:
        """The code with what is derived, if that was edited after `code` was frozen."""
        return self.folder / "meaning-code"

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

    @property
    def reads(self) -> Path:
        """Folder of what the workers say of the files that they have used."""
        return self.folder / "reads"

    def claims(self, batch: int) -> Path:
        """Return the claim log of one batch."""
        return self.folder / "claims" / str(batch)
