"""What `psy run` costs before it does anything, against importing what it stands on."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import STORES, cold_run, square

PEER = 'python -c "import doit, numpy"'


def run(environment: Environment) -> Iterator[Figure]:
    done = square(environment, "fixed-done", 10, "NpzStore")
    measured(cold_run(environment, done))
    contenders = {
        "import": Contender(
            [[environment.python, "-c", "import doit, numpy"]], environment.folder("import")
        ),
        "done": Contender([[environment.psy, "run"]], done),
        **{
            store: cold_run(environment, square(environment, f"fixed-{store}", 10, store))
            for store in STORES
        },
    }
    samples = interleaved(contenders, environment.repeats(9))
    peer = samples["import"]
    for store in STORES:
        mine = samples[store]
        yield Figure(
            f"psy run, 10 psets, {store}",
            seconds(mine.wall, mine.cpu),
            mine.wall / peer.wall,
            "×",
            1.3,
            PEER,
            seconds(peer.wall, peer.cpu),
            note=f"CPU {mine.cpu / peer.cpu:.2f} ×",
        )
    done = samples["done"]
    yield Figure(
        "psy run, nothing to do: CPU",
        seconds(done.wall, done.cpu),
        done.cpu / peer.cpu,
        "×",
        0.9,
        PEER,
        seconds(peer.wall, peer.cpu),
    )
