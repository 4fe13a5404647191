"""The table of what the runs of an experiment printed, as the family of tools has it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from psyflow.cli.experiments.kept import About, read_about
from psyflow.command.parse import Parse
from psyflow.record.plan import Plan
from psyflow.results import load
from psyflow.runs.folders import Folders

__all__ = ["BOOKKEEPING", "OutputTable"]

BOOKKEEPING = (
    "BREAK_ID", "TASK_ID", "REPEAT_ID", "COMBINATION_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME",
    "DURATION", "STARTED_AT", "ENDED_AT", "MAX_TRIES", "TRIES", "CLUSTER_ID", "CLUSTER_NAME",
    "NODE_ID", "NODE_NAME", "WORKER_ID", "OUTPUT_DIR", "WORK_DIR",
)  # fmt: skip
"""The columns after ``VAR_…`` and ``OUT_…``, in their order."""

_REPEAT = "repeat"
_LOCAL = "local_machine"


class OutputTable:
    """The table of one run.

    Parameters
    ----------
    plan : Plan
        The present one.
    parse : Parse or None
        What is taken from each folder; the results as they are if None.

    Attributes
    ----------
    n_gone : int
        Rows for which no folder is there, known when all are written.
    """

    def __init__(self, plan: Plan, parse: Parse | None) -> None:
        self._plan = plan
        self._parse = parse
        self._about = read_about(plan.layout) or About()
        self._results = load(plan.layout.root)
        self._kept = self._results.bookkeeping
        self._folders = Folders(plan.layout, plan.load_space())
        self._variables = sorted(n for n in self._results.parameters if n != _REPEAT)
        self._n_repeats = self._count_repeats()
        self._workers: dict[tuple[str, int], int] = {}
        self._hosts: dict[str, int] = {}
        self.n_gone = 0

    def _count_repeats(self) -> int:
        column = self._results.get(_REPEAT)
        return int(np.max(np.asarray(column))) + 1 if column is not None and len(column) else 1

    @property
    def names(self) -> list[str]:
        """The columns."""
        outputs = self._results.outputs if self._parse is None else self._parse.names
        return [
            *(f"VAR_{name}" for name in self._variables),
            *(f"OUT_{name}" for name in outputs),
            *BOOKKEEPING,
        ]

    def write(self, file: TextIO, separator: str) -> int:
        """Write the table, and return its number of rows."""
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerow(self.names)
        n_rows = 0
        for row in self.rows():
            writer.writerow([_text(row.get(name)) for name in self.names])
            n_rows += 1
        return n_rows

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows, run after run."""
        items = np.asarray(self._kept["item"]).tolist()
        folders = self._folders.of(items)
        results = self._results.rows()
        for place, (result, folder) in enumerate(zip(results, folders, strict=True)):
            variables = {f"VAR_{name}": result[name] for name in self._variables}
            about = self._bookkeeping(place, items[place], result, folder)
            for number, found in enumerate(self._found(result, folder)):
                outputs = {f"OUT_{name}": value for name, value in found.items()}
                yield {**variables, **outputs, "BREAK_ID": number, **about}

    def _found(self, result: Mapping[str, Any], folder: Path) -> Sequence[Mapping[str, Any]]:
        if self._parse is None:
            return [{name: result[name] for name in self._results.outputs}]
        with self._folders.outputs(folder, self._parse.reads) as found:
            if found is None:
                self.n_gone += 1
                return [{}]
            return self._parse.rows_of_folder(found)

    def _output_dir(self, item: int, folder: Path) -> Path:
        """Return where the outputs of an item are, by its number if it has a link."""
        link = self._plan.layout.link(item)
        return (
            link if link.is_symlink() and link.resolve() == folder.resolve() else folder
        ).absolute()

    def _bookkeeping(
        self, place: int, item: int, result: Mapping[str, Any], folder: Path
    ) -> dict[str, Any]:
        kept = {name: column[place] for name, column in self._kept.items()}
        start, seconds = float(kept["start"]), float(kept["duration"])
        node, name = self._node(str(kept["host"]))
        output_dir = self._output_dir(item, folder)
        return {
            "TASK_ID": item,
            "REPEAT_ID": result.get(_REPEAT, 0),
            "COMBINATION_ID": item // self._n_repeats,
            "EXPERIMENT_ID": self._about.number,
            "EXPERIMENT_NAME": self._plan.task,
            "DURATION": f"{seconds:.6f}",
            "STARTED_AT": _moment(start),
            "ENDED_AT": _moment(start + seconds),
            "MAX_TRIES": max(self._about.max_tries, int(kept["attempt"])),
            "TRIES": int(kept["attempt"]),
            "CLUSTER_ID": 0,
            "CLUSTER_NAME": self._about.cluster,
            "NODE_ID": node,
            "NODE_NAME": name,
            "WORKER_ID": self._worker(str(kept["host"]), int(kept["pid"])),
            "OUTPUT_DIR": output_dir,
            "WORK_DIR": self._about.workdir or output_dir,
        }

    def _node(self, host: str) -> tuple[int, str]:
        if not self._about.nodes:
            return 0, _LOCAL
        for number, (target, name) in enumerate(self._about.nodes.items()):
            if host in (name, target.rpartition("@")[2].partition(":")[0]):
                return number, name
        return self._hosts.setdefault(host, len(self._hosts)), host

    def _worker(self, host: str, pid: int) -> int:
        return self._workers.setdefault((host, pid), len(self._workers))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "microseconds")


def _text(value: Any) -> Any:
    """Return a value as it stands in the table; nothing for one that is absent."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else value
