"""Items of uneven length, load-balanced over two workers, against the ideal."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved
from benchmarks.studies import cold_run, study

_SLEEP = """\
import time

from psyflow import LoadBalancingBackend, NpzStore, Param

pspace = Param(seconds={durations})
pool_size = 2
backend = LoadBalancingBackend
store = NpzStore()


def execute(seconds):
    time.sleep(seconds)
    return {{"slept": seconds}}
"""


def durations(n: int, total: float) -> list[float]:
    """Return `n` lognormal durations that add up to `total` seconds."""
    draw = random.Random(20261121)
    drawn = [draw.lognormvariate(0.0, 1.0) for _ in range(n)]
    return [seconds * total / sum(drawn) for seconds in drawn]


def run(environment: Environment) -> Iterator[Figure]:
    drawn = durations(200, 2.0 if environment.is_quick else 20.0)
    ideal = max(sum(drawn) / 2, *drawn)
    folder = study(environment, "balance", _SLEEP.format(durations=drawn))
    peer_folder = environment.folder("balance-peer")
    (peer_folder / "durations.json").write_text(json.dumps(drawn))
    contenders = {
        "psyflow": Contender(
            [environment.program("run_and_makespan.py", environment.psy)],
            folder,
            before=cold_run(environment, folder).before,
        ),
        "pool": Contender([environment.peer("balance.py", "durations.json")], peer_folder),
    }
    samples = interleaved(contenders, environment.repeats(3))
    makespan = samples["psyflow"].reported("makespan")
    yield Figure(
        f"200 items with lognormal durations, {sum(drawn):.0f} s in all, 2 workers: "
        "from the first item's start to the last one's end",
        seconds(makespan),
        makespan / ideal,
        "× ideal",
        1.05,
        "multiprocessing.Pool(2), chunksize=1",
        seconds(samples["pool"].reported("makespan")),
        note=f"ideal {ideal:.2f} s; longest item {max(drawn):.2f} s",
    )
