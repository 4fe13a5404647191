"""Set operations on a million psets, and looks into a space of 10⁹."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.environment import Environment
from benchmarks.figures import Figure, seconds
from benchmarks.measure import Contender, interleaved

_LOOKS = {"len": "len", "index": "[i]", "slice": "[a:b]", "rows": "[a:a+10].build()"}


def run(environment: Environment) -> Iterator[Figure]:
    folder = environment.folder("spaces")
    side = "300" if environment.is_quick else "1000"
    programs = {
        "missing": environment.program("spaces.py", side),
        "by hand": environment.program("missing_by_hand.py", side),
        "huge": environment.program("huge_space.py"),
    }
    contenders = {name: Contender([command], folder) for name, command in programs.items()}
    samples = interleaved(contenders, environment.repeats(7))
    mine, peer = samples["missing"], samples["by hand"]
    what = f"missing(product of {side} × {side}, a random half)"
    yield Figure(
        what,
        seconds(mine.reported("seconds")),
        mine.reported("seconds"),
        "s",
        1.0,
        "set of tuples, list comprehension",
        seconds(peer.reported("seconds")),
        note=f"with all rows as columns {seconds(mine.reported('with_columns'))}",
    )
    yield Figure(
        f"{what}: memory",
        f"{mine.peak_mb:.0f} MB",
        mine.peak_mb,
        "MB",
        300.0,
        "set of tuples, list comprehension",
        f"{peer.peak_mb:.0f} MB",
        note="whole process, the half included",
    )
    for name, look in _LOOKS.items():
        longest = samples["huge"].reported(name)
        yield Figure(
            f"{look} of a product of 10⁹ psets",
            seconds(longest),
            longest * 1e3,
            "ms",
            1.0,
            note="98th percentile of 200 fresh spaces",
        )
