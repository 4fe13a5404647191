"""Run a command, and print as JSON what memory it and all its descendants take at most, together.

A page that several of them share counts once (the sum of their proportional set sizes).
"""

import json
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 0.02


def descendants(pid):
    """Yield a process and all that it has started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from descendants(int(child))


def pss(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


command = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
peak = 0
while command.poll() is None:
    peak = max(peak, sum(map(pss, descendants(command.pid))))
    time.sleep(SECONDS)
print(json.dumps({"peak_mb": peak * 1024 / 1e6}))
sys.exit(command.returncode)
