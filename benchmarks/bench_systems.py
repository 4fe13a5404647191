"""10 000 cheap items, cold, against systems that keep each item's result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.environment import HERE, Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, Sample, interleaved
from benchmarks.studies import cold_run, emptied, square

# name: the least factor by which psyflow has to be faster, and the peer in words
PEERS = {
    "jug": (10.0, "jug, a task per item, 2 × jug execute, file store"),
    "doit": (10.0, "doit, a task per item, a JSON file per item"),
    "doit -n 2": (10.0, "the same, doit -n 2"),
    "joblib": (3.0, "joblib.Memory, a loop with a cached function"),
}


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(10_000)
    contenders = {
        "psyflow": cold_run(environment, square(environment, "systems", n, "NpzStore")),
        **_peers(environment, n),
    }
    samples = interleaved(contenders, environment.repeats(5))
    for name, (limit, description) in PEERS.items():
        if name not in samples:
            continue
        yield _figure(f"psy run, {n} psets, pool_size=2", samples, name, limit, description)


def _figure(
    what: str, samples: Mapping[str, Sample], name: str, limit: float, description: str
) -> Figure:
    mine, peer = samples["psyflow"], samples[name]
    return Figure(
        what,
        seconds(mine.wall, mine.cpu),
        peer.wall / mine.wall,
        "× faster",
        limit,
        description,
        seconds(peer.wall, peer.cpu),
        at_least=True,
        note=f"CPU {peer.cpu / mine.cpu:.1f} × less",
    )


def _peers(environment: Environment, n: int) -> dict[str, Contender]:
    scripts = HERE / "peers"
    settings = ["env", f"N_ITEMS={n}"]
    program = environment.peers.program("jug")
    jug = [*settings, str(program), "execute", str(scripts / "jugfile.py"), "--jugdir", "jugdata"]
    doit = [*settings, environment.python, "-m", "doit", "-f", str(scripts / "dodo.py"), "-d", "."]
    folders = {name: environment.folder(f"systems-{name}") for name in PEERS}
    contenders = {
        "jug": Contender(
            [jug] * 2,
            folders["jug"],
            before=lambda: emptied(folders["jug"]),
        ),
        "doit": Contender(
            [doit], folders["doit"], before=lambda: _ready_for_doit(folders["doit"])
        ),
        "doit -n 2": Contender(
            [[*doit, "-n", "2"]],
            folders["doit -n 2"],
            before=lambda: _ready_for_doit(folders["doit -n 2"]),
        ),
        "joblib": Contender(
            [environment.peer("memory.py", str(n))],
            folders["joblib"],
            before=lambda: emptied(folders["joblib"]),
        ),
    }
    return {name: one for name, one in contenders.items() if program or name != "jug"}


def _ready_for_doit(folder: Path) -> None:
    # The folder itself holds doit's database, which has to go too.
    emptied(folder)
    emptied(folder / "results")
