"""A supervisor in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import ShardReader
from tests.support.processes import MARK, children_of, eventually, is_guard, marked
from tests.support.rows import load, same

_JOB = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
import psyflow.work.supervisor
from psyflow.work.crew import Crew
from psyflow.work.prepared import Prepared
from psyflow.pspace import Param
from psyflow.work.supervisor import Supervisor
from psyflow.work.worker import Work

folder = Path(sys.argv[1])
n_items, pool_size = int(sys.argv[2]), int(sys.argv[3])
timeout = float(sys.argv[4]) or None


def prepare(worker):
    return Prepared(execute)


def note(text):
    with open(folder / "notes", "a") as file:
        file.write(f"{text}\\n")


def wait_for(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def meet(n):
    # Wait until n processes have called this.
    (folder / "here").mkdir(exist_ok=True)
    (folder / "here" / str(os.getpid())).touch()
    wait_for(lambda: len(os.listdir(folder / "here")) >= n)


def tell_of_stops():
    # Have Job.wait_for_stop know when all workers have been told to stop.
    tell_to_stop = Crew.tell_to_stop

    def stop_and_tell(self, level):
        tell_to_stop(self, level)
        (folder / f"stop {level}").touch()

    Crew.tell_to_stop = stop_and_tell


%s

work = Work(
    space=Param(i=list(range(n_items))),
    items=np.arange(n_items),
    claims=folder / "claims",
    out=folder / "out",
    prefix="run.0",
    prepare=prepare,
    load=globals().get("load"),
    n_workers=pool_size,
    timeout=timeout,
)
if __name__ == "__main__":
    sys.exit(Supervisor(work, pool_size).run())
"""


class Job:
    """A supervisor in a process of its own, over items 0 … n−1, whose psets are {"i": item}."""

    def __init__(
        self, folder: Path, n_items: int, source: str, pool_size: int = 2, timeout: float = 0
    ) -> None:
        self.folder = folder
        self.n_items = n_items
        self.mark = uuid.uuid4().hex
        self.log = folder / "log"
        (folder / "job.py").write_text(_JOB % textwrap.dedent(source))
        self.command = [
            sys.executable,
            str(folder / "job.py"),
            *map(str, (folder, n_items, pool_size, timeout)),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **options: Any) -> Job:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, MARK: self.mark},
                **options,
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def wait(self) -> int:
        """Wait until it has ended; items that would last for longer are to be ended."""
        assert self.process is not None
        return self.process.wait(120)

    def wait_for_stop(self, level: int) -> None:
        """Wait until the workers of a job with `tell_of_stops` have been told to stop."""
        eventually((self.folder / f"stop {level}").exists)

    def run(self) -> int:
        """Run to the end; nothing may be left of it."""
        status = self.start().wait()
        eventually(lambda: not marked(self.mark))
        return status

    def clean_up(self) -> None:
        for pid in marked(self.mark):
            os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def workers(self) -> list[int]:
        # A guard that has only just been made cannot be told from a worker.
        children = eventually(self._children_with_guard)
        return [child for child in children if not is_guard(child)]

    def _children_with_guard(self) -> list[int]:
        children = children_of(self.pid)
        return children if any(map(is_guard, children)) else []

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def shards(self) -> list[Path]:
        return sorted((self.folder / "out").glob("run.*.rows"))

    def _told(self) -> str:
        """Return all that is known of the run, for a failure that may not come again."""
        shards = (
            f"{shard.name}: {frame.kind} {frame.items.tolist()}"
            for shard in self.shards()
            for frame in ShardReader(shard).new_frames()
        )
        claims = (f"{p.name}: {p.read_text()}" for p in sorted(self.folder.glob("claims/*")))
        return "\n".join([*shards, *claims, self.log.read_text()])

    def outcomes(self) -> dict[int, Any]:
        """Return the row or Failure of each item that is on disk; each at most once."""
        outcomes: dict[int, Any] = {}
        for shard in self.shards():
            reader = ShardReader(shard)
            found = load(reader, reader.new_frames())
            twice = found.keys() & outcomes.keys()
            assert not twice, f"{twice} in {shard}, and before\n{self._told()}"
            outcomes.update(found)
        return outcomes

    def check_all_done(self, failed: Mapping[int, str] | None = None) -> dict[int, Any]:
        """Check that each item has one outcome, a row y = 2 i or a failure of the kind given."""
        outcomes = self.outcomes()
        failed = failed or {}
        assert sorted(outcomes) == list(range(self.n_items)), self.log.read_text()[-2000:]
        kinds = {i: o.kind for i, o in outcomes.items() if isinstance(o, Failure)}
        assert kinds == dict(failed)
        for item, row in outcomes.items():
            assert item in kinds or same(row, {"y": 2 * item}), (item, row)
        return outcomes

    def calls(self) -> Counter[int]:
        """Return how often each item was noted."""
        return Counter(map(int, self.notes()))
