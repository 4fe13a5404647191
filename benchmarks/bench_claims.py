"""Claims from one log by 64 processes at once, against those of one.

All claim again at once, which no workers do: so this is what the log can bear. Targets: 0.8 × the
rate of one, nobody waits for more than 0.3 s, and less than 25 calls of the system for a claim,
where there were 42. A claim by one process alone needs six of them, at most seven.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure
from benchmarks.measure import Contender, interleaved, measured

MANY = 64


def run(environment: Environment) -> Iterator[Figure]:
    contenders = {n: _contender(environment, n) for n in (1, MANY)}
    samples = interleaved({str(n): c for n, c in contenders.items()}, environment.repeats(5))
    one, many = samples["1"], samples[str(MANY)]
    rate, alone = many.reported("rate"), one.reported("rate")
    cpu = many.reported("cpu_us") / one.reported("cpu_us")
    yield Figure(
        f"claims a second by {MANY} processes from one log",
        f"{rate:.0f}",
        rate / alone,
        "×",
        0.8,
        "one process",
        f"{alone:.0f}",
        at_least=True,
        note=f"CPU of a claim {many.reported('cpu_us'):.0f} µs, {cpu:.1f} × as much; "
        f"fewest claims of one process {many.reported('fewest'):.0f}",
    )
    longest = many.reported("longest")
    yield Figure(f"longest wait of {MANY} processes", f"{longest:.2f} s", longest, "s", 0.3)
    if shutil.which("strace"):
        for n, most in ((1, 7.0), (8, 25.0)):
            calls = _calls(environment, n)
            what = f"calls of the system for a claim, {n} processes"
            yield Figure(what, f"{calls:.1f}", calls, "calls", most)


def _contender(environment: Environment, n: int) -> Contender:
    folder, numbers = environment.folder(f"claims-{n}"), iter(range(1000))
    log, seconds = folder / "log", 1 if environment.is_quick else 3

    def before() -> None:
        # Nothing is removed: see the README.
        if log.exists():
            log.rename(folder / f"old-{next(numbers)}")

    command = environment.program("claimants.py", str(log), str(n), str(seconds))
    return Contender([command], folder, before)


def _calls(environment: Environment, n: int) -> float:
    folder = environment.folder(f"claims-traced-{n}")
    program = environment.program("claimants.py", str(folder / "log"), str(n), "2")
    traced = ["strace", "-f", "-e", "trace=file,desc", "-o", str(folder / "trace"), *program]
    n_claims = measured(Contender([traced], folder)).report["n_claims"]
    # What the names in the log and descriptors have to do with, not what importing reads.
    return _in_log(folder / "trace") / float(n_claims)


def _in_log(trace: Path) -> int:
    names, n_calls = ("/log",), 0
    open_files: dict[tuple[str, str], bool] = {}
    for line in trace.read_text(errors="replace").splitlines():
        pid, _, call = line.partition(" ")
        name, _, rest = call.strip().partition("(")
        is_of_log = any(part in rest for part in names)
        descriptor = rest.partition(",")[0].partition(")")[0]
        if is_of_log or open_files.get((pid, descriptor), False):
            n_calls += 1
        if name == "openat" and is_of_log:
            open_files[pid, call.rpartition("= ")[2].split()[0]] = True
        elif name == "close":
            open_files.pop((pid, descriptor), None)
    return n_calls
