"""A function whose results no store can keep: how many items run before somebody says so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, measured
from benchmarks.studies import cold_run, study

MOST_ITEMS = 10
RESULTS = {
    "NPZ files have no dicts": '{"y": {"a": x}}',
    "no file has lambdas": '{"y": lambda: x}',
    "no dict of results": "x",
}
_TASK = """\
from psyflow import NpzStore, Param

pspace = Param(x=range({n}))
pool_size = 2
store = NpzStore()


def execute(x):
    return {returned}
"""


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(100_000)
    for number, (what, returned) in enumerate(RESULTS.items()):
        text = _TASK.format(n=n, returned=returned)
        folder = study(environment, f"refused-{number}", text)
        usage = measured(_ends_with_failures(cold_run(environment, folder)))
        n_run = _n_failed(environment, folder)
        yield Figure(
            f"{n} psets whose results cannot be kept: {what}",
            seconds(usage.wall, usage.cpu),
            n_run,
            "items run",
            MOST_ITEMS,
            "the same with a result that can be kept",
            f"{n} items run",
        )


def _ends_with_failures(contender: Contender) -> Contender:
    """Return the same command where 1 is the exit status that is expected."""
    (command,) = contender.commands
    words = ["sh", "-c", '"$@"; test $? -eq 1', "sh", *command]
    return Contender([words], contender.folder, contender.before)


def _n_failed(environment: Environment, folder: Path) -> int:
    command = [environment.psy, "status", "--json"]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return int(json.loads(told.stdout)["study"]["states"]["failed"])
