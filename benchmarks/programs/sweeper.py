"""What calls of a ParamSweeper take: of psyflow, or of execo, whose words are the same."""

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

LEVELS = 100


def main():
    module, what, *numbers = sys.argv[1:]
    execo = importlib.import_module(module)
    {"calls": calls, "share": share}[what](execo, *map(int, numbers))


def combinations(execo, n):
    return execo.sweep({"a": range(n // LEVELS), "b": list(range(LEVELS)), "c": ["text"]})


def calls(execo, n, n_in_progress, n_calls):
    """Print what opening takes, and then each call beside many elements that are in progress."""
    elements = combinations(execo, n)
    begin = time.perf_counter()
    sweeper = execo.ParamSweeper("state", elements)
    opening = time.perf_counter() - begin
    sweeper.get_next_batch(n_in_progress)
    taken = []
    get_next = per_call(lambda i: taken.append(sweeper.get_next()), n_calls)
    done = per_call(lambda i: sweeper.done(taken[i]), n_calls)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"opening": opening, "get_next": get_next, "done": done, "peak": peak}))


def per_call(call, n):
    begin = time.perf_counter()
    for i in range(n):
        call(i)
    return (time.perf_counter() - begin) / n


def share(execo, n):
    """Take and finish elements until there are none, and leave a list of them."""
    sweeper = execo.ParamSweeper("state", combinations(execo, n))
    taken = []
    while (element := sweeper.get_next()) is not None:
        taken.append(f"{element['a']} {element['b']}\n")
        sweeper.done(element)
    Path(f"taken-{os.getpid()}").write_text("".join(taken))


if __name__ == "__main__":
    main()
