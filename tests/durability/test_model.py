"""Whatever is done to a study, in any order, what runs is what a simple model says."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from psyflow.exceptions import UsageError
from psyflow.main import psy_main
from psyflow.record.assess import Assessment
from psyflow.tasks import TaskDef
from tests.support.processes import jobs_of
from tests.support.study import Study

BODY = """
store = ".{store}"
pool_size = {pool_size}
pspace = Param(x={space})
HERE = Path(__file__).parent
def execute(x):
    note(x=x)
    if (HERE / "slow").exists():
        time.sleep(0.03)
    if str(x) in (HERE / "broken").read_text().split():
        raise ValueError(x)
    return {{"y": x + 1000 * {version}}}
"""
XS = st.integers(0, 30)


class StudyMachine(RuleBasedStateMachine):
    """A study, and a model of it.

    The model knows for each x the versions of the code that its result may be of. What is in
    `dropped` was not asked for when a result was merged: its results may be there still, or not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="psyflow-model-"))
        self.study = Study(self.folder)
        self.before = Path.cwd()
        os.chdir(self.folder)
        self.version = 1
        self.planned_version: int | None = None
        self.broken: set[int] = set()
        self.done: dict[int, set[int]] = {}
        self.dropped: dict[int, set[int]] = {}

    @initialize(
        space=st.lists(XS, min_size=1, max_size=8, unique=True),
        store=st.sampled_from(["pkl", "npz", "h5"]),
        pool_size=st.integers(1, 2),
    )
    def begin(self, space: list[int], store: str, pool_size: int) -> None:
        self.space, self.store, self.pool_size = space, store, pool_size
        self.write()

    def teardown(self) -> None:
        os.chdir(self.before)
        self.study.end()
        shutil.rmtree(self.folder)

    def write(self) -> None:
        self.study.tasks.mkdir(exist_ok=True)
        text = " ".join(map(str, sorted(self.broken)))
        (self.study.tasks / "broken").write_text(text)
        variables = {name: getattr(self, name) for name in ("space", "store", "pool_size")}
        self.study.task(BODY.format(version=self.version, **variables))

    # -- what users do to a study -----------------------------------------------------------------

    @rule(xs=st.lists(XS, min_size=1, max_size=4, unique=True))
    def extend(self, xs: list[int]) -> None:
        self.space = self.space + [x for x in xs if x not in self.space]
        self.write()

    @rule(n=st.integers(1, 6))
    def shrink(self, n: int) -> None:
        self.space = self.space[:n]
        self.write()

    @rule(seed=st.integers(0, 99))
    def reorder(self, seed: int) -> None:
        random.Random(seed).shuffle(self.space)
        self.write()

    @rule(xs=st.sets(XS, min_size=1, max_size=8))
    def break_some(self, xs: set[int]) -> None:
        self.broken = xs
        self.write()

    @rule()
    def repair(self) -> None:
        self.broken = set()
        self.write()

    @rule()
    def change_code(self) -> None:
        self.version += 1
        self.write()

    @rule()
    def clean(self) -> None:
        assert self.psy("clean", "t") == 0
        self.done, self.dropped, self.planned_version = {}, {}, None
        assert not (self.folder / "psy-work" / "t").exists()

    # -- running ----------------------------------------------------------------------------------

    @rule()
    def run(self) -> None:
        self.run_to_the_end()

    @rule()
    def run_continuing(self) -> None:
        self.run_to_the_end("-c")

    @precondition(lambda self: self.planned_version in (None, self.version))
    @rule(moment=st.floats(0.3, 0.7), everybody=st.booleans())
    def run_and_die(self, moment: float, everybody: bool) -> None:
        """Be killed in the middle; what then counts as done is what was, and some of the rest."""
        self.expect_versions()
        slow = self.study.tasks / "slow"
        slow.touch()
        psy = self.study.start("run")
        time.sleep(moment)
        for pid in [*(jobs_of(psy.pid) if everybody else []), psy.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        psy.communicate()
        self.study.wait_until_gone()
        slow.unlink()
        rows = dict(self.rows())
        called = self.called()
        assert not called & (self.done.keys() - self.dropped.keys())
        assert {x for x in self.space if x in self.done} <= rows.keys()
        assert rows.keys() <= self.done.keys() | self.dropped.keys() | (called - self.broken)
        for x, y in rows.items():
            self.done.setdefault(x, {(y - x) // 1000}).intersection_update({(y - x) // 1000})
            self.dropped.pop(x, None)
        if (self.folder / "psy-work/t/plan.json").exists():
            self.planned_version = self.version

    def run_to_the_end(self, *arguments: str) -> None:
        if self.planned_version not in (None, self.version) and "-c" not in arguments:
            self.done, self.dropped = {}, {}
        must = {x for x in self.space if x not in self.done}
        code = self.psy("run", *arguments)
        called = self.called()
        found = {x for x in must - called if x in self.dropped}
        assert called == must - found
        self.done |= {x: self.dropped[x] for x in found}
        self.done |= {x: {self.version} for x in called - self.broken}
        self.planned_version = self.version
        assert code == (0 if set(self.space) <= self.done.keys() else 1)
        self.check_rows()
        gone = self.done.keys() - set(self.space)
        self.dropped = {x: v for x, v in self.dropped.items() if x not in self.space}
        for x in gone:
            self.dropped[x] = self.dropped.get(x, set()) | self.done.pop(x)

    def expect_versions(self) -> None:
        """Take up what may or may not have survived from before."""
        rows = {x for x, _ in self.rows()}
        for x in rows & self.dropped.keys():
            self.done[x] = self.dropped.pop(x)

    def check_rows(self) -> None:
        rows = self.rows()
        assert [x for x, _ in rows] == [x for x in self.space if x in self.done]
        for x, y in rows:
            assert (y - x) // 1000 in self.done[x]
        assessment = Assessment(TaskDef(self.study.tasks / "task_t.py"))
        assert assessment.n_done == len(rows)
        assert bool(assessment.reasons()) == (len(rows) < len(self.space))

    # -- means ------------------------------------------------------------------------------------

    def psy(self, *arguments: str) -> int:
        with warnings.catch_warnings():
            return psy_main(list(arguments))

    def rows(self) -> list[tuple[int, int]]:
        try:
            columns = self.study.load()
        except UsageError:
            return []
        return list(zip(columns["x"], columns.get("y", []), strict=False))

    def called(self) -> set[int]:
        calls = [int(call[len("[('x', ") : -2]) for call in self.study.calls()]
        assert len(set(calls)) == len(calls)
        return set(calls)


TestStudy = StudyMachine.TestCase
TestStudy.settings = settings(
    max_examples=20,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
