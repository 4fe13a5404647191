"""Calls of a ParamSweeper beside many elements in progress, and processes that share one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environment import HERE, Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, Sample, interleaved

PROCESSES = 4
# Of execo's calls, which take tens of milliseconds, few are enough.
CALLS, PEER_CALLS = 2000, 20


def run(environment: Environment) -> Iterator[Figure]:
    yield from _beside_many(environment)
    yield from _in_a_million(environment)
    yield _shared(environment)


def _contender(
    environment: Environment, module: str, *arguments: object, processes: int = 1
) -> Contender:
    is_ours = module == "psyflow.sweeper"
    python = environment.python if is_ours else str(environment.peers.python("execo"))
    program = str(HERE / "programs" / "sweeper.py")
    folder = environment.folder(f"sweeper-{module}-{arguments[0]}-{arguments[1]}")
    state, numbers = folder / "state", iter(range(1000))

    def before() -> None:
        # Nothing is removed: see the README.
        for path in [state, *folder.glob("taken-*")]:
            if path.exists():
                path.rename(folder / f"old-{next(numbers)}")

    command = [python, program, module, *map(str, arguments)]
    return Contender([command] * processes, folder, before)


def _beside_many(environment: Environment) -> Iterator[Figure]:
    n = environment.items(20_000)
    contenders = {
        "ours": _contender(environment, "psyflow.sweeper", "calls", 2 * n, n, CALLS),
        "execo": _contender(environment, "execo_engine", "calls", 2 * n, n, PEER_CALLS),
    }
    samples = interleaved(contenders, environment.repeats(3))
    for call in ("done", "get_next"):
        yield Figure(
            f"{call}() with {n} elements in progress",
            *_milliseconds(samples["ours"], call),
            1.0,
            "execo",
            seconds(samples["execo"].reported(call)),
        )


def _milliseconds(sample: Sample, call: str) -> tuple[str, float, str]:
    took = sample.reported(call)
    return seconds(took), 1000 * took, "ms"


def _in_a_million(environment: Environment) -> Iterator[Figure]:
    n = environment.items(1_000_000)
    ours = _contender(environment, "psyflow.sweeper", "calls", n, 0, CALLS)
    execo = _contender(environment, "execo_engine", "calls", n, 0, PEER_CALLS)
    samples = interleaved({"ours": ours, "execo": execo}, environment.repeats(3))
    took, peer = samples["ours"], samples["execo"]
    peer_calls = seconds(peer.reported("get_next"))
    yield Figure(
        f"get_next() of {n} elements",
        *_milliseconds(took, "get_next"),
        1.0,
        "execo",
        peer_calls,
        note="the median of means: claims are packed in between",
    )
    opening = took.reported("opening")
    peer_opening = seconds(peer.reported("opening"))
    yield Figure(
        f"opening {n} elements", seconds(opening), opening, "s", 3.0, "execo", peer_opening
    )
    peak, peer_peak = took.reported("peak"), peer.reported("peak")
    yield Figure(
        f"memory for {n} elements, themselves included",
        f"{peak:.0f} MB",
        peak,
        "MB",
        500.0,
        "execo",
        f"{peer_peak:.0f} MB",
    )


def _shared(environment: Environment) -> Figure:
    n = environment.items(10_000)
    # Each call of execo's takes the longer, the more elements there are.
    shares = {"ours": ("psyflow.sweeper", n), "execo": ("execo_engine", n // 10)}
    contenders = {
        name: _contender(environment, module, "share", share, processes=PROCESSES)
        for name, (module, share) in shares.items()
    }
    samples = interleaved(contenders, 1)
    twice = {name: _n_twice(contenders[name].folder, share) for name, (_, share) in shares.items()}
    return Figure(
        f"{n} elements shared by {PROCESSES} processes: given out twice or not at all",
        f"{twice['ours']}, in {seconds(samples['ours'].wall)}",
        float(twice["ours"]),
        "elements",
        0.0,
        "execo",
        f"{twice['execo']} of {n // 10}, in {seconds(samples['execo'].wall)}",
    )


def _n_twice(folder: Path, n: int) -> int:
    lists = (path.read_text().splitlines() for path in folder.glob("taken-*"))
    counts = Counter(element for taken in lists for element in taken)
    return (n - len(counts)) + sum(count - 1 for count in counts.values())
