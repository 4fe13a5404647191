"""``python -m benchmarks``: measure psyflow and its peers, and print the table."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import HERE, Environment, PeerMissingError, Peers, machine
from benchmarks.figures import Figure, table
from benchmarks.previous import Previous

NAMES = (
    "throughput",
    "map",
    "systems",
    "commands",
    "fixed_cost",
    "tasks",
    "million",
    "again",
    "grown",
    "refused",
    "imports",
    "values",
    "spaces",
    "merge",
    "shards",
    "slow_items",
    "load",
    "help",
    "status",
    "show",
    "balance",
    "claims",
    "results",
    "sweeper",
    "study",
)


def main() -> int:
    """Run the benchmarks, and return 1 if a target is missed or one of them fails."""
    options = _options()
    peers = Peers(options.peers)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="psyflow-benchmarks-", dir=options.scratch) as scratch:
        environment = Environment(Path(scratch), peers, options.quick)
        failed = [n for n in options.only or NAMES if not _measure(n, environment, figures)]
    about, previous = machine(peers), Previous.read(options.before)
    if options.json:
        print(json.dumps({"machine": about, "figures": [f.to_json() for f in figures]}, indent=1))
    else:
        print("\n".join(f"- {name}: {text}" for name, text in about.items()), end="\n\n")
        print(table(figures, previous.told if previous.figures else None))
        _tell_changes(previous, figures)
    if options.keep:
        options.before.write_text(previous.with_those_of(about["date"], figures))
    return 1 if failed or not all(figure.is_met for figure in figures) else 0


def _measure(name: str, environment: Environment, figures: list[Figure]) -> bool:
    """Add the figures of one benchmark, and tell whether it went well; the others go on."""
    load, begin, cpu = os.getloadavg()[0], time.perf_counter(), _cpu_seconds()
    try:
        for figure in importlib.import_module(f"benchmarks.bench_{name}").run(environment):
            figures.append(figure)
            print(f"{figure.what}: {figure.score:.3g} {figure.unit}", file=sys.stderr, flush=True)
    except PeerMissingError as error:
        # Whoever has no network sees all others.
        print(f"{name} is left out from here on: {error}", file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
        return False
    took = f"{time.perf_counter() - begin:.0f} s, {_cpu_seconds() - cpu:.0f} s of CPU"
    load_now = os.getloadavg()[0]
    print(f"{name}: {took}, load {load:.1f} to {load_now:.1f}", file=sys.stderr, flush=True)
    return True


def _cpu_seconds() -> float:
    """Return what all that has ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tell_changes(previous: Previous, figures: Sequence[Figure]) -> None:
    changes = previous.changes(figures)
    if changes:
        print("\nWhat differs from before by a third or more:\n")
        print("\n".join(f"- {text}" for text in changes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=NAMES, help=f"one of {', '.join(NAMES)}"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the items, one repeat")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--peers",
        type=Path,
        default=HERE / ".venv",
        metavar="DIR",
        help="folder of their virtual environments, each made if need be (default: %(default)s)",
    )
    parser.add_argument(
        "--before",
        type=Path,
        default=HERE / "last.json",
        metavar="FILE",
        help="figures of earlier runs, to tell these beside (default: %(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="put the figures of this run there")
    parser.add_argument(
        "--scratch", metavar="DIR", help="where to work; needs 10 GB (default: the usual /tmp)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
