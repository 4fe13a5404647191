"""``python -m benchmarks``: measure psyflow and its peers, and print the table."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks.environment import HERE, Environment, find_peers, machine
from benchmarks.figures import Figure, table

NAMES = (
    "throughput",
    "map",
    "systems",
    "commands",
    "fixed_cost",
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
    peers = find_peers(options.peers)
    about = machine(peers)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="psyflow-benchmarks-", dir=options.scratch) as scratch:
        environment = Environment(Path(scratch), peers, options.quick)
        failed = [n for n in options.only or NAMES if not _measure(n, environment, figures)]
    if options.json:
        print(json.dumps({"machine": about, "figures": [f.to_json() for f in figures]}, indent=1))
    else:
        print("\n".join(f"- {name}: {text}" for name, text in about.items()), end="\n\n")
        print(table(figures))
    return 1 if failed or not all(figure.is_met for figure in figures) else 0


def _measure(name: str, environment: Environment, figures: list[Figure]) -> bool:
    """Add the figures of one benchmark, and tell whether it went well; the others go on."""
    before = os.getloadavg()[0]
    try:
        for figure in importlib.import_module(f"benchmarks.bench_{name}").run(environment):
            figures.append(figure)
            print(f"{figure.what}: {figure.score:.3g} {figure.unit}", file=sys.stderr, flush=True)
    except Exception:
        traceback.print_exc()
        return False
    print(f"{name}: load {before:.1f} to {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    return True


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
        help="virtual environment with the peers; made if it is not there (default: %(default)s)",
    )
    parser.add_argument(
        "--scratch", metavar="DIR", help="where to work; needs 10 GB (default: the usual /tmp)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
