"""Rounds of chaos: ``python -m tests.chaos --rounds 1000 --seed 1``.

A round runs a random study, kills some of its processes at random moments, perhaps changes its
parameter space in between, lets the run finish, and looks whether everything is right. Whatever
goes wrong is printed with the seed that gives the same round again: ``--seed S --rounds 1``.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from psyflow.exceptions import UsageError
from psyflow.system.hold import Hold
from tests.support.processes import children_of, eventually, is_guard, jobs_of
from tests.support.study import Study

__all__ = ["Round", "main"]

BACKENDS = ("DistributeBackend", "LoadBalancingBackend")
STORES = ("pkl", "npz", "h5")
BODY = """
import signal
from psyflow import {backend}
backend = {backend}
store = ".{store}"
pool_size = {pool_size}
pspace = Param(x={space})

def go_wrong(x):
    {trouble}

def execute(x):
    note(x=x)
    time.sleep({seconds})
    if x in {bad} and not (Path(__file__).parent / "repaired").exists():
        go_wrong(x)
    return {{"y": x**2, "text": f"<{{x}}>"}}
"""
TROUBLES = (
    "raise ValueError(x)",
    "os.kill(os.getpid(), signal.SIGKILL)",
    "os._exit(5)",
    "raise SystemExit(4)",
    "os.kill(os.getpid(), signal.SIGSEGV)",
)
VICTIMS = ("psy", "server", "supervisor", "worker", "worker", "all")
SECONDS_TO_END = 180


class Round:
    """One round.

    Parameters
    ----------
    seed : int
        Decides everything but the operating system's part. Its remainders choose backend and
        store, so that any six seeds in a row have all of them.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._chance = random.Random(seed)
        self._settings = {
            "backend": BACKENDS[seed % 2],
            "store": STORES[seed // 2 % 3],
            "pool_size": self._chance.randint(1, 3),
            "seconds": self._chance.choice([0, 0.001, 0.004, 0.01]),
            "trouble": self._chance.choice(TROUBLES),
        }
        self._space = list(range(self._chance.randint(10, 60)))
        n_bad = self._chance.choice([0, 0, 1, 3])
        self._settings["bad"] = self._chance.sample(self._space, n_bad)

    def play(self, folder: Path) -> None:
        """Play the round in `folder`; AssertionError if anything is not as it has to be."""
        study = Study(folder)
        study.is_apart = True
        try:
            self._write_task(study)
            for _ in range(self._chance.randint(1, 3)):
                self._disturb(study)
                if self._chance.random() < 0.3:
                    self._change_space()
                    self._write_task(study)
            self._finish(study)
        finally:
            study.end()

    def _write_task(self, study: Study) -> None:
        study.task(BODY.format(space=self._space, **self._settings))

    def _change_space(self) -> None:
        change = self._chance.choice(["extend", "shrink", "reorder"])
        if change == "extend":
            first = max(self._space) + 1
            self._space += range(first, first + self._chance.randint(1, 20))
        elif change == "shrink":
            self._space = self._space[: max(5, len(self._space) // 2)]
        self._chance.shuffle(self._space)

    def _disturb(self, study: Study) -> None:
        """Run, and kill or stop what is running, once or more often."""
        psy = study.start("run")
        # While it imports, nothing happens to the run.
        eventually(lambda: children_of(psy.pid) or psy.poll() is not None)
        for _ in range(self._chance.randint(1, 2)):
            time.sleep(self._chance.uniform(0, 0.5))
            number = self._chance.choice([signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT])
            for pid in _victims(psy, self._chance.choice(VICTIMS)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        out, err = psy.communicate(timeout=SECONDS_TO_END)
        known = {0, 1, 3, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
        assert psy.returncode in known, f"exit code {psy.returncode}\n{out}\n{err}"
        # A killed job's last words may be a traceback, which psy then shows.
        assert "Traceback" not in _without_ignored(err) or "gave up" in err, err

    def _finish(self, study: Study) -> None:
        _wait_until_alone(study)
        done = _done(study)
        study.calls()
        (study.tasks / "repaired").touch()
        study.is_apart = False  # nobody kills these
        study.psy("run")
        assert study.rows() == [(f"<{x}>", x, x**2) for x in self._space]
        calls = study.calls()
        assert len(set(calls)) == len(calls), "evaluated twice in one run"
        again = {f"[('x', {x})]" for x in done}.intersection(calls)
        assert not again, f"evaluated again: {sorted(again)}"
        _wait_until_alone(study)
        assert study.executed(study.psy("run").stdout) == []
        _check_left(study)


def _without_ignored(err: str) -> str:
    """Leave out what Python says of a ZipFile that a signal interrupted while it opened."""
    ignored = (
        r"Exception ignored in: <function ZipFile\.__del__ .*\n(?:.*\n)*?AttributeError: .*\n"
    )
    return re.sub(ignored, "", err)


def _victims(psy: subprocess.Popen[str], kind: str) -> list[int]:
    servers, supervisors = children_of(psy.pid), jobs_of(psy.pid)
    workers = [worker for supervisor in supervisors for worker in children_of(supervisor)]
    if psy.poll() is not None:
        return []
    return {
        "psy": [psy.pid],
        "server": servers,
        "supervisor": supervisors,
        "worker": [worker for worker in workers if not is_guard(worker)][:1],
        "all": [psy.pid, *servers, *supervisors, *workers],
    }[kind]


def _done(study: Study) -> set[object]:
    """Return the psets that count as done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return set(study.load()["x"])
        except UsageError:
            return set()


def _wait_until_alone(study: Study) -> None:
    deadline = time.monotonic() + 120
    while left := study.processes():
        assert time.monotonic() < deadline, f"processes {left} are left"
        time.sleep(0.05)


def _check_left(study: Study) -> None:
    run = study.folder / "psy-work" / "t"
    assert Hold(run / "hold", "the run").holder() is None
    left = [path.name for path in run.glob("out/*")]
    assert not left, f"{left} in out\n{study.logs()}"
    names = [str(path.relative_to(run)) for path in run.rglob("*")]
    assert not [name for name in names if ".psytmp" in name or ".new." in name], names


def play(seed: int) -> tuple[int, str]:
    """Play one round in a folder of its own; return the seed and what went wrong, if anything."""
    with tempfile.TemporaryDirectory(prefix="psyflow-chaos-") as folder:
        try:
            Round(seed).play(Path(folder))
        except Exception:
            return seed, traceback.format_exc()
    return seed, ""


def _results(seeds: range, jobs: int) -> Iterator[tuple[int, str]]:
    # Not forked: a round must not inherit the threads and locks of whoever plays it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(play, seeds)


def main(arguments: list[str]) -> int:
    """Play rounds; return 0 if nothing went wrong in any."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--jobs", type=int, default=2, help="rounds at a time")
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.rounds)
    n_failed = 0
    for seed, problem in _results(seeds, options.jobs):
        if problem:
            n_failed += 1
            print(f"FAILED: --seed {seed} --rounds 1: {problem}", flush=True)
    print(f"{n_failed} of {options.rounds} rounds failed.")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
