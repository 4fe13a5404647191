"""The program of Flux, as far as psyflow uses it, over a fake cluster."""

from __future__ import annotations

import argparse
import re
import sys

from .fake_cluster import HELD, KILLED, RUNNING, WAITING, Cluster

STATES = {WAITING: "SCHED", HELD: "DEPEND", RUNNING: "RUN"}
LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def f58(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = LETTERS[digit] + text
    return f"ƒ{text or '1'}"


def batch(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="flux batch", add_help=False)
    for option in (
        "job-name",
        "output",
        "nslots",
        "time-limit",
        "cores-per-slot",
        "gpus-per-slot",
    ):
        parser.add_argument(f"--{option}")
    for option in ("nodes", "queue", "bank", "requires", "urgency"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--dependency", action="append", default=[])
    parser.add_argument("--exclusive", action="store_true")
    given = parser.parse_args(words)
    if given.queue == "nosuch":
        sys.exit("flux-batch: ERROR: [Errno 22] Invalid queue 'nosuch' specified")
    assert re.fullmatch(r"\d+s", given.time_limit or "1s")
    after = [re.fullmatch(r"after\w*:(\d+)", word)[1] for word in given.dependency]
    for number in after:
        if Cluster().job(number) is None:
            sys.exit(f"flux-batch: ERROR: dependency: job {number} not found")
    number = Cluster().submit(given.job_name, sys.stdin.read(), [""], "NO_INDEX", after)
    print(f58(int(number)))


def jobs(words: list[str]) -> None:
    cluster, is_missing = Cluster(), False
    numbers = [word for word in words if word.isdecimal()]
    numbers = numbers or [path.stem for path in cluster.folder.glob("*.job")]
    for number in numbers:
        job = cluster.job(number)
        if job is None:
            print(f"flux-jobs: ERROR: JobID {number} unknown", file=sys.stderr)
            is_missing = True
            continue
        state = cluster.state(number, "")
        code = "" if state in STATES else "-128" if state == KILLED else state
        result = {"": "", "0": "COMPLETED", "-128": "CANCELED"}.get(code, "FAILED")
        shown = STATES.get(state, "INACTIVE")
        if "-a" in words or shown != "INACTIVE":
            print(f"{number}|{shown}|{result}|{code}||16|{job.name}")
    sys.exit(1 if is_missing else 0)


def cancel(words: list[str]) -> None:
    missing = [word for word in words if not Cluster().kill(word, None)]
    for word in missing:
        print(f"flux-cancel: ERROR: {word}: job id {word} not found", file=sys.stderr)
    sys.exit(1 if missing else 0)


def main(words: list[str]) -> None:
    words = [word for word in words if word != "--parent"]
    {"batch": batch, "jobs": jobs, "cancel": cancel}[words[0]](words[1:])
