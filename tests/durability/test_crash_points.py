"""Whatever a crash leaves of the file operations of a run, every acknowledged item is found."""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import random
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from psyflow.exceptions import DamagedShardWarning, UsageError
from psyflow.fingerprint import Part
from psyflow.outcomes.shard import ROWS, ShardReader
from psyflow.record.assess import Assessment
from psyflow.system.lease import LEASE_SECONDS
from psyflow.tasks import TaskDef
from psyflow.work.claims import Claim
from tests.durability.disk import VARIANTS, Disk, Tree
from tests.durability.recording import Operation, record
from tests.durability.requirements import need_recorder
from tests.support.study import Study

BODY = """
store = '.{store}'
pool_size = 2
pspace = Param(x={space})
def execute(x):
    note(x=x)
    time.sleep(0.01)
    assert x != 3 or (Path(__file__).parent / "repaired").exists()
    return {{"y": {formula}}}
"""
N_FINISHED = 3


@pytest.fixture
def study(study: Study) -> Study:
    # What it leaves behind can be told from other processes.
    study.is_apart = True
    return study


@dataclass
class Recording:
    """What a `psy run` did, and how what is left of it is judged."""

    study: Study
    disk: Disk
    operations: list[Operation]
    space: list[int]
    safe: set[int]
    n_states: int = 0
    seen: set[bytes] = field(default_factory=set)

    def crashes(self, chance: random.Random) -> Iterator[tuple[str, Tree]]:
        """Go through the operations, and yield each different state that a crash may leave."""
        for number in range(len(self.operations) + 1):
            for variant in VARIANTS:
                tree = self.disk.after_crash(variant, chance)
                digest = hashlib.sha256(pickle.dumps(tree)).digest()
                if digest not in self.seen:
                    self.seen.add(digest)
                    self.n_states += 1
                    yield f"{variant} after {number} operations", tree
            if number < len(self.operations):
                self._do(self.operations[number])

    def _do(self, operation: Operation) -> None:
        self.disk.do(operation)
        if operation.kind == "fsync" and operation.path.endswith(".rows"):
            # The worker's fsync has returned: these are acknowledged.
            self.safe |= self._rows_in(self.disk.file(operation.path).data)

    def _rows_in(self, data: bytes) -> set[int]:
        shard = self.study.folder / "acknowledged.rows"
        shard.write_bytes(data)
        frames = ShardReader(shard).new_frames()
        return {self.space[i] for frame in frames if frame.kind == ROWS for i in frame.items}


class SameCode(TaskDef):
    """A task whose code is read once: in all states that a crash may leave, it is the same."""

    def fingerprint(self) -> dict[str, Part]:
        return dict(self._fingerprint)

    @functools.cached_property
    def _fingerprint(self) -> dict[str, Part]:
        return super().fingerprint()


def recorded(study: Study, space: list[int], code: int, **body: str) -> Recording:
    """Record a `psy run` of the space; what was there before is safe."""
    before = {x for x, _ in rows_of(study)}
    disk = Disk(study.folder, ("psy-work",))
    disk.learn_times()
    study.task(BODY.format(space=space, **body))
    study.calls()
    command = [sys.executable, "-m", "psyflow", "run"]
    status, operations = record(command, study.folder, study.folder / "trace")
    assert status == code, study.logs()
    disk.learn_times()
    study.calls()
    return Recording(study, disk, operations, space, before)


def rows_of(study: Study) -> list[tuple[int, int]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return study.rows()  # type: ignore[return-value]
    except UsageError:
        return []


def check(recording: Recording, task: TaskDef, formula: str) -> None:
    """Have the files that are there read, as `psy status` and `psyflow.load` read them."""
    rows = rows_of(recording.study)
    xs = [x for x, _ in rows]
    assert len(set(xs)) == len(xs)
    assert recording.safe <= set(xs)
    assert all(y == eval(formula, {"x": x}) for x, y in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pending = Assessment(task, verify=True).pending()
    assert recording.safe.isdisjoint(recording.space[i] for i in pending)


def finish(recording: Recording, code: int, formula: str) -> None:
    """Have `psy run` go on from the files that are there."""
    with warnings.catch_warnings():
        # A frame may be lost while a later one is not; an incomplete result keeps such shards.
        warnings.simplefilter("ignore", DamagedShardWarning)
        _finish(recording, code, formula)


def _finish(recording: Recording, code: int, formula: str) -> None:
    study = recording.study
    pass_time(study)
    study.psy("run", code=code)
    missing = {3} if code else set()
    truth = [(x, eval(formula, {"x": x})) for x in recording.space if x not in missing]
    assert study.rows() == truth
    calls = study.calls()
    assert len(set(calls)) == len(calls)
    assert not {f"[('x', {x})]" for x in recording.safe}.intersection(calls)
    left = [path for path in study.folder.rglob("psy-work/**/*") if is_temporary(path)]
    assert not left
    study.wait_until_gone()
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    assert bool(code) == bool(Assessment(task).reasons())


def pass_time(study: Study) -> None:
    """Let every lease be older than an owner that cannot be read keeps it.

    A lease that the crash emptied is over only by its age, and a machine takes longer than that to
    start again.
    """
    before = time.time() - 2 * LEASE_SECONDS
    for lease in study.folder.glob("psy-work/**/leases/*"):
        os.utime(lease, (before, before))


def is_temporary(path: Path) -> bool:
    # A killed job's goes with its plan, once no shard needs that any more.
    is_of_plan = "claims" in path.parts or "leases" in path.parts
    return (path.name.startswith(".psytmp") and not is_of_plan) or ".new." in path.name


def check_all(recording: Recording, formula: str = "x**2", code: int = 0) -> None:
    task = SameCode(recording.study.tasks / "task_t.py", base=recording.study.folder)
    chance = random.Random(0)
    finished = set(chance.sample(range(3 * len(recording.operations)), N_FINISHED))
    present: Tree | None = None
    for place, tree in recording.crashes(chance):
        recording.disk.rebuild(tree, present)
        present = tree
        try:
            check(recording, task, formula)
            if recording.n_states in finished:
                present = None
                finish(recording, code, formula)
        except Exception as error:
            error.add_note(f"{place}; {recording.n_states} states checked")
            raise
    print(f"{recording.n_states} states, {len(recording.operations)} operations")
    assert recording.n_states > 2 * len(recording.operations)
    # Else nothing would have been asked for.
    assert recording.safe == set(recording.space) - ({3} if code else set())


@pytest.fixture(autouse=True)
def _recorder() -> None:
    need_recorder()


def test_first_run(study: Study) -> None:
    """A plan, claimants, workers with results and a failure, and a merge."""
    recording = recorded(study, list(range(7)), 1, store="npz", formula="x**2")
    check_all(recording, code=1)


@pytest.mark.parametrize("store", ["pkl", "npz", "h5"])
def test_replaced_result(study: Study, store: str) -> None:
    """A result becomes one of an extended and reordered space."""
    (study.tasks / "repaired").touch()
    study.task(BODY.format(store=store, space=list(range(5)), formula="x**2"))
    study.psy("run")
    check_all(recorded(study, [7, 4, 3, 2, 1, 0, 9], 0, store=store, formula="x**2"))


def test_shards_of_several_plans(study: Study) -> None:
    """What failed before is repaired: shards and plans of the past go, and the result is new."""
    study.task(BODY.format(store="npz", space=list(range(5)), formula="x**2"))
    study.psy("run", code=1)
    (study.tasks / "repaired").touch()
    recording = recorded(study, [8, *range(5)], 0, store="npz", formula="x**2")
    assert any(operation.kind == "rmdir" for operation in recording.operations)
    check_all(recording)


def test_archived_result(study: Study) -> None:
    """The code has changed: what it replaces is archived, whole, and never mixed with the new."""
    (study.tasks / "repaired").touch()
    study.task(BODY.format(store="npz", space=list(range(5)), formula="x**2"))
    study.psy("run")
    old = next(study.folder.glob("psy-work/t/result.npz")).read_bytes()
    recording = recorded(study, list(range(6)), 0, store="npz", formula="x**3")
    recording.safe = set()
    task = SameCode(study.tasks / "task_t.py", base=study.folder)
    chance = random.Random(1)
    finished = set(chance.sample(range(3 * len(recording.operations)), N_FINISHED))
    present: Tree | None = None
    for place, tree in recording.crashes(chance):
        recording.disk.rebuild(tree, present)
        present = tree
        with warnings.catch_warnings():
            # An earlier frame may be lost and a later one not.
            warnings.simplefilter("ignore", DamagedShardWarning)
            Assessment(task, verify=True).reasons()
        results = {path.read_bytes() for path in study.folder.rglob("psy-work/**/result.npz")}
        assert old in results, place
        formulas = {0: "x**2", 1: "x**3"}
        rows = rows_of(study)
        assert any(
            rows == [(x, eval(formula, {"x": x})) for x, _ in rows]
            for formula in formulas.values()
        ), place
        if recording.n_states in finished:
            present = None
            finish(recording, 0, "x**3")
            assert old in {
                path.read_bytes() for path in study.folder.rglob("archive/*/result.npz")
            }
    print(f"{recording.n_states} states, {len(recording.operations)} operations")


def test_claims_are_seen_whole_and_tile_the_batch(study: Study) -> None:
    (study.tasks / "repaired").touch()
    recording = recorded(study, list(range(20)), 0, store="pkl", formula="x**2")
    seen = 0
    for operation in recording.operations:
        recording.disk.do(operation)
        tree = recording.disk.after_crash("applied", random.Random())
        for plan in tree.get("psy-work", {}).get("t", {}).get("plans", {}).values():
            log = plan.get("claims", {}).get("0", {})
            names = sorted(name for name in log if name.isdigit())
            claims = [Claim.from_bytes(log[name]) for name in names]
            # Once all have an outcome, the first claim stands for all, and the others go.
            if claims and claims[0].stop == 20:
                continue
            assert [claim.number for claim in claims] == list(range(len(claims)))
            assert [c.start for c in claims] == [0, *(c.stop for c in claims)][: len(claims)]
            seen = max(seen, len(claims))
    assert claims[-1].stop == 20
    assert seen > 2
