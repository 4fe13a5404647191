"""What a loaded table of a million rows becomes, against pandas and xarray by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.studies import cold_run, study

_TASK = """\
from psyflow import Param

pspace = Param(a=range(100)) * Param(b=[x / 7 for x in range(100)]) * Param(trial=range({n}))
pool_size = 2
store = "{extension}"


def execute(a, b, trial):
    return {{"y": a * b + trial, "z": float(trial)}}
"""
_LIMITS = {"to_xarray": 0.2, "summary": 0.3}
_BY_HAND = {
    "to_xarray": "pandas, xarray: set_index(…).to_xarray()",
    "summary": "pandas: groupby(…).agg(mean, sem, count)",
}


def run(environment: Environment) -> Iterator[Figure]:
    n = environment.items(100)
    contenders = {}
    for extension in (".npz", ".h5"):
        folder = study(environment, f"results{extension}", _TASK.format(n=n, extension=extension))
        measured(cold_run(environment, folder))
        contenders[extension] = Contender([environment.program("results.py")], folder)
        contenders[f"{extension} by hand"] = Contender(
            [environment.program("results_by_hand.py")], folder
        )
    samples = interleaved(contenders, environment.repeats(7))
    for extension in (".npz", ".h5"):
        mine, peer = samples[extension], samples[f"{extension} by hand"]
        for call, limit in _LIMITS.items():
            took = mine.reported(call)
            yield Figure(
                f"{call} of {n * 10_000} rows, {extension}",
                seconds(took),
                took,
                "s",
                limit,
                _BY_HAND[call],
                seconds(peer.reported(call)),
                note=f"peak {mine.peak_mb:.0f} MB, peer {peer.peak_mb:.0f} MB",
            )
