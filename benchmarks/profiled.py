"""Where the time of one worker goes, and that of one merge, with a million quick items.

    .venv/bin/python -m benchmarks.profiled

Each tick of the kernel's clock that finds the process at work notes the line (`sampling`). Shares
are of these looks; microseconds and milliseconds are the same shares of what it takes if nobody
looks. What nothing can be below is measured beside it: a bare loop, and arrays that are written.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import HERE, Environment, Peers, machine
from benchmarks.measure import Contender, interleaved, measured
from benchmarks.sampling import Line, stacks
from benchmarks.studies import cold_run, merged_anew, square_text, study, undo_merge

STORE = "H5Store"
N_BYTES = 16  # of a row's data

_OUTPUT = "whose output is whose: a flush of `sys.stdout`, an `lseek`"
_CALL = "the loop, the call, and the function itself"
_KIND = "names and types of what it returned"
_PSETS = "the next items: dealt, their psets taken, looked at for what could change"
_BYTES = "rows become arrays, a pickle, and a frame with its checksum"
_WORKER = {
    "execute": _CALL,
    "Output.advance": _OUTPUT,
    "Looks.look": "whether items have changed what others find",
    "values_of": _KIND,
    "ShardWriter.sync": "waiting for the disk, beside the items",
    "Kept._append": _BYTES,
    "Kept.flush": "whether the process is as it was, before rows are written",
    "changeable": _PSETS,
    "LazyTable.take": _PSETS,
    "_batches": _PSETS,
}
# Of the loop itself, by what its lines say.
_LINES = {
    "monotonic()": "the clock, before and after",
    "on_start(": "which item is running, where the supervisor sees it",
    "printed": _OUTPUT,
    "values_of(": _KIND,
    "plain +=": "the row, into a list",
    "": _CALL,
}
_LOOP = "Evaluator._evaluate_plainly"
_SAMPLED = """
import sys

sys.path.append({repository!r})


def setup(worker):
    from benchmarks.sampling import begin

    begin({looks!r})
"""
_MERGE = {
    "recover": "which rows there are: shards looked through, and their checksums",
    "Piece.read": "rows read from shards, unpickled",
    "merged_blocks": "put in order",
    "FrozenSpace.keys": "the keys of psets, anew",
    "_ZipWriteFile.write": "bookkeeping: compressed, checksums, written",
    "MergedTable.bookkeeping": "bookkeeping: which columns say anything",
    "ItemsFile.prepare": "bookkeeping: all else",
    "FrozenSpace.take_packed": "parameters, taken from the space",
    "LazyTable.take_packed": "parameters, taken from the space",
    "checksum_of": "the result, read back",
    "write_table": "the result: columns to HDF5, with checksums",
    "_tidy": "shards and claims, removed",
    "merge": "all else",
}


@dataclass(frozen=True)
class Profile:
    """How often each part of something was seen."""

    seen: Counter[str]

    def table(self, whole: float, unit: str) -> str:
        """Return the parts, the largest first, as shares of what the whole takes."""
        n, lines = self.seen.total(), [f"| part | share | {unit} |", "| --- | --- | --- |"]
        for part, number in self.seen.most_common():
            lines.append(f"| {part} | {number / n:.1%} | {whole * number / n:.2f} |")
        return "\n".join([*lines, f"| all, {n} looks | | {whole:.2f} |"])


def main() -> int:
    """Print both profiles, and what is below them."""
    options = _options()
    peers = Peers(HERE / ".venv")  # none of them is asked
    with tempfile.TemporaryDirectory(prefix="psyflow-profile-", dir=options.scratch) as scratch:
        environment = Environment(Path(scratch), peers, is_quick=False)
        found = [*_of_worker(environment, options), *_of_merge(environment, options)]
    about = machine(peers)
    print("\n".join(f"- {name}: {text}" for name, text in about.items()))
    print("\n\n".join(["", *found]))
    return 0


def _of_worker(environment: Environment, options: argparse.Namespace) -> Iterator[str]:
    n, text = options.items, square_text(options.items, STORE)
    text = text.replace("pool_size = 2", "pool_size = 1")
    few = text.replace(f"range({n})", "range(10)")
    folders = {name: study(environment, name, t) for name, t in {"n": text, "10": few}.items()}
    merge = _prepared(environment, "of-worker", text)
    samples = interleaved(
        {
            **{name: cold_run(environment, folder) for name, folder in folders.items()},
            "merge": merged_anew(environment, merge),
            "loop": Contender([environment.program("loop.py", str(n))], folders["n"]),
        },
        options.rounds,
    )
    looks = environment.scratch / "of-worker"
    sampled = _SAMPLED.format(repository=str(HERE.parent), looks=str(looks))
    run = cold_run(environment, study(environment, "sampled", text + sampled))
    interleaved({"sampled": run}, options.rounds)
    seen = _parts(looks, "be_worker", _WORKER)
    spent = samples["n"].cpu - samples["10"].cpu - samples["merge"].reported("cpu")
    yield f"**One worker, {n} items.**"
    yield Profile(seen).table(spent / n * 1e6, "µs of CPU an item")
    bare = samples["loop"].reported("cpu") / n * 1e6
    yield f"A bare loop of the function: {bare:.2f} µs of CPU an item."


def _of_merge(environment: Environment, options: argparse.Namespace) -> Iterator[str]:
    n = options.items
    folder = _prepared(environment, "merge", square_text(n, STORE))
    merge = merged_anew(environment, folder)
    direct = {
        which: Contender([environment.program("write_tables.py", which, str(n))], folder)
        for which in ("result", "all")
    }
    samples = interleaved({"merge": merge, **direct}, options.rounds)
    looks = environment.scratch / "of-merge"
    program = environment.program("merge_sampled.py", str(looks))
    sampled_merge = Contender([program], folder, before=lambda: undo_merge(folder))
    interleaved({"sampled": sampled_merge}, 3 * options.rounds)
    seen = _parts(looks, "merge", _MERGE)
    mine = samples["merge"]
    yield f"**One merge of {n} rows, {n * N_BYTES / 1e6:.0f} MB of data.**"
    yield Profile(seen).table(mine.reported("cpu") * 1e3, "ms of CPU")
    clock = {name: sample.reported("seconds") * 1e3 for name, sample in samples.items()}
    yield f"By the clock: {clock['merge']:.0f} ms, with a thread at work beside it."
    yield (
        f"PyTables alone, arrays that are there, and an fsync: {clock['result']:.0f} ms; "
        f"with those of the bookkeeping, {clock['all']:.0f} ms."
    )


def _prepared(environment: Environment, name: str, text: str) -> Path:
    folder = study(environment, f"prepared-{name}", text)
    measured(Contender([environment.program("prepare_merge.py")], folder))
    return folder


def _parts(looks: Path, within: str, parts: Mapping[str, str]) -> Counter[str]:
    """Return how often each part was seen of what is done within a function."""
    return Counter(
        _part(lines, parts)
        for lines in stacks(looks)
        if any(line.function == within for line in lines)
    )


def _part(lines: list[Line], parts: Mapping[str, str]) -> str:
    for line in lines:
        if line.function == _LOOP:
            text = _text(line.file)[line.number - 1]
            return next(part for words, part in _LINES.items() if words in text)
        found = parts.get(line.function) or parts.get(line.function.rpartition(".")[2])
        if found:
            return found
    return "all else"


@functools.cache
def _text(file: str) -> list[str]:
    return Path(file).read_text().splitlines()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiled", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="for what is computed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
