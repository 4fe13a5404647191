"""The programs of LSF, as far as psyflow uses them, over a fake cluster."""

from __future__ import annotations

import argparse
import re
import sys

from .fake_cluster import HELD, KILLED, RUNNING, WAITING, Cluster

REASONS = {
    WAITING: "New job is waiting for scheduling;",
    HELD: "Job dependency condition not satisfied;",
}
STATES = {WAITING: "PEND", HELD: "PEND", RUNNING: "RUN", "0": "DONE"}


def bsub(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bsub", add_help=False)
    for option in ("-J", "-o", "-w", "-W", "-M", "-n", "-P", "-q", "-R", "-G", "-gpu"):
        parser.add_argument(option)
    for option in ("-x", "-H"):
        parser.add_argument(option, action="store_true")
    given = parser.parse_args(words)
    if given.q == "nosuch":
        sys.exit("nosuch: No such queue. Job not submitted.")
    match = re.fullmatch(r"([^\[]+)(?:\[1-(\d+)\](?:%(\d+))?)?", given.J)
    name, size, limit = match.groups()
    indices = [str(i) for i in range(1, int(size) + 1)] if size else [""]
    after = re.findall(r"ended\((\d+)\)", given.w or "")
    number = Cluster().submit(
        name, sys.stdin.read(), indices, "LSB_JOBINDEX", after, int(limit or 0), given.H
    )
    print(f"Job <{number}> is submitted to queue <{given.q or 'normal'}>.")


def bjobs(words: list[str]) -> None:
    cluster, is_missing = Cluster(), False
    fields = words[words.index("-o") + 1]
    for word in words[words.index("-o") + 2 :]:
        job = cluster.job(word)
        if job is None:
            print(f"Job <{word}> is not found", file=sys.stderr)
            is_missing = True
            continue
        for index in job.indices:
            state = cluster.state(word, index)
            if "pend_reason" in fields:
                print(f"{word}|{index or 0}|{REASONS.get(state, '-')}")
                continue
            stat = "PSUSP" if job.held and state == HELD else STATES.get(state, "EXIT")
            code = "-" if state in STATES else "130" if state == KILLED else state
            reason = "TERM_OWNER: job killed by owner" if state == KILLED else "-"
            name = f"{job.name}[{index}]" if index else job.name
            print(f"{word}|{index or 0}|{stat}|{code}|{reason}|{name}")
    sys.exit(255 if is_missing else 0)


def bkill(words: list[str]) -> None:
    is_missing = False
    for word in words:
        number, index = re.fullmatch(r"(\d+)(?:\[(\d+)\])?", word).groups()
        if not Cluster().kill(number, index):
            print(f"Job <{word}>: No matching job found", file=sys.stderr)
            is_missing = True
    sys.exit(255 if is_missing else 0)


def bparams(words: list[str]) -> None:
    print("    MAX_JOB_ARRAY_SIZE = 1000")


def lsid(words: list[str]) -> None:
    print("IBM Spectrum LSF Standard 10.1.0.0, Jan 01 2020")
    print("My cluster name is lonely\nMy master name is host")


def main(words: list[str]) -> None:
    programs = {"bsub": bsub, "bjobs": bjobs, "bkill": bkill, "bparams": bparams, "lsid": lsid}
    programs[words[0]](words[1:])
