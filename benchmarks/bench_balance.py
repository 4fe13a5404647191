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
    peer_folder = environment.folder("balance-peer")
    (peer_folder / "durations.json").write_text(json.dumps(drawn))
    (peer_folder / "zeros.json").write_text(json.dumps([0.0] * len(drawn)))
    # As many items that take no time: what is left is start-up, merge and the cost per item.
    folders = {
        "sleep": study(environment, "balance", _SLEEP.format(durations=drawn)),
        "zero": study(environment, "balance-zero", _SLEEP.format(durations=[0.0] * len(drawn))),
    }
    contenders = {name: cold_run(environment, folder) for name, folder in folders.items()}
    for name in ("durations", "zeros"):
        command = environment.peer("balance.py", f"{name}.json")
        contenders[name] = Contender([command], peer_folder)
    samples = interleaved(contenders, environment.repeats(5))
    makespan = samples["sleep"].wall - samples["zero"].wall
    by_pool = samples["durations"].wall - samples["zeros"].wall
    yield Figure(
        f"200 items with lognormal durations, {sum(drawn):.0f} s in all, 2 workers: "
        "makespan beyond start-up",
        seconds(makespan),
        makespan / ideal,
        "× ideal",
        1.05,
        "multiprocessing.Pool(2), chunksize=1",
        seconds(by_pool),
        note=f"ideal {ideal:.2f} s; longest item {max(drawn):.2f} s; "
        f"start-up {seconds(samples['zero'].wall)}",
    )
