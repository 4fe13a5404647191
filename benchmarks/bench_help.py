"""`psy --help`, against importing doit."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved
from benchmarks.studies import study

# A task file that nobody may run.
_TASK = "raise SystemExit('psy --help has run a task file')\n"


def run(environment: Environment) -> Iterator[Figure]:
    folder = study(environment, "help", _TASK)
    contenders = {
        "help": Contender([[environment.psy, "--help"]], folder),
        "doit": Contender([[environment.python, "-c", "import doit"]], folder),
        "modules": Contender([environment.program("help_modules.py")], folder),
    }
    samples = interleaved(contenders, environment.repeats(11))
    mine, peer = samples["help"], samples["doit"]
    yield Figure(
        "psy --help",
        seconds(mine.wall, mine.cpu),
        mine.wall / peer.wall,
        "×",
        1.5,
        'python -c "import doit"',
        seconds(peer.wall, peer.cpu),
        note=f"CPU {mine.cpu / peer.cpu:.2f} ×",
    )
    heavy = samples["modules"].usages[0].report["heavy"]
    yield Figure(
        "psy --help: imports of numpy, tables, joblib or a task file",
        ", ".join(heavy) or "none",
        len(heavy),
        "imports",
        0,
    )
