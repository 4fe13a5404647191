"""A queue that really runs its jobs, behind programs that answer like SHARCNET's.

Called as `sqsub`, `sqjobs` or `sqkill` (which program it is, is the first argument). What it knows
is in files: `<id>.name`, `<id>.after`, `<id>.pid` (it runs), `<id>.over`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(__file__).parent / "queue"


def sqsub(words: list[str]) -> None:
    options: dict[str, str] = {}
    while words[0].startswith("-"):
        option = words.pop(0)
        option, equals, value = option.partition("=")
        options[option] = value if equals else words.pop(0)
    missing = {"-o", "-j", "-r", "-n", "--mpp", "--idfile"} - set(options)
    if missing:
        sys.exit(f"sqsub: missing {sorted(missing)}")
    jobid = str(700 + len(list(STATE.glob("*.name"))))
    (STATE / f"{jobid}.name").write_text(" ".join(words).replace("\n", " "))
    (STATE / f"{jobid}.after").write_text(options.get("-w", ""))
    print(f"submitted as jobid {jobid}")
    if os.fork() == 0:
        detach()
        run(jobid, words, options["-o"])
    Path(options["--idfile"]).write_text(f"{jobid}\n")


def detach() -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)


def run(jobid: str, words: list[str], log: str) -> None:
    (STATE / f"{jobid}.runner").write_text(str(os.getpid()))
    while waits(jobid):
        time.sleep(0.02)
    if not (STATE / f"{jobid}.over").exists():
        with Path(log).open("wb") as output:
            child = subprocess.Popen(words, stdout=output, stderr=output, start_new_session=True)
        (STATE / f"{jobid}.pid.new").write_text(str(child.pid))
        (STATE / f"{jobid}.pid.new").rename(STATE / f"{jobid}.pid")
        if (STATE / f"{jobid}.over").exists():  # killed when nobody knew the number yet
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        (STATE / f"{jobid}.over").touch()
    os._exit(0)


def waits(jobid: str) -> bool:
    after = (STATE / f"{jobid}.after").read_text()
    return not (STATE / f"{jobid}.over").exists() and any(
        not (STATE / f"{other}.over").exists() for other in after.split(",") if other
    )


def sqjobs(wanted: list[str]) -> None:
    lines = []
    for path in sorted(STATE.glob("*.name")):
        if not (STATE / f"{path.stem}.over").exists() and (not wanted or path.stem in wanted):
            running = (STATE / f"{path.stem}.pid").exists()
            state = "R" if running else "*Q" if waits(path.stem) else "Q"
            lines.append(f"{path.stem} serial {state:>5} 1 n17 0.1m {path.read_text()}")
    if not lines:
        sys.exit(1)
    print(" jobid  queue state ncpus nodes time command")
    print("------ ------ ----- ----- ----- ---- -------")
    print("\n".join(lines))


def sqkill(jobids: list[str]) -> None:
    for jobid in jobids:
        if (STATE / f"{jobid}.over").exists():
            sys.exit(f"sqkill: no job {jobid}")
        (STATE / f"{jobid}.over").touch()
        pid = STATE / f"{jobid}.pid"
        if pid.exists():
            os.killpg(int(pid.read_text()), signal.SIGKILL)


if __name__ == "__main__":
    {"sqsub": sqsub, "sqjobs": sqjobs, "sqkill": sqkill}[sys.argv[1]](sys.argv[2:])
