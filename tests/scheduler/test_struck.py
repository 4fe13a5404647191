"""`psy run` is killed at a system call while it submits: nothing stays half-submitted or unfound.

The cluster accepts jobs and never starts them, so that what it has accepted can be counted.
"""

from __future__ import annotations

import collections
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest

from psyflow.record.plan import new_run_id
from tests.durability.requirements import need_recorder
from tests.support.place import Place
from tests.support.processes import MARK, eventually

from .fake_programs import FakePrograms
from .private_slurm import PrivateSlurm

N_STRIKES, N_REAL_STRIKES = 12, 3
# What changes something, or waits for what somebody else changes.
CALLS = ("vfork", "wait4", "poll", "write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir")
BODY = """
prologue = ["export A=1"]
epilogue = ["true"]
job_prefix = "lab-"
max_jobs = 2
pspace = Param(x=range(4))

def execute(x):
    return {"y": x**2}
"""
HERE = "from psyflow import Param\n" + BODY
AWAY = (
    "from psyflow import Param\nfrom psyflow.scheduler import Slurm\nscheduler = Slurm()\n"
    "scheduler_args = ARGS\n" + BODY
)
SBATCH = """
n=1; until mkdir "$JOBS/$n" 2>/dev/null; do n=$((n+1)); done
for word in "$@"; do
    case $word in --job-name=*) name=${word#*=};; --array=*) members=_[${word#*=}];; esac
done
cat > "$JOBS/$n/script"
[ -s "$JOBS/$n/script" ] || { echo 'sbatch: error: Batch script is empty!' >&2; exit 1; }
echo "$n$members|PD|Priority|$name" > "$JOBS/$n/line"
echo $n
"""
SQUEUE = 'cat "$JOBS"/*/line 2>/dev/null || :'
SCANCEL = 'for word in "$@"; do rm -f "$JOBS/${word%%_*}/line"; done'


@dataclass
class Site:
    """A place to submit from, and what the cluster has accepted from there."""

    place: Place
    environment: Mapping[str, str]
    words: tuple[str, ...] = ("run", "t")
    told: list[str] = field(default_factory=list)

    def psy(self, *words: str) -> subprocess.CompletedProcess[str]:
        with mock.patch.dict(os.environ, self.environment):
            return self._noted(self.place.call(*words))

    def doomed(self, *words: str) -> int:
        """Call `psy` as a program, which the cluster kills; return its exit status."""
        return self._noted(self.place.program(*words, env=self.environment)).returncode

    def _noted(self, shown: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
        self.told.append(f"{shown.args}: {shown.returncode}\n{shown.stdout}{shown.stderr}")
        return shown

    def under_strace(self, *options: str) -> int:
        """Call `psy` as its own program, and wait until what it has started is gone, too."""
        shown = subprocess.run(
            ["strace", *options, *self.place.command(*self.words)],
            cwd=self.place.folder,
            env={**os.environ, **self.environment, MARK: str(self.place.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        self.place.wait_until_gone()
        return shown.returncode

    def points(self) -> list[tuple[str, int]]:
        """Return the calls at which to strike, from the first that concerns the run's folder."""
        trace = self.place.folder / "trace"
        assert self.under_strace("-y", "-o", str(trace)) == 0
        counts, found, has_begun = collections.Counter[str](), [], False
        for line in trace.read_text(errors="replace").splitlines():
            name = line.partition("(")[0]
            if name in CALLS:
                counts[name] += 1
                has_begun = has_begun or "psy-work" in line
                if has_begun:
                    found.append((name, counts[name]))
        return found

    def strike(self, call: str, when: int) -> bool:
        """Kill `psy` as it enters a call for the `when`-th time; tell whether it got there."""
        injected = f"inject={call}:signal=SIGKILL:when={when}"
        return self.under_strace("-o", "/dev/null", "-e", f"trace={call}", "-e", injected) != 0

    def steps(self) -> list[str]:
        """Return the steps of the jobs that the cluster has, one for each job or array."""
        listed = subprocess.run(
            ["squeue", "--noheader", "--format=%i|%t|%r|%j"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return sorted(re.findall(r"\|lab-t:(\w+)\.\w+$", listed, re.MULTILINE))

    def check(self, *, may_be_done: bool = False) -> None:
        """See that whatever was left, another `psy run` makes one whole run of it."""
        shown = self.psy("status", "t")
        assert shown.returncode in (0, 1), self.told
        shown = self.psy("run", "t")
        assert shown.returncode == 0, self.told
        steps = self.steps()
        if not (may_be_done and not steps and "up to date" in self.psy("status", "t").stderr):
            assert steps == ["merge", "process", "split"], self.told
        assert self.psy("kill", "t").returncode == 0, self.told
        assert not self.steps(), self.told


def spread(points: list[tuple[str, int]], n: int) -> list[tuple[str, int]]:
    """Return `n` of the points, evenly, the last among them."""
    return [points[len(points) * i // n - 1] for i in range(1, n + 1)]


def accepting(folder: Path, words: tuple[str, ...] = ("run", "t")) -> Site:
    """Return a place with a Slurm of shell scripts."""
    folder.mkdir()
    programs, jobs = FakePrograms(folder / "bin"), folder / "jobs"
    jobs.mkdir()
    programs.says("scontrol", "ClusterName = lab", "MaxArraySize = 101")
    programs.fails("sacct")
    for name, body in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        programs.add(name, body)
    path = f"{programs.folder}:{os.environ['PATH']}"
    return Site(Place(folder), {"PATH": path, "JOBS": str(jobs)}, words)


def submitting(folder: Path) -> Site:
    site = accepting(folder)
    site.place.task("t", AWAY.replace("ARGS", repr({"dependency": "afterok:1234"})))
    return site


def renewing(folder: Path) -> Site:
    """Return a place whose results are there, and some of them are asked for anew."""
    site = accepting(folder, ("run", "--again", "--where", "x>1", "t"))
    site.place.task("t", HERE)
    assert site.place.call("run", "t").returncode == 0
    site.place.task("t", AWAY.replace("ARGS", repr({})))
    return site


@pytest.mark.parametrize("begin", [submitting, renewing])
def test_a_submission_that_is_killed_at_a_system_call(tmp_path: Path, begin: object) -> None:
    need_recorder()
    assert callable(begin)
    whole: Site = begin(tmp_path / "whole")
    points = whole.points()
    whole.check()
    n_struck = 0
    for number, point in enumerate(spread(points, N_STRIKES)):
        site: Site = begin(tmp_path / str(number))
        n_struck += site.strike(*point)
        site.told.append(f"killed at {point}")
        site.check(may_be_done=begin is renewing)
        site.place.end()
    assert n_struck > N_STRIKES // 2


def test_a_lone_split_job_does_not_block_the_next_run(tmp_path: Path) -> None:
    site = submitting(tmp_path / "place")
    programs = tmp_path / "place" / "bin"
    whole = (programs / "sbatch").read_text()
    (programs / "sbatch").write_text(
        whole.replace(
            "#!/bin/sh\n", '#!/bin/sh\ncase "$*" in *--array*) kill -9 $PPID; exit;; esac\n'
        )
    )
    assert site.doomed("run", "t") == -9
    assert site.steps() == ["split"]
    assert "job 1: queued" in site.psy("status", "t").stderr
    assert "4 of 4 items would run" in site.psy("run", "-n", "t").stdout
    (programs / "sbatch").write_text(whole)
    # A job that has begun gets somewhere, and goes on.
    line = tmp_path / "place" / "jobs" / "1" / "line"
    waiting = line.read_text()
    line.write_text(waiting.replace("|PD|", "|R|"))
    assert "has jobs at work" in site.psy("run", "t").stderr
    line.write_text(waiting)
    shown = site.psy("run", "t")
    assert "was broken off, and is made anew. Ended job 1." in shown.stdout + shown.stderr
    assert site.steps() == ["merge", "process", "split"]
    assert "has jobs at work" in site.psy("run", "t").stderr


def test_jobs_that_are_accepted_late_leave_a_newer_run_alone(tmp_path: Path) -> None:
    site = submitting(tmp_path / "place")
    assert site.psy("run", "t").returncode == 0
    scripts = sorted((tmp_path / "place" / "jobs").glob("*/script"))
    assert len(scripts) == 3
    # As if they had been under way to the cluster when this looked for them.
    assert site.psy("kill", "t").returncode == 0
    plans = tmp_path / "place" / "psy-work" / "t" / "plans"
    (old,) = (folder.name for folder in plans.iterdir())
    eventually(lambda: new_run_id().partition("-")[0] > old)
    assert site.psy("run", "t").returncode == 0
    before = sorted(plans.glob("*/*"))
    for script in scripts:
        shown = subprocess.run(
            ["sh", script],
            env={**os.environ, "SLURM_ARRAY_TASK_ID": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 3, shown.stderr
        assert f"has replaced this plan, {old}" in shown.stdout
    assert sorted(plans.glob("*/*")) == before
    assert site.psy("kill", "t").returncode == 0


def striking(site: Site, program: str, case: str) -> str:
    """Have a program of the cluster kill who calls it with some words; return what it was."""
    file = site.place.folder / "bin" / program
    whole = file.read_text()
    strike = f'#!/bin/sh\ncase "$*" in {case}) kill -9 $PPID; exit;; esac\n'
    file.write_text(whole.replace("#!/bin/sh\n", strike))
    return whole


def test_a_kill_that_is_killed(tmp_path: Path) -> None:
    site = submitting(tmp_path / "place")
    assert site.psy("run", "t").returncode == 0
    whole = striking(site, "scancel", "*")
    assert site.doomed("kill", "t") == -9
    (tmp_path / "place" / "bin" / "scancel").write_text(whole)
    # It had come to one of them.
    (tmp_path / "place" / "jobs" / "3" / "line").unlink()
    assert "has jobs at work" in site.psy("run", "t").stderr
    assert site.psy("kill", "t").returncode == 0
    assert not site.steps()
    assert site.psy("run", "t").returncode == 0
    assert site.steps() == ["merge", "process", "split"]


def test_a_continuation_that_is_killed(tmp_path: Path) -> None:
    site = submitting(tmp_path / "place")
    assert site.psy("run", "t").returncode == 0
    folders = [tmp_path / "place" / "jobs" / number for number in "123"]
    for folder in folders:
        (folder / "line").unlink()
    # One of two process jobs runs, and the merge job dies as it submits the next.
    whole = striking(site, "sbatch", "*--array*")
    environment = {**os.environ, **site.environment, "SLURM_ARRAY_TASK_ID": "0"}
    jobs = [
        subprocess.run(
            ["sh", folder / "script"], env=environment, capture_output=True, check=False
        )
        for folder in folders
    ]
    assert [job.returncode == 0 for job in jobs] == [True, True, False], jobs
    assert site.steps() == ["split"]
    shown = site.psy("status", "t")
    assert "2 out of 4 rows" in shown.stdout
    assert "job 4: queued" in shown.stderr
    (tmp_path / "place" / "bin" / "sbatch").write_text(whole)
    shown = site.psy("run", "t")
    assert "was broken off, and is made anew. Ended job 4." in shown.stdout + shown.stderr
    assert site.steps() == ["merge", "process", "split"]
    assert site.psy("kill", "t").returncode == 0
    assert not site.steps()


def test_a_real_slurm_has_nothing_half_submitted(tmp_path: Path, slurm: PrivateSlurm) -> None:
    need_recorder()

    def begin(name: str) -> Site:
        (tmp_path / name).mkdir()
        site = Site(Place(tmp_path / name), {"SLURM_CONF": str(slurm.configuration)})
        site.place.task("t", AWAY.replace("ARGS", repr({"hold": True})))
        return site

    whole = begin("whole")
    waiting = [point for point in whole.points() if point[0] in ("poll", "wait4")]
    whole.check()
    for number, point in enumerate(spread(waiting, N_REAL_STRIKES)):
        site = begin(str(number))
        site.strike(*point)
        site.told.append(f"killed at {point}")
        site.check()
        site.place.end()
