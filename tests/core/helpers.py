"""What the tests of the durable core share: values, exact comparison, real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from psyflow.columns import from_rows
from psyflow.outcomes import Failure, Rows
from psyflow.shard import FAILURE, ROWS, ShardReader, ShardWriter

MARK = "PSYFLOW_TEST_MARK"

# --------------------------------------------------------------------------- values

_DTYPES = ["?", "i1", "u2", "i4", "i8", "f2", "f4", "f8", "c16", "M8[D]", "m8[s]", ">i4"]


def _scalars(dtype: str) -> st.SearchStrategy[Any]:
    raw = st.integers(0, 100)
    return raw.map(lambda n: np.array([n]).astype(dtype)[0])


def _arrays(dtype: str) -> st.SearchStrategy[Any]:
    shapes = st.sampled_from([(), (0,), (2,), (2, 3), (1, 0)])
    return shapes.map(lambda shape: np.full(shape, 3).astype(dtype))


class Half(float):
    """A float of a type of its own."""


python_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.integers(), st.text(max_size=2)),
    st.floats().map(Half),
    st.just(np.ma.array([1, 2], mask=[True, False])),
    st.just(np.str_("text")),
    st.just(np.array(["a", "bc"])),
    st.just(np.array([None, 1], dtype=object)),
)
values = st.one_of(
    python_values,
    st.sampled_from(_DTYPES).flatmap(_scalars),
    st.sampled_from(_DTYPES).flatmap(_arrays),
)
# Columns of one kind are packed, others are not, so both have to come up.
column_values = st.one_of(
    st.lists(values, max_size=8),
    st.sampled_from(_DTYPES).flatmap(lambda d: st.lists(_scalars(d), max_size=8)),
    st.sampled_from(_DTYPES).flatmap(lambda d: st.lists(_arrays(d), max_size=8)),
)


def same(a: Any, b: Any) -> bool:
    """Whether two values are of exactly the same type, dtype, shape and content (NaN = NaN)."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and same(np.asarray(a).tolist(), np.asarray(b).tolist())
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    return bool(a == b or (a != a and b != b))


# --------------------------------------------------------------------------- shards


def make_rows(items: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> Rows:
    n = len(items)
    return Rows(
        items=np.array(items, dtype=np.int64),
        columns=from_rows(rows),
        start=np.arange(n, dtype=float),
        duration=np.full(n, 0.5),
        attempt=np.ones(n, dtype=np.int16),
        host="here",
        pid=7,
    )


def write_frames(path: Path, n_frames: int, per_frame: int = 2) -> list[tuple[int, list[int]]]:
    """Write frames of rows, each third one of a failure; return the end and items of each."""
    ends = []
    with ShardWriter(path) as writer:
        for k in range(n_frames):
            items = [k * per_frame + j for j in range(per_frame)]
            if k % 3 == 2:
                items = items[:1]
                writer.write_failure(Failure(items[0], "error", "E: no", pset={"a": str(k)}))
            else:
                writer.write_rows(make_rows(items, [{"y": i * 0.5, "k": k} for i in items]))
            ends.append((path.stat().st_size, items))
    return ends


def load(reader: ShardReader, frames: Sequence[Any]) -> dict[int, Any]:
    """Return the row (a dict) or the Failure of each item, and check that none comes twice."""
    outcomes: dict[int, Any] = {}
    for frame in frames:
        if frame.kind == FAILURE:
            found = {reader.failure(frame).item: reader.failure(frame)}
        else:
            assert frame.kind == ROWS
            rows = reader.rows(frame)
            names, columns = tuple(rows.columns), list(rows.columns.values())
            table = zip(*columns, strict=True) if columns else [()] * len(rows.items)
            dicts = (dict(zip(names, row, strict=True)) for row in table)
            found = dict(zip(rows.items.tolist(), dicts, strict=True))
        assert not found.keys() & outcomes.keys()
        outcomes.update(found)
    return outcomes


# --------------------------------------------------------------------------- processes


def script(source: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start Python on `source`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
        text=True,
        **options,
    )


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until `condition` is true, and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.01)
    return value


def marked(mark: str) -> list[int]:
    """Return the living processes whose environment has `mark`."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if wanted in _environment(pid) and _state(pid) not in "ZX"]


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def jobs_of(psy: int) -> list[int]:
    """Return the jobs of a `psy run`: children of the fork server, which is a child of `psy`."""
    return [job for server in children_of(psy) for job in children_of(server)]


def is_guard(pid: int) -> bool:
    """Tell whether a child of a supervisor is its guard, which leads a session of its own."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _pids() -> Iterator[int]:
    return (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    return (_stat(pid) or ["X"])[0]


_JOB = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
import psyflow.supervisor
from psyflow.prepared import Prepared
from psyflow.pspace import Param
from psyflow.supervisor import Supervisor
from psyflow.worker import Work

folder = Path(sys.argv[1])
n_items, pool_size = int(sys.argv[2]), int(sys.argv[3])
timeout = float(sys.argv[4]) or None


def prepare(worker):
    return Prepared(execute)


def note(text):
    with open(folder / "notes", "a") as file:
        file.write(f"{text}\\n")

%s

work = Work(
    space=Param(i=list(range(n_items))),
    items=np.arange(n_items),
    claims=folder / "claims",
    out=folder / "out",
    prefix="run.0",
    prepare=prepare,
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

    def wait(self, seconds: float = 30.0) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def run(self, seconds: float = 30.0) -> int:
        """Run to the end; nothing may be left of it."""
        status = self.start().wait(seconds)
        eventually(lambda: not marked(self.mark), 2.0)
        return status

    def clean_up(self) -> None:
        for pid in marked(self.mark):
            os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def workers(self) -> list[int]:
        return [child for child in children_of(self.pid) if not is_guard(child)]

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
