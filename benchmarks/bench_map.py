"""`psyflow.map` of no-ops against pools of processes, and the memory of `imap`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved

TARGETS = {"cold": 1.1, "warm": 1.3}
POOL = "multiprocessing.Pool(2), imap_unordered(chunksize=2000)"


def run(environment: Environment) -> Iterator[Figure]:
    folder = environment.folder("map")
    n, n_generated = environment.items(100_000), environment.items(10_000_000)
    noop = Contender([environment.program("map_noop.py", str(n))], folder)
    sample = interleaved({"map": noop}, environment.repeats(5))["map"]
    mine, pool = sample.reported("psyflow_map"), sample.reported("pool")
    what = f"psyflow.map of {n} no-ops, two workers"
    took = seconds(mine, sample.reported("psyflow_map_cpu"))
    yield Figure(
        what,
        took,
        mine / pool,
        "×",
        1.3,
        POOL,
        seconds(pool, sample.reported("pool_cpu")),
        note="the table, its bookkeeping and the failures included",
    )
    for name, peer in {"by_joblib": "joblib.Parallel(2)", "by_futures": "executor.map"}.items():
        # They are measured with a tenth of the psets.
        theirs = 10 * sample.reported(name)
        ratio = theirs / mine
        yield Figure(what, took, ratio, "× faster", 5.0, peer, seconds(theirs), at_least=True)
    first = sample.reported("first")
    yield Figure("imap: first outcome, forks included", seconds(first), first * 1e3, "ms", 50.0)
    yield from _of_psyrun(environment)
    generated = Contender([environment.program("imap_generated.py", str(n_generated))], folder)
    memory = interleaved({"imap": generated}, 1)["imap"]
    yield Figure(
        f"imap over {n_generated} generated psets: memory",
        f"{memory.peak_mb:.0f} MB",
        memory.peak_mb,
        "MB",
        150.0,
        note=seconds(memory.wall, memory.cpu),
    )


def _of_psyrun(environment: Environment) -> Iterator[Figure]:
    """Yield what maps that psyrun had cost: by loky, and in this process."""
    folder, n = environment.folder("map_of_psyrun"), environment.items(100_000)
    whose = ("psyflow", "joblib")
    programs = {
        name: Contender([environment.program("map_loky.py", name, str(n))], folder)
        for name in whose
    }
    by_loky = interleaved(programs, environment.repeats(5))
    for when, target in TARGETS.items():
        mine, theirs = (by_loky[name].reported(when) for name in whose)
        what = f"map_pspace_parallel of {n} no-ops, {when}"
        yield Figure(
            what, seconds(mine), mine / theirs, "×", target, "joblib.Parallel(2)", seconds(theirs)
        )
    serial = Contender([environment.program("map_serial.py", str(n))], folder)
    sample = interleaved({"serial": serial}, environment.repeats(3))["serial"]
    mine, theirs = (sample.reported(name) for name in ("psyflow", "comprehension"))
    what = f"map_pspace of {n} no-ops"
    yield Figure(what, seconds(mine), mine / theirs, "×", 3.0, "a comprehension", seconds(theirs))
