"""`hq` of HyperQueue, as far as psyflow uses it, over a fake cluster."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time

from .fake_cluster import HELD, KILLED, RUNNING, WAITING, Cluster, Job

STATES = {WAITING: "waiting", HELD: "waiting", RUNNING: "running", KILLED: "canceled"}
STATES_IN_ORDER = ("running", "finished", "failed", "canceled", "waiting")


def submit(words: list[str], *, is_json: bool) -> None:
    parser = argparse.ArgumentParser(prog="hq submit", add_help=False, allow_abbrev=False)
    for option in ("--name", "--stdout", "--stderr", "--array", "--cpus", "--nodes", "--pin"):
        parser.add_argument(option)
    for option in ("--priority", "--crash-limit", "--time-request"):
        parser.add_argument(option)
    parser.add_argument("--resource", action="append")
    parser.add_argument("commands", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    command = given.commands[1:] if given.commands[:1] == ["--"] else given.commands
    if len(given.name.encode()) > 40:
        sys.exit("error: name cannot be more than 40 characters")
    if given.cpus == "0":
        sys.exit("error: Zero resources cannot be requested")
    assert (given.stdout, given.stderr) == ("none", "none")
    indices = [""]
    if given.array:
        first, last = given.array.split("-")
        indices = [str(i) for i in range(int(first), int(last) + 1)]
    script = f"exec {shlex.join(command)}\n"
    number = int(Cluster().submit(given.name, script, indices, "HQ_TASK_ID", []))
    print(json.dumps({"id": number}) if is_json else f"Job submitted, job ID: {number}")


def selected(selector: str) -> list[Job]:
    found = []
    for number in selector.split(","):
        job = Cluster().job(number)
        if job is None:
            print(f"[ERROR] Job {number} not found", file=sys.stderr)
        else:
            found.append(job)
    return found


def task(job: Job, index: str) -> dict[str, object]:
    told = Cluster().state(job.number, index)
    state = STATES.get(told, "finished" if told == "0" else "failed")
    described: dict[str, object] = {"id": int(index or 0), "state": state}
    if state == "failed":
        described["error"] = f"Program terminated with exit code {told}."
    return described


def describe(job: Job) -> dict[str, object]:
    tasks = [task(job, index) for index in job.indices]
    states = [str(task["state"]) for task in tasks]
    info = {
        "id": int(job.number),
        "name": job.name,
        "task_count": len(tasks),
        "task_stats": {state: states.count(state) for state in STATES_IN_ORDER},
    }
    return {"info": info, "tasks": tasks}


def info(words: list[str]) -> None:
    print(json.dumps([describe(job) for job in selected(words[0])]))


def listing(words: list[str]) -> None:
    numbers = sorted(path.stem for path in Cluster().folder.glob("*.job"))
    print(json.dumps([describe(job)["info"] for job in selected(",".join(numbers))]))


def wait(words: list[str]) -> None:
    jobs = selected(words[0])
    members = [(job.number, index) for job in jobs for index in job.indices]
    while not all(Cluster().is_over(*member) for member in members):
        time.sleep(0.05)
    sys.exit(any(Cluster().state(*member) != "0" for member in members))


def cancel(words: list[str]) -> None:
    for job in selected(words[0]):
        Cluster().kill(job.number, None)


def main(words: list[str]) -> None:
    words = words[1:]  # the program's name
    is_json = words[0] == "--output-mode=json"
    words = words[1:] if is_json else words
    if words[0] == "submit":
        submit(words[1:], is_json=is_json)
    else:
        assert words[0] == "job"
        {"info": info, "list": listing, "wait": wait, "cancel": cancel}[words[1]](words[2:])
