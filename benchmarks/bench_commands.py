"""Many runs of a program that does nothing, against what else runs programs in parallel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, Sample, interleaved, measured
from benchmarks.studies import emptied, set_aside

PROGRAM = "/bin/true"
XARGS = "xargs -P 2 -n 1, which keeps nothing"
SLOWER = {
    "parallel": "GNU parallel -j 2 --results",
    "patas": "patas explore, 2 workers",
}
TENTH = 10
"""What part of the runs is enough for these."""
LEAST_FACTOR = 5.0
MOST_FILES = 1000
MANY = 100_000
MOST_OF_RUNNING = 0.33
MOST_AGAIN_SECONDS = 3.0


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(10_000)
    folder = environment.folder("commands-psyflow")
    contenders = {"psyflow": _psyflow(environment, folder, n), **_peers(environment, n)}
    samples = interleaved(contenders, environment.repeats(3))
    what = f"psy exec, {n} × {PROGRAM}, -j 2, outputs kept"
    yield _against_xargs(what, samples)
    for name in SLOWER.keys() & samples.keys():
        yield _against(what, samples, name)
    n_files = sum(path.is_file() for path in (folder / "out").rglob("*"))
    yield Figure(
        f"files that {n} runs leave",
        str(n_files),
        n_files,
        "files",
        MOST_FILES,
        note="of 2 workers",
    )
    yield from _many(environment)


def _many(environment: Environment) -> Iterator[Figure]:
    """Ten times as many runs, once: they take a minute."""
    n = environment.items(MANY)
    folder = environment.folder("commands-many")
    ran = measured(_psyflow(environment, folder, n))
    n_files = sum(path.is_file() for path in (folder / "out").rglob("*"))
    what = f"psy exec, {n} × {PROGRAM}, -j 2"
    yield Figure(
        f"{what}: files",
        seconds(ran.wall, ran.cpu),
        n_files,
        "files",
        MOST_FILES,
        note=f"peak {ran.peak_mb:.0f} MB",
    )
    words = ["parse", "-e", "out/quick_experiment", "-p", "X", "(@int@)"]
    parsed = measured(Contender([[environment.psy, *words]], folder))
    yield Figure(
        f"psy parse of {n} runs, CPU: a table, and the results anew",
        seconds(parsed.wall, parsed.cpu),
        parsed.cpu / ran.cpu,
        "of running",
        MOST_OF_RUNNING,
        note=f"peak {parsed.peak_mb:.0f} MB",
    )
    more = measured(_again(environment, folder, n + 10))
    yield Figure(
        f"psy exec, 10 runs more than {n} that are done, CPU",
        seconds(more.wall, more.cpu),
        more.cpu,
        "s",
        MOST_AGAIN_SECONDS,
        note=f"peak {more.peak_mb:.0f} MB",
    )


def _against_xargs(what: str, samples: Mapping[str, Sample]) -> Figure:
    mine, peer = samples["psyflow"], samples["xargs"]
    return Figure(
        what,
        seconds(mine.wall, mine.cpu),
        mine.wall / peer.wall,
        "×",
        1.5,
        XARGS,
        seconds(peer.wall, peer.cpu),
        note=f"CPU {mine.cpu / peer.cpu:.2f} ×",
    )


def _against(what: str, samples: Mapping[str, Sample], name: str) -> Figure:
    mine, peer = samples["psyflow"], samples[name]
    return Figure(
        what,
        seconds(mine.wall, mine.cpu),
        TENTH * peer.wall / mine.wall,
        "× faster",
        LEAST_FACTOR,
        SLOWER[name],
        f"{seconds(peer.wall, peer.cpu)} for a tenth",
        at_least=True,
        note=f"CPU {TENTH * peer.cpu / mine.cpu:.1f} × less",
    )


def _psyflow(environment: Environment, folder: Path, n: int) -> Contender:
    again = _again(environment, folder, n)
    return replace(again, before=lambda: set_aside(folder / "out"))


def _again(environment: Environment, folder: Path, n: int) -> Contender:
    words = ["exec", "grid", "--va", "n", "0", str(n), "1", "-o", "out", "-j", "2", "-y"]
    return Contender([[environment.psy, *words, "--", PROGRAM, "{n}"]], folder)


def _peers(environment: Environment, n: int) -> dict[str, Contender]:
    patas = environment.peers.program("patas")
    nodes = ["-y", "-q", "--node", "localhost", "2"]
    explore = [str(patas), "explore", *nodes, "--va", "n", "0", str(n // TENTH)]
    commands = {
        "xargs": ["sh", "-c", f"seq {n} | xargs -P 2 -n 1 {PROGRAM}"],
        "parallel": ["sh", "-c", f"seq {n // TENTH} | parallel -j 2 --results out {PROGRAM}"],
        "patas": [*explore, "1", "-o", "out", "--cmd", f"{PROGRAM} {{n}}"],
    }
    folders = {name: environment.folder(f"commands-{name}") for name in commands}
    return {
        name: Contender([command], folders[name], before=lambda at=folders[name]: emptied(at))
        for name, command in commands.items()
        # GNU parallel is no Python package: apt-get install parallel
        if (shutil.which("parallel") or name != "parallel") and (patas or name != "patas")
    }
