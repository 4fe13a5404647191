"""Claims from one log by several processes at once, for some seconds: how many, and who waited.

Usage: claimants.py FOLDER PROCESSES SECONDS. Each takes one position after the other.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from psyflow.system.owner import Owner
from psyflow.work.claims import ClaimLog

ENOUGH = 100_000_000


def claimed(folder: Path, name: str, seconds: float) -> dict[str, float]:
    """Claim for so long, and return how that went."""
    log, owner = ClaimLog(folder, ENOUGH), Owner.here()
    n_claims, longest = 0, 0.0
    begin = before = time.monotonic()
    while before - begin < seconds:
        log.claim(owner, name, lambda remaining: 1)
        now = time.monotonic()
        n_claims, longest, before = n_claims + 1, max(longest, now - before), now
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"n": n_claims, "longest": longest, "cpu": usage.ru_utime + usage.ru_stime}


def main() -> None:
    folder, n_processes, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    gate, opener = os.pipe()
    source, sink = os.pipe()
    for index in range(n_processes):
        if os.fork() == 0:
            os.close(opener)
            os.read(gate, 1)  # until the parent has let go of the other end
            told = claimed(folder, f"{index}.rows", seconds)
            os.write(sink, json.dumps(told).encode() + b"\n")
            os._exit(0)
    os.close(opener)
    os.close(sink)
    with os.fdopen(source) as lines:
        told = [json.loads(line) for line in lines]
    n_claims = sum(one["n"] for one in told)
    report = {
        "rate": n_claims / seconds,
        "cpu_us": 1e6 * sum(one["cpu"] for one in told) / n_claims,
        "longest": max(one["longest"] for one in told),
        "fewest": min(one["n"] for one in told),
        "n_claims": n_claims,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
