"""Recorded ids that are somebody else's jobs by now, for the tests of every scheduler."""

from __future__ import annotations

import json

from psyflow.scheduler import Scheduler
from psyflow.testing.schedulers import until
from tests.support.place import Place

ALIVE = {"Q", "*Q", "R"}
BODY = """
max_jobs = 2

def execute(x):
    return {"y": x**2}
"""


def check_reused_ids(place: Place, scheduler: Scheduler, head: str) -> None:
    """See that jobs are told by their marks: nobody's job is ended, or believed, for its number.

    Parameters
    ----------
    place : Place
    scheduler : Scheduler
        The one that the task has.
    head : str
        Python that sets ``scheduler``, and ``scheduler_args`` if need be.
    """
    go = place.folder / "go"
    # The jobs run, but psyflow does not begin in them: what they note of themselves would come
    # between.
    waits = f"until [ -e '{go}' ]; do sleep 0.05; done"
    imports = f"from psyflow import Param\nprologue = [{waits!r}]\n"
    place.task("t", imports + head + "\npspace = Param(x=range(4))\n" + BODY)
    assert place.program("run").returncode == 0
    jobs_file = place.work / "t" / "jobs.jsonl"
    records = [json.loads(line) for line in jobs_file.read_text().splitlines()]
    ours = [record["jobid"] for record in records if record["jobid"]]
    args, log = ["sleep", "600"], str(place.folder / "log")
    one = scheduler.submit(args, log, "t:split")
    many = scheduler.submit_array(2, args, log, "t:process")
    try:
        now = {"split": many, "merge": one}
        changed = [{**r, "jobid": r["jobid"] and now.get(r["step"], one)} for r in records]
        jobs_file.write_text("".join(f"{json.dumps(record)}\n" for record in changed))
        assert _words(place) == {"unknown"}
        killed = place.program("kill", "-y", "t")
        assert killed.returncode == 0, killed.stderr
        assert killed.stderr.count("it is another job, and the recorded one is gone") >= 2
        found = scheduler.get_statuses([one, many, f"{many}_0", f"{many}_1"])
        assert {status.status for status in found.values()} <= ALIVE
        jobs_file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
        assert "unknown" not in _words(place), "the right numbers are believed"
    finally:
        # The last first, so that nothing begins which waits for what is killed.
        scheduler.kill_jobs([*reversed(ours), one, many])
        go.touch()
    until(lambda: not _alive(scheduler, [*ours, one, many]), "all are gone", 180)


def _words(place: Place) -> set[str]:
    told = json.loads(place.call("status", "--json", "t").stdout)["t"]
    return {job["state"] for job in told["job_details"]}


def _alive(scheduler: Scheduler, jobids: list[str]) -> set[str]:
    return {s.status for s in scheduler.get_statuses(jobids).values()} & ALIVE
