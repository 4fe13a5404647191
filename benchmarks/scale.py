"""What saturates first when a run has very many workers, and which setting moves that.

    .venv/bin/python -m benchmarks.scale                     # table, for three kinds of place
    .venv/bin/python -m benchmarks.scale --here DIR          # for the folder DIR, measured
    .venv/bin/python -m benchmarks.scale --plot scale.svg    # needs matplotlib

The claim log, the supervisor's dealing, leases, shards and their readers are psyflow's own, run
in one process on a clock of their own, on real files. What they do with files is counted, and each
operation takes as long as it does in the place that is asked about. Jobs are told apart, but not
hosts: what a host remembers of a file server's answers is asked again here. Where all that would
take too long (~), the claims are those of the formula by which `psy doctor` goes.

Targets: with 1000 workers, at most 0.1 fsyncs for each worker and second, and at most 100
operations a second in any one folder. The exit code is 1 if one is missed, or if what is counted
is not what `psy doctor` goes by.
"""

from __future__ import annotations

import argparse
import heapq
import importlib.util
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

# Before psyflow, some of which takes functions that are counted out of `os`.
from benchmarks.operations import counting, during  # isort: skip

import numpy as np

from benchmarks.figures import Figure, table
from psyflow.doctor import bearing
from psyflow.doctor.bearing import OPERATIONS, Latencies
from psyflow.doctor.latency import measure
from psyflow.outcomes.shard import ShardReader, ShardWriter
from psyflow.system import lease as lease_module
from psyflow.system.lease import Lease
from psyflow.work import crowd, numbered
from psyflow.work.asked import Questions
from psyflow.work.crew import Claimant
from psyflow.work.dealing import Dealer, claim_seconds
from psyflow.work.longrunning import LongRunning
from psyflow.work.pacer import Pacer
from psyflow.work.slot import Answer, Slot, Wish
from psyflow.work.worker import Work

WORKERS = (10, 100, 1000, 5000)
ITEM_SECONDS = (0.01, 0.1, 1.0, 10.0, 100.0)
POOL_SIZES = (1, 32)
MOST_FSYNCS, MOST_OPERATIONS = 0.1, 100.0
_LATENCIES = [field.name for field in fields(Latencies)]
MOST_EVENTS = 40_000
# Of looks for the end of the log, there are more if there are more jobs.
_SLACK = {"look": 6, "read": 0, "create": 0, "link": 0, "remove": 0, "touch": 0, "listing": 0}
_HEAD = (
    "workers", "in jobs of", "items of", "claims/s", "operations/s in the log", "busy: log",
    "leases", "fsync", "first", "last job has claimed", "a look at all shards",
)  # fmt: skip
PLACES = {
    # Seconds: of one that others use as well, as is usual.
    "local disk": (5e-6, 2e-5, 6e-5, 2e-5, 2e-5, 1e-5, 2e-5, 4e-3, 1e-4, 800.0),
    "NFS": (4e-4, 8e-4, 2e-3, 1e-3, 1e-3, 5e-4, 2e-5, 5e-3, 2e-3, 2000.0),
    "busy Lustre": (1e-3, 2e-3, 5e-3, 4e-3, 4e-3, 2e-3, 2e-5, 3e-2, 1e-2, 3000.0),
}


class _Clock:
    """Stands for the module `time` where the model's time counts."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Nobody meets anybody in one process."""


@dataclass
class Course:
    """What became of a run on the model's clock.

    Attributes
    ----------
    seconds : float
        How long it was looked at.
    n_claims, n_deals : int
    counts : Counter
        Operations in the folder of the claim log.
    """

    seconds: float
    n_claims: int
    n_deals: int
    counts: Counter[str]


def claiming(
    folder: Path, n_workers: int, pool_size: int, item_seconds: float, *, uneven: float = 0.5
) -> Course:
    """Have jobs claim, deal out and evaluate on the model's clock, until that has settled."""
    n_jobs = -(-n_workers // pool_size)
    seconds = _model_seconds(n_jobs, item_seconds)
    n_items = int(4 * n_workers * seconds / item_seconds) + n_workers
    claims = folder / "claims"
    claims.mkdir(parents=True)
    clock, draw = _Clock(), random.Random(1)
    work = Work(
        None,
        range(n_items),
        claims,
        folder / "out",
        "run.0",
        None,
        n_workers=n_workers,
        n_jobs=n_jobs,
    )  # type: ignore[arg-type]
    jobs = []
    for job in range(n_jobs):
        slots = [Slot(memoryview(bytearray(Slot.size))) for _ in range(pool_size)]
        children = [Claimant(i, Path(f"run.{job}.x.{i}-0.rows"), None) for i in range(pool_size)]
        dealer = Dealer(
            work, f"run.{job}.x.supervisor.rows", pool_size, lambda c, s=slots: s[c.index]
        )
        jobs.append((dealer, children, slots, [Pacer(1) for _ in slots]))
    events = [(draw.random() * 0.1, job, i, 0) for job in range(n_jobs) for i in range(pool_size)]
    heapq.heapify(events)
    n_deals, n_before, numbers = 0, 0, Counter[tuple[int, int]]()
    settled = seconds / 2
    has_settled = False
    true_time, numbered.time = numbered.time, clock  # type: ignore[assignment,attr-defined]
    try:
        with counting() as counts:
            while events[0][0] < seconds:
                clock.now, job, index, _ = heapq.heappop(events)
                if clock.now > settled and not has_settled:
                    has_settled, n_deals, n_before = True, 0, _n_files(claims)
                    counts.clear()
                dealer, children, slots, pacers = jobs[job]
                numbers[job, index] += 1
                number = numbers[job, index]
                slots[index].wish(Wish(number, *pacers[index].wish()))
                dealer.heed([children[index]])
                answer, start, stop = slots[index].answered(number) or (None, 0, 0)
                if answer is not Answer.DEALT:
                    raise RuntimeError("The model has too few items for its time.")
                n_deals += 1
                n = stop - start
                took = (
                    sum(
                        item_seconds * draw.lognormvariate(-(uneven**2) / 2, uneven)
                        for _ in range(n)
                    )
                    if n < 20
                    else n * item_seconds
                )
                pacers[index].took(n, took)
                heapq.heappush(events, (clock.now + took, job, index, 0))
            found = Counter({kind: n for (kind, where), n in counts.items() if where == "claims"})
    finally:
        numbered.time = true_time  # type: ignore[attr-defined]
    return Course(seconds - settled, _n_files(claims) - n_before, n_deals, found)


def _model_seconds(n_jobs: int, item_seconds: float) -> float:
    return 3 * max(10.0, item_seconds, claim_seconds(n_jobs))


def calculated(n_workers: int, pool_size: int, item_seconds: float, once: Counter[str]) -> Course:
    """Return what becomes of a run by the formulas of `psy doctor`."""
    claims = bearing.claims_per_second(n_workers, pool_size, item_seconds)
    n_claims = round(1000 * claims)
    return Course(1000.0, n_claims, 0, Counter({k: n * n_claims for k, n in once.items()}))


def _n_files(folder: Path) -> int:
    return sum(path.name.isdigit() for path in folder.iterdir())


def counted_once(folder: Path) -> dict[str, Counter[str]]:
    """Return the operations of what is done from time to time, each done once."""
    leases = folder / "leases"
    leases.mkdir(parents=True)
    lease = Lease(leases / "job")
    lease.take()
    lease_module.RENEW_SECONDS = -1.0  # it was renewed only just now
    telling, asked = LongRunning(leases, "job"), Questions(leases, "job")
    now = time.monotonic()
    (folder / "claims").mkdir()
    work = Work(None, range(1), folder / "claims", folder, "run.0", None, home=(0, 0))  # type: ignore[arg-type]
    return {
        "lease": during(lambda: lease.renew()),
        "long-running": during(lambda: telling.tell([(0, now - 60)])),
        "question": during(lambda: asked.heed(now - 60, lambda item: "")),
        "presence": during(work.is_gone),
    }


def reading_a_shard(folder: Path) -> Counter[str]:
    """Return the operations of one look at a shard of which nothing is known."""
    path = folder / "out" / "a.rows"
    path.parent.mkdir(parents=True)
    with ShardWriter(path):
        pass
    return during(lambda: path.exists() and list(ShardReader(path).new_frames()))


def place(name: str, values: tuple[float, ...]) -> Latencies:
    return Latencies(**dict(zip(_LATENCIES, values, strict=True)))


def main() -> int:
    options = _options()
    places = {name: place(name, values) for name, values in PLACES.items()}
    if options.here:
        with tempfile.TemporaryDirectory(dir=options.here) as folder:
            places = {str(options.here): measure(Path(folder))}
    figures: list[Figure] = []
    lines = []
    with tempfile.TemporaryDirectory(prefix="psyflow-scale-") as scratch:
        once = counted_once(Path(scratch) / "once")
        reading = reading_a_shard(Path(scratch) / "reading")
        cases = [
            (n, min(n, p), s) for n in options.workers for p in POOL_SIZES for s in ITEM_SECONDS
        ]
        courses = {case: _course(Path(scratch), *case) for case in cases}
    once["claim"] = _rounded([course for course in courses.values() if course])
    problems = _checked(once)
    for case in cases:
        course = courses[case] or calculated(*case, once["claim"])
        lines.append((*case, course, courses[case] is None))
        figures += _targets(*case, course, once)
    for name, latencies in places.items():
        print(f"\n**{name}**\n")
        print(f"| {' | '.join(_HEAD)} |")
        print("|" + " --- |" * len(_HEAD))
        for line in lines:
            print(_line(latencies, reading, *line))
        for pool_size in POOL_SIZES:
            most, limit = bearing.most_workers(latencies, pool_size)
            print(f"\nItems of 1 s in jobs of {pool_size}: about {most} workers; then {limit}.")
    print(f"\n{table(figures)}")
    if options.plot:
        _plot(options.plot, places)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems or not all(figure.is_met for figure in figures) else 0


def _course(scratch: Path, n_workers: int, pool_size: int, item_seconds: float) -> Course | None:
    """Run the model, unless that would take too long."""
    seconds = _model_seconds(-(-n_workers // pool_size), item_seconds)
    if seconds * n_workers / max(item_seconds, 0.25) > MOST_EVENTS:
        return None
    folder = scratch / f"{n_workers}-{pool_size}-{item_seconds}"
    return claiming(folder, n_workers, pool_size, item_seconds)


def _seconds_of(latencies: Latencies, counts: Counter[str]) -> float:
    return sum(n * float(getattr(latencies, kind)) for kind, n in counts.items())


def _line(
    latencies: Latencies,
    reading: Counter[str],
    n: int,
    pool: int,
    item: float,
    course: Course,
    is_calculated: bool,
) -> str:
    busy = bearing.loads(latencies, n, pool, item)
    claims = course.n_claims / course.seconds
    # The log as it was counted; `psy doctor` goes by the round numbers.
    busy["claim log"] = _seconds_of(latencies, course.counts) / course.seconds
    n_jobs = -(-n // pool)
    operations = course.counts.total() / course.seconds
    cells = (
        n, pool, f"{item:g} s", f"{'~' * is_calculated}{claims:.3g}", f"{operations:.3g}",
        *(f"{100 * busy[name]:.2g} %" for name in ("claim log", "leases", "fsync")),
        bearing.first_to_saturate(busy),
        f"{n_jobs * latencies.of('claim'):.2g} s", f"{n * _seconds_of(latencies, reading):.2g} s",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _targets(
    n: int, pool: int, item: float, course: Course, once: dict[str, Counter[str]]
) -> Iterator[Figure]:
    if n != 1000 or item != 1.0:
        return
    n_jobs = -(-n // pool)
    syncs = min(1 / crowd.sync_pause(n), 1 / item)
    what = f"{n} workers in jobs of {pool}, items of {item:g} s"
    yield Figure(f"fsyncs of a worker a second, {what}", f"{syncs:.2g}", syncs, "/s", MOST_FSYNCS)
    log = course.counts.total() / course.seconds
    log += n_jobs * once["presence"].total() / max(0.5, crowd.presence_pause(n_jobs))
    leases = n_jobs * once["lease"].total() / crowd.lease_pause(n_jobs)
    if item > crowd.long_seconds(n_jobs):
        leases += n_jobs * once["long-running"].total() / crowd.longrunning_pause(n_jobs)
        leases += n_jobs * once["question"].total() / crowd.asking_pause(n_jobs)
    for name, rate in {"claim log": log, "leases": leases}.items():
        told = f"operations in the folder of the {name}, {what}"
        yield Figure(told, f"{rate:.0f} /s", rate, "/s", MOST_OPERATIONS)


def _rounded(courses: list[Course]) -> Counter[str]:
    """Return the operations of a claim, on the average of all courses, in round numbers."""
    n_claims = sum(course.n_claims for course in courses)
    total = sum((course.counts for course in courses), Counter[str]())
    return Counter({kind: round(n / n_claims) for kind, n in total.items()})


def _checked(once: dict[str, Counter[str]]) -> list[str]:
    """Say where what `psy doctor` goes by is no more what is done."""
    return [
        f"{what}: {dict(counts)} is done, and psyflow.doctor.bearing has {dict(OPERATIONS[what])}."
        for what, counts in once.items()
        if any(abs(counts[kind] - OPERATIONS[what].get(kind, 0)) > _SLACK[kind] for kind in _SLACK)
    ]


def _plot(path: Path, places: dict[str, Latencies]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1,
        len(places),
        sharey=True,
        squeeze=False,
        figsize=(5 * len(places), 4),
        layout="constrained",
    )
    n_workers = np.unique(np.logspace(1, 4, 40).astype(int))
    for axis, (name, latencies) in zip(axes[0], places.items(), strict=True):
        for pool_size, style in zip(POOL_SIZES, ("-", "--"), strict=True):
            loads = [
                bearing.loads(latencies, int(n), min(int(n), pool_size), 1.0) for n in n_workers
            ]
            for number, what in enumerate(loads[0]):
                label = f"{what}, jobs of {pool_size}"
                axis.loglog(
                    n_workers,
                    [busy[what] for busy in loads],
                    style,
                    color=f"C{number}",
                    label=label,
                )
        axis.axhline(1.0, color="black", linewidth=0.5)
        axis.set(title=name, xlabel="workers, items of 1 s", ylim=(1e-4, 10))
    axes[0][0].set_ylabel("share of the time that it is busy")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--here", type=Path, metavar="DIR", help="measure the latencies there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw what is busy")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, metavar="N")
    options = parser.parse_args()
    # Now, for it takes minutes until these are needed.
    if options.here and not options.here.is_dir():
        parser.error(f"there is no folder {options.here}: give --here one that is there")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: python -m pip install matplotlib")
    return options


if __name__ == "__main__":
    sys.exit(main())
