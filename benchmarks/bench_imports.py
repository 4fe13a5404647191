"""A few items of a task that imports pandas and SciPy, with many workers."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved
from benchmarks.studies import cold_run, study

MOST_CPU, MOST_MEMORY = 1.6, 1.2
_TASK = """\
import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats

from psyflow import Param

pspace = Param(x=range(10))
pool_size = {pool_size}


def execute(x):
    frame = pd.DataFrame({{"a": np.arange(10) * x}})
    return {{"y": float(scipy.stats.norm.cdf(frame["a"].mean()))}}
"""


def run(environment: Environment) -> Iterator[Figure]:
    # The packages of one interpreter for both, so that these are the same.
    scipy = ["env", f"PYTHONPATH={environment.peers.packages('scipy')}"]
    for pool_size in (2, 8):
        text = _TASK.format(pool_size=pool_size)
        folder = study(environment, f"imports-{pool_size}", text)
        run = cold_run(environment, folder)
        mine = [*scipy, *run.commands[0]]
        its = [*scipy, *environment.peer("imports.py", str(pool_size))]
        contenders = {
            "psyflow": Contender([mine], folder, run.before),
            "pool": Contender([its], folder),
            "psyflow, memory": Contender(
                [environment.program("tree_memory.py", *mine)], folder, run.before
            ),
            "pool, memory": Contender([environment.program("tree_memory.py", *its)], folder),
        }
        samples = interleaved(contenders, environment.repeats(5))
        what = f"10 psets of a task that imports pandas and SciPy, pool_size={pool_size}"
        mine, its = samples["psyflow"], samples["pool"]
        yield Figure(
            f"{what}: CPU",
            seconds(mine.wall, mine.cpu),
            mine.cpu / its.cpu,
            "× CPU",
            MOST_CPU,
            f"multiprocessing.Pool({pool_size})",
            seconds(its.wall, its.cpu),
            note=f"wall {mine.wall / its.wall:.2f} ×",
        )
        mb, its_mb = (samples[f"{n}, memory"].reported("peak_mb") for n in ("psyflow", "pool"))
        yield Figure(
            f"{what}: memory of all processes",
            f"{mb:.0f} MB",
            mb / its_mb,
            "×",
            MOST_MEMORY,
            f"multiprocessing.Pool({pool_size})",
            f"{its_mb:.0f} MB",
        )
