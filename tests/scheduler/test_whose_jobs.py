"""Two clusters give away the same numbers: nobody's job but the recorded one is believed or ended.

The same tests run over two real Slurms and over two fake ones, which share the folder of a study.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from psyflow.testing import FakeSlurm
from psyflow.testing.schedulers import until
from tests.support.place import Place

from .conftest import require
from .private_slurm import running_slurm, why_not

PATIENCE = 300
TASK = """
import time
from pathlib import Path
from psyflow import Param
from psyflow.scheduler import Slurm

HERE = Path(__file__).parent
scheduler = Slurm()
scheduler_args = {"timelimit": "5"}
max_jobs = 2
pspace = Param(x=range(4))

def execute(x):
    while not (HERE / "go").exists():
        time.sleep(0.05)
    return {"y": x**2}
"""


@dataclass
class Site:
    """A cluster, and how it is reached."""

    name: str
    environment: Mapping[str, str]
    others: set[str] = field(default_factory=set)
    """The ids of jobs that are nobody's business here."""

    def ask(self, *command: str) -> str:
        answer = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    def submit(self, name: str, *options: str) -> int:
        words = ("--parsable", f"--job-name={name}", "--output=/dev/null", "--time=5")
        job = self.ask("sbatch", *words, *options, "--wrap=sleep 300")
        self.others.add(job)
        return int(job)

    def alive(self) -> set[str]:
        listed = self.ask("squeue", "--noheader", "--states=PD,R", "--format=%F")
        return set(listed.split())

    def end_all(self) -> None:
        for job in self.alive():
            self.ask("scancel", job)
        until(lambda: not self.alive(), "no job is left", PATIENCE)


@dataclass
class Study:
    place: Place
    x: Site
    y: Site

    def psy(self, site: Site, *words: str) -> subprocess.CompletedProcess[str]:
        return self.place.program(*words, env=site.environment)

    def report(self, site: Site) -> dict[str, list[str]]:
        told: dict[str, dict[str, list[str]]] = json.loads(
            self.psy(site, "status", "--json", "t").stdout
        )
        return told["t"]

    def states(self) -> set[str]:
        """Return the states of the process jobs, as X tells them."""
        jobs: list[dict[str, str]] = self.report(self.x)["job_details"]  # type: ignore[assignment]
        return {job["state"] for job in jobs if job["name"].startswith("t:process")}

    @property
    def records(self) -> Path:
        return self.place.work / "t" / "jobs.jsonl"

    def begin(self, state: str = "running") -> list[str]:
        """Have jobs at work on X, and others of the same numbers on Y; return the numbers."""
        first = self._next_number()
        assert self.psy(self.x, "run", "t").returncode == 0
        until(lambda: self.states() == {state}, f"the process jobs are {state}", PATIENCE)
        records = map(json.loads, self.records.read_text().splitlines())
        numbers = [record["jobid"] for record in records if record["jobid"]]
        assert int(numbers[0]) == first
        for name in ("mine", "yours", "theirs", "ours"):
            self.y.submit(name)
        assert set(numbers) <= self.y.others
        return numbers

    def _next_number(self) -> int:
        """Bring both clusters to where they give away the same number next."""
        last = {"x": self.x.submit("first"), "y": self.y.submit("first")}
        while last["x"] != last["y"]:
            behind = min(last, key=lambda name: last[name])
            last[behind] = getattr(self, behind).submit("first")
        for site in (self.x, self.y):
            site.end_all()
            site.others.clear()
        return last["x"] + 1

    def change_records(self, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
        lines = map(json.loads, self.records.read_text().splitlines())
        self.records.write_text("".join(f"{json.dumps(change(line))}\n" for line in lines))


@contextlib.contextmanager
def fake_sites() -> Iterator[tuple[Site, Site]]:
    with FakeSlurm(cluster="xanadu", slots=4) as x, FakeSlurm(cluster="yonder", slots=4) as y:
        yield tuple(Site(s.settings.cluster, {"PATH": s.environment["PATH"]}) for s in (x, y))


@contextlib.contextmanager
def real_sites() -> Iterator[tuple[Site, Site]]:
    require("Slurm", why_not())
    with running_slurm(name="xanadu") as x, running_slurm(name="yonder") as y:
        yield tuple(Site(s.name, {"SLURM_CONF": str(s.configuration)}) for s in (x, y))


@pytest.fixture(scope="module", params=[fake_sites, real_sites], ids=["fake", "real"])
def sites(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Site]]:
    with request.param() as pair:
        yield pair


@pytest.fixture
def study(sites: tuple[Site, Site], tmp_path: Path) -> Iterator[Study]:
    place = Place(tmp_path)
    place.task("t", TASK)
    yield Study(place, *sites)
    for site in sites:
        site.end_all()
        site.others.clear()


def test_from_another_cluster_nothing_is_ended_and_status_says_where_the_jobs_are(
    study: Study,
) -> None:
    study.begin()
    jobs_of_x = study.x.alive()
    assert len(jobs_of_x) >= 2
    seen = study.psy(study.y, "status", "t")
    assert "unknown (submitted on xanadu)" in seen.stderr
    killed = study.psy(study.y, "kill", "-y", "t")
    assert (killed.returncode, killed.stdout) == (3, "")
    assert "was submitted on xanadu, not on yonder" in killed.stderr
    assert "On xanadu, type: psy kill t." in killed.stderr
    assert "psy kill --forget t" in killed.stderr
    again = study.psy(study.y, "run", "t")
    assert "submitted on xanadu" in again.stderr
    assert study.y.alive() == study.y.others
    assert study.x.alive() == jobs_of_x
    (study.place.folder / "psy-tasks/go").touch()
    until(lambda: not study.report(study.x)["jobs"], "the work on X is done", PATIENCE)
    assert study.place.result("t")["y"] == [0, 1, 4, 9]
    for site in (study.x, study.y):
        assert study.report(site)["up_to_date"]
        assert study.report(site)["jobs"] == []


def test_where_they_were_submitted_the_jobs_are_ended_and_no_others(study: Study) -> None:
    numbers = study.begin()
    other = study.x.submit("t:process")
    killed = study.psy(study.x, "kill", "-y", "t")
    assert killed.returncode == 0, killed.stderr
    assert {f"t: killed job {number}" for number in numbers[1:]} <= set(killed.stdout.splitlines())
    assert study.x.alive() == {str(other)}
    assert study.y.alive() == study.y.others


def test_jobs_that_were_accepted_though_nobody_noted_it_are_found_by_their_marks(
    study: Study,
) -> None:
    study.begin()
    lines = study.records.read_text().splitlines()
    intents = [line for line in lines if json.loads(line)["jobid"] is None]
    # As if `psy run` had died each time between the acceptance of a job and its record.
    study.records.write_text("".join(f"{line}\n" for line in intents))
    assert "running" in str(study.report(study.x)["jobs"])
    again = study.psy(study.x, "run", "t")
    assert "at work" in again.stderr
    killed = study.psy(study.x, "kill", "-y", "t")
    assert killed.returncode == 0, killed.stderr
    until(lambda: not study.x.alive(), "the jobs on X are over", PATIENCE)
    assert study.y.alive() == study.y.others


def test_clusters_of_one_name_are_told_apart_by_the_marks_of_jobs(study: Study) -> None:
    study.begin()
    study.change_records(lambda line: {**line, "cluster": "yonder"})
    assert "running" not in str(study.report(study.y)["jobs"])
    killed = study.psy(study.y, "kill", "-y", "t")
    assert killed.returncode == 0, killed.stderr
    assert "it is another job, and the recorded one is gone" in killed.stderr
    assert study.y.alive() == study.y.others


def test_same_task_of_another_study_is_somebody_elses(study: Study) -> None:
    study.begin()
    study.y.end_all()
    study.y.others.clear()
    numbers = [study.y.submit(f"t:{step}") for step in ("split", "process", "merge")]
    new = iter(numbers)
    study.change_records(
        lambda line: {
            **line,
            "cluster": "yonder",
            "jobid": line["jobid"] and str(next(new)),
        }
    )
    study.psy(study.y, "kill", "-y", "t")
    assert study.y.alive() == set(map(str, numbers))


def without_marks(line: dict[str, object]) -> dict[str, object]:
    return {name: line[name] for name in ("run_id", "step", "jobid", "owner", "time")}


def test_records_of_old_are_believed_if_the_names_agree(study: Study) -> None:
    study.begin()
    jobs = {
        "split": study.x.submit("t:split", "--hold"),
        "process:0-1": study.x.submit("t:process", "--array=0-1"),
        "merge": study.x.submit("t:merge", "--hold"),
    }
    other = study.x.submit("other")
    study.change_records(
        lambda line: {
            **without_marks(line),
            "jobid": line["jobid"] and str(jobs[str(line["step"])]),
        }
    )
    until(lambda: study.states() == {"running"}, "what has the names is believed", PATIENCE)
    killed = study.psy(study.x, "kill", "-y", "t")
    assert {f"t: killed job {job}" for job in jobs.values()} <= set(killed.stdout.splitlines())
    assert study.x.alive() & study.x.others == {str(other)}


def test_records_of_old_are_not_believed_if_the_names_differ(study: Study) -> None:
    study.begin()
    study.change_records(without_marks)
    killed = study.psy(study.y, "kill", "-y", "t")
    assert "it is another job, and the recorded one is gone" in killed.stderr
    assert study.y.alive() == study.y.others


def test_what_is_taken_for_gone_blocks_nobody(study: Study) -> None:
    study.place.task("t", TASK.replace('"5"}', '"5", "hold": True}'))
    study.begin("held")
    jobs_of_x = study.x.alive()
    told = study.psy(study.y, "kill", "--forget", "t")
    assert (told.returncode, told.stdout) == (0, "")
    assert "taken for gone, and not ended" in told.stderr
    assert study.report(study.y)["jobs"] == []
    assert "held" in str(study.report(study.x)["jobs"]), "X knows better"
    assert study.x.alive() == jobs_of_x
    assert study.y.alive() == study.y.others


def test_names_are_readable_where_psy_shows_them(study: Study) -> None:
    study.begin()
    details = study.report(study.x)["job_details"]
    assert [job["name"] for job in details if job["name"]] == [  # type: ignore[index]
        "t:split",
        "t:process:0",
        "t:process:1",
        "t:merge",
    ]
    told = study.x.ask("squeue", "--noheader", "--format=%j")
    assert all(name.startswith("t:") and len(name.split(".")[1]) == 6 for name in told.split())


def test_one_query_tells_whose_jobs_they_are(study: Study, tmp_path: Path) -> None:
    study.begin()
    calls = tmp_path / "calls"
    programs = tmp_path / "counting"
    programs.mkdir()
    for name in ("squeue", "scontrol", "sacct"):
        path = study.x.environment.get("PATH", os.environ["PATH"])
        (programs / name).write_text(
            f'#!/bin/sh\necho {name} >>{calls}\nPATH="{path}" exec {name} "$@"\n'
        )
        (programs / name).chmod(0o755)
    path = f"{programs}:{study.x.environment.get('PATH', os.environ['PATH'])}"
    told = study.place.program("status", "t", env={**study.x.environment, "PATH": path})
    assert "running" in told.stderr
    assert sorted(calls.read_text().split()) == ["scontrol", "squeue"]
    calls.unlink()
    study.place.task("never", TASK)
    study.place.program("status", "never", env={**study.x.environment, "PATH": path})
    assert not calls.exists()


def test_cluster_that_was_set_up_anew_gives_the_numbers_to_others(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.task("t", TASK.replace('"5"}', '"5", "hold": True}'))
    with FakeSlurm() as slurm:
        study = Study(place, *2 * [Site("fake", {"PATH": slurm.environment["PATH"]})])
        assert study.psy(study.x, "run", "t").returncode == 0
        assert study.report(study.x)["job_states"]["held"] == 4  # type: ignore[call-overload]
    with FakeSlurm() as slurm:
        site = Site("fake", {"PATH": slurm.environment["PATH"]})
        for name in ("mine", "yours", "t:merge"):
            site.submit(name)
        assert "unknown" in study.psy(site, "status", "t").stderr
        assert study.psy(site, "kill", "-y", "t").returncode == 0
        assert site.alive() == site.others
        assert "jobs are submitted" in study.psy(site, "run", "t").stderr
        site.end_all()
