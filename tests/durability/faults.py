"""A run on a disk that fails at any call: ``python -m tests.durability.faults --all``.

The k-th call that creates, writes, syncs, names or closes a file of the run fails, for every k, in
each of some ways; then `psy run` goes on where the disk is good. Whatever goes wrong is printed
with the words that do it again: ``--only fresh npz "full" 17``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from psyflow.exceptions import PsyflowWarning, UsageError
from psyflow.record.assess import Assessment
from psyflow.tasks import TaskDef
from tests.durability.bad_disk import WAYS, BadDisk, Ended, Psy, Way
from tests.support.study import Study

__all__ = ["KINDS", "STORES", "Case", "Sweep", "main"]

STORES = ("pkl", "npz", "h5")
KINDS = ("fresh", "extended", "changed")
BODY = """
store = ".{store}"
pspace = Param(x={space})
def execute(x):
    note(x=x)
    return {{"y": x**{power}, "text": f"<{{x}}>"}}
"""
SPACE = [5, 0, 1, 2, 3, 4]
SECONDS_TO_END = 120
_FULL = {"full", "no inodes", "short, then full"}


@dataclass(frozen=True)
class Case:
    """The k-th call fails, in one of the ways of `WAYS`."""

    kind: str
    store: str
    way: str
    k: int

    def __str__(self) -> str:
        return f'--only {self.kind} {self.store} "{self.way}" {self.k}'


class Sweep:
    """A study whose run is tried with a disk that fails here or there.

    Parameters
    ----------
    kind : str
        ``fresh``: nothing was run before; ``extended``: a result has some of the items already;
        ``changed``: it is other code's.
    store : str
    folder : Path
        Empty.
    """

    def __init__(self, kind: str, store: str, folder: Path) -> None:
        self._kind, self._store = kind, store
        (folder / "study").mkdir()
        self._study = Study(folder / "study")
        self._work = self._study.folder / "psy-work"
        self._work.mkdir()
        self._disk = BadDisk(self._work, folder)
        self._before = folder / "before"
        self._psy = Psy(self._study.folder, self._disk)

    @contextlib.contextmanager
    def begun(self) -> Iterator[Sweep]:
        """Have all that is there before the disk fails."""
        with self._psy:
            if self._kind != "fresh":
                self._write(SPACE[1:4] if self._kind == "extended" else SPACE, self._old_power)
                self._psy_well("run")
            self._write(SPACE, 2)
            shutil.copytree(self._work, self._before)
            # As long as nothing fails, ways of the same calls are one.
            one_of_each = {way.calls: way for way in WAYS.values()}
            n_calls = {calls: self._count(way) for calls, way in one_of_each.items()}
            self._n_calls = {name: n_calls[way.calls] for name, way in WAYS.items()}
            yield self

    @property
    def _old_power(self) -> int:
        return 3 if self._kind == "changed" else 2

    def cases(self) -> list[Case]:
        """Return every case there is."""
        return [
            Case(self._kind, self._store, way, k)
            for way, n_calls in self._n_calls.items()
            for k in range(1, n_calls + 1)
        ]

    def play(self, case: Case) -> None:
        """Have a disk fail; AssertionError if anything is not as it has to be then."""
        self._restore()
        old = self._done() if self._kind == "extended" else set()
        with self._disk.failing(WAYS[case.way], case.k):
            ended = self._psy("run")
        self._wait_until_alone()
        called = self._study.calls()
        try:
            done = self._check_failed(case, ended, old)
            self._check_repaired(done, called)
        except Exception as error:
            error.add_note(self._about(ended))
            raise

    def _about(self, ended: Ended) -> str:
        what = f"{self._disk.call} of {self._disk.path.relative_to(self._work)} failed"
        return f"{what}; psy run ended with {ended.code}:\n{ended.out}{ended.err}"

    # -- what is there ----------------------------------------------------------------------------

    def _write(self, space: list[int], power: int) -> None:
        self._study.task(BODY.format(store=self._store, space=space, power=power))

    def _psy_well(self, *arguments: str) -> Ended:
        ended = self._psy(*arguments)
        logs = self._study.logs()
        assert ended.code == 0, f"on a good disk:\n{ended.out}{ended.err}\n{logs}"
        return ended

    def _count(self, way: Way) -> int:
        self._restore()
        with self._disk.failing(way, 0):
            self._psy_well("run")
        self._study.calls()
        return self._disk.count

    def _restore(self) -> None:
        _make_same(self._before, self._work)
        self._study.calls()

    def _wait_until_alone(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_END
        while left := set(self._study.processes()) - {self._psy.pid, os.getpid()}:
            assert time.monotonic() < deadline, f"processes {left} are left"
            time.sleep(0.02)

    def _task(self) -> TaskDef:
        return TaskDef(self._study.tasks / "task_t.py", base=self._study.folder)

    def _rows(self) -> list[tuple[object, ...]]:
        try:
            return self._study.rows()
        except UsageError:
            return []

    def _done(self) -> set[int]:
        """Return the x that count as done for the present code."""
        assessment = Assessment(self._task(), verify=True)
        if assessment.code_changes:
            return set()
        return set(SPACE) - {SPACE[i] for i in assessment.pending()}

    # -- what has to be ---------------------------------------------------------------------------

    def _check_failed(self, case: Case, ended: Ended, old: set[int]) -> set[int]:
        """Check what a disk that failed has left; return what is done."""
        with warnings.catch_warnings():
            # What could not be written whole is named, and does not count.
            warnings.simplefilter("ignore", PsyflowWarning)
            done = self._done()
            rows = self._rows()
        assert old <= done, f"{old - done} were done"
        powers = {2, self._old_power}
        assert any(rows == _truth([x for _, x, _ in rows], power) for power in powers), rows
        self._check_archive()
        self._check_words(case, ended)
        if ended.code == 0:
            assert done == set(SPACE), f"exit code 0, and only {done} are done"
            assert rows == _truth(SPACE, 2), rows
            assert not Assessment(self._task()).reasons()
        if ".  t:merge" in ended.out:
            assert done == set(SPACE), f"the merge began, and only {done} are done"
        return done

    def _check_words(self, case: Case, ended: Ended) -> None:
        assert ended.code in (0, 3), "an odd exit code"
        assert self._disk.has_failed or not ended.code, "nothing had failed"
        reason = os.strerror(WAYS[case.way].error(case.k))
        if ended.code == 0:
            # All that has to be there is there (see `_check_failed`), and it is on the disk.
            assert "Traceback" not in ended.err
            is_said = "Warning: " in ended.err and reason in ended.err
            assert is_said or self._disk.call != "fsync", "exit code 0"
            return
        is_said = reason in ended.err or ("room" in ended.err and case.way in _FULL)
        assert "t: " in ended.err and is_said, f"it does not say: {reason}"

    def _check_archive(self) -> None:
        if self._kind != "changed":
            return
        (old,) = self._before.glob("t/result.*")
        found = (path.read_bytes() for path in self._work.rglob(old.name))
        assert old.read_bytes() in found, "the result of the code before is gone"

    def _check_repaired(self, done: set[int], called: Sequence[str]) -> None:
        """Have the run go on where the disk is good, and check what it comes to."""
        self._psy_well("run")
        self._wait_until_alone()
        again = {f"[('x', {x})]" for x in done}.intersection(self._study.calls())
        assert not again, f"evaluated again: {again}"
        assert self._rows() == _truth(SPACE, 2)
        assert not Assessment(self._task()).reasons()
        self._check_archive()
        paths = [str(path.relative_to(self._work)) for path in self._work.rglob("*")]
        marks = (".psytmp", ".new.", "/out/")
        # Whoever takes the hold next tidies it up. What could not be removed when all else was
        # done goes with the next plan.
        left = [p for p in paths if any(m in p for m in marks) and "/hold/" not in p]
        if self._disk.call == "unlink":
            left = [path for path in left if Path(path).name != self._disk.path.name]
        assert not left, f"left behind: {left}"


def _truth(space: Iterable[object], power: int) -> list[tuple[object, ...]]:
    return [(f"<{x}>", x, x**power) for x in space]  # type: ignore[operator]


def _make_same(source: Path, target: Path) -> None:
    """Give `target` what `source` has; folders that both have stay what they are."""
    names = {path.name for path in source.iterdir()}
    for path in target.iterdir():
        if path.name not in names or path.is_dir() != (source / path.name).is_dir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in source.iterdir():
        if path.is_dir():
            (target / path.name).mkdir(exist_ok=True)
            _make_same(path, target / path.name)
        else:
            shutil.copy2(path, target / path.name)


def sweep(
    kind: str, store: str, chance: random.Random | None, n_cases: int, only: Case | None = None
) -> tuple[int, list[str]]:
    """Play all cases of a study, or some by chance; return how many, and what went wrong."""
    problems: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="psyflow-faults-") as folder,
        Sweep(kind, store, Path(folder)).begun() as study,
    ):
        cases = study.cases() if only is None else [only]
        if chance is not None:
            cases = chance.sample(cases, min(n_cases, len(cases)))
        for case in cases:
            try:
                study.play(case)
            except Exception:
                problems.append(f"{case}\n{traceback.format_exc()}")
    return len(cases), problems


def main(arguments: list[str]) -> int:
    """Play cases; return 0 if nothing went wrong in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.durability.faults", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every call, not some by chance")
    parser.add_argument("--cases", type=int, default=20, help="for each study and store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--stores", nargs="+", default=STORES)
    parser.add_argument("--jobs", type=int, default=2, help="studies at a time")
    parser.add_argument("--only", nargs=4, metavar=("KIND", "STORE", "WAY", "K"))
    options = parser.parse_args(arguments)
    if options.only:
        kind, store, way, k = options.only
        n_cases, problems = sweep(kind, store, None, 1, Case(kind, store, way, int(k)))
        print(*problems, sep="\n")
        return len(problems)
    chance = None if options.all else random.Random(options.seed)
    studies = [(kind, store) for store in options.stores for kind in options.kinds]
    n_played = n_failed = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        played = [pool.submit(sweep, *study, chance, options.cases) for study in studies]
        for study, future in zip(studies, played, strict=True):
            n_cases, problems = future.result()
            n_played, n_failed = n_played + n_cases, n_failed + len(problems)
            print(*(f"FAILED: {problem}" for problem in problems), sep="\n", end="")
            print(f"{' '.join(study)}: {len(problems)} of {n_cases} cases failed.", flush=True)
    print(f"{n_failed} of {n_played} cases failed.")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
