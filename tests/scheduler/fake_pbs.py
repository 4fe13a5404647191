"""`qsub`, `qstat` and `qdel` of OpenPBS, as far as psyflow uses them, over a fake cluster."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from .fake_cluster import HELD, KILLED, RUNNING, WAITING, Cluster

SERVER = "server"
LETTERS = {WAITING: "Q", HELD: "H", RUNNING: "R"}


def qsub(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="qsub", add_help=False)
    for option in ("-N", "-j", "-o", "-J", "-W", "-q", "-A", "-p", "-P", "-M", "-m", "-S"):
        parser.add_argument(option)
    parser.add_argument("-l", action="append")
    parser.add_argument("-V", action="store_true")
    parser.add_argument("-h", dest="held", action="store_true")
    given = parser.parse_args(words)
    if given.q == "nosuch":
        sys.exit("qsub: Unknown queue")
    indices, throttle = [""], 0
    if given.J:
        first, last, limit = re.fullmatch(r"(\d+)-(\d+)(?:%(\d+))?", given.J).groups()
        assert int(last) > int(first), "qsub: illegal -J value"
        indices, throttle = [str(i) for i in range(int(first), int(last) + 1)], int(limit or 0)
    after = re.findall(r":(\d+)", given.W or "")
    here = {"PBS_O_WORKDIR": str(Path.cwd())}
    number = Cluster().submit(
        given.N, sys.stdin.read(), indices, "PBS_ARRAY_INDEX", after, throttle, given.held, here
    )
    print(f"{number}[].{SERVER}" if given.J else f"{number}.{SERVER}")


def describe(cluster: Cluster, number: str, index: str, name: str) -> dict[str, object]:
    state = cluster.state(number, index)
    if state in LETTERS:
        return {"Job_Name": name, "job_state": LETTERS[state]}
    code = 271 if state == KILLED else int(state)
    return {"Job_Name": name, "job_state": "X" if index else "F", "Exit_status": code}


def qstat(words: list[str]) -> None:
    if "-B" in words:
        print(f"Server: {SERVER}\n    server_state = Active\n    max_array_size = 500")
        print("    default_queue = workq")
        return
    if "-Q" in words:
        times = "resources_max.walltime = 02:00:00\n    resources_default.walltime = 01:00:00"
        print(f"Queue: workq\n    queue_type = Execution\n    {times}")
        return
    cluster, jobs, is_missing = Cluster(), {}, False
    for word in words[words.index("json") + 1 :]:
        match = re.fullmatch(r"(\d+)(\[\])?(\.server)?", word)
        job = cluster.job(match[1]) if match else None
        if job is None:
            print(f"qstat: Unknown Job Id {word}.{SERVER}", file=sys.stderr)
            is_missing = True
            continue
        for index in job.indices:
            name = f"{job.number}[{index}]" if index else job.number
            jobs[f"{name}.{SERVER}"] = describe(cluster, job.number, index, job.name)
    print(json.dumps({"timestamp": 1, "Jobs": jobs}))
    sys.exit(153 if is_missing else 0)


def qdel(words: list[str]) -> None:
    is_missing = False
    for word in words:
        number, index = re.fullmatch(r"(\d+)(?:\[(\d*)\])?(?:\.server)?", word).groups()
        if not Cluster().kill(number, index or None):
            print(f"qdel: Unknown Job Id {word}", file=sys.stderr)
            is_missing = True
    sys.exit(153 if is_missing else 0)


def main(words: list[str]) -> None:
    {"qsub": qsub, "qstat": qstat, "qdel": qdel}[words[0]](words[1:])
