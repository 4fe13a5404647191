"""`psyflow.study` against psweep, whose functions it has: the same program. CPU seconds."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import HERE, Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, Sample, interleaved
from benchmarks.studies import emptied

_PEER = "psweep, the same program"


def run(environment: Environment) -> Iterator[Figure]:
    numbers = [environment.items(n) for n in (10_000, 16_000, 100_000)]
    samples = interleaved(
        {
            "psyflow": _contender(environment, environment.python, "psyflow.study", numbers),
            "psweep": _contender(
                environment, str(environment.peers.python("psweep")), "psweep", numbers
            ),
        },
        environment.repeats(3),
    )
    n_run, n_skip, n_rows = numbers
    mine, peer = samples["psyflow"], samples["psweep"]
    for poolsize in (None, 2):
        name = f"run {poolsize}"
        score = mine.reported(name) / peer.reported(name)
        what = f"ps.run of {n_run} psets, poolsize={poolsize}"
        yield _figure(what, name, samples, score, "×", 1.5)
    skipped = mine.reported("skip")
    yield _figure(f"skip_dups, all of {n_skip} there", "skip", samples, skipped, "s", 1.0)
    beyond = mine.reported("append") - mine.reported("pandas")
    what = f"a row more in {n_rows}, beyond pandas' read and write"
    yield _figure(what, "append", samples, beyond, "s", 0.5)


def _contender(
    environment: Environment, python: str, module: str, numbers: list[int]
) -> Contender:
    folder = environment.folder(f"study-{module}")
    program = str(HERE / "programs" / "study.py")
    command = [python, program, module, *map(str, numbers)]
    return Contender([command], folder, before=lambda: emptied(folder))


def _figure(
    what: str, name: str, samples: dict[str, Sample], score: float, unit: str, limit: float
) -> Figure:
    mine, peer = (samples[side].reported(name) for side in ("psyflow", "psweep"))
    return Figure(what, seconds(mine), score, unit, limit, _PEER, seconds(peer))
