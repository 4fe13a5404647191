"""What values of many parts, random generators, failures and skips take, each."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved

MICROSECONDS = {
    "lists": ("keys of {n} lists of ten integers", 3.0, "BLAKE2 of each one's pickle"),
    "ragged": ("keys of {n} arrays of 1 to 19 numbers", 5.0, "BLAKE2 of each one's pickle"),
    "rng": ("{n} random generators", 5.0, "SeedSequence(seed, spawn_key=(i,)), PCG64, Generator"),
    "failures": ("{n} failures", 30.0, "a line of JSON, flushed, for each exception"),
    "skips": ("{n} skips", 8.0, "a line of JSON, flushed, for each exception"),
}


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(100_000)
    folder = environment.folder("values")
    program = Contender([environment.program("values.py", str(n))], folder)
    sample = interleaved({"values": program}, environment.repeats(5))["values"]
    for name, (what, limit, peer) in MICROSECONDS.items():
        mine, its = sample.reported(name), sample.reported(f"{name} by hand")
        yield Figure(
            what.format(n=n),
            seconds(mine * 1e-6),
            mine,
            "µs of CPU each",
            limit,
            peer,
            seconds(its * 1e-6),
            note=f"{mine / its:.2f} ×",
        )
