"""A map in a folder: a run like those of task files, whose psets this process has evaluated.

In the folder is a task file, by which ``psy`` and `psyflow.load` know the run. It has the psets,
and says of the function no more than what tells it from others: so a map with another function
puts the results of the first into the archive, as every run does whose code has changed.

Files in users' folders import `psets_of` from here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from psyflow.conventions import MAP_FILE
from psyflow.exceptions import UsageError
from psyflow.fingerprint.functions import code_of_function
from psyflow.mapper.arguments import Asked, name_of
from psyflow.mapper.batches import Returned
from psyflow.outcomes.shard import ShardWriter
from psyflow.outcomes.table import Items
from psyflow.pspace import ParameterSpace
from psyflow.pspace.stability import check_values
from psyflow.record.ownership import writable
from psyflow.record.plan import Plan
from psyflow.runs.bring import bring
from psyflow.runs.here import Here
from psyflow.system.files import make_folder, write_atomic
from psyflow.system.hold import Hold
from psyflow.system.reading import no_pipe, read_whole
from psyflow.system.trust import Origin, is_own, seal, unpickled, unsealed
from psyflow.tasks import Config, TaskDef

__all__ = ["MapFolder", "bring_up_to_date", "psets_of"]

PSETS_FILE = "psets.pkl"
SYNC_SECONDS = 0.5

_SOURCE = '''"""What a psyflow.map of `{function}` keeps in this folder.

To go on, call it again. How far it is: psy status {shown}
"""

from pathlib import Path

from psyflow.mapper.folder import psets_of

FOLDER = Path(__file__).parent
CODE = {code}

name = FOLDER.name
workdir = FOLDER.parent
pspace = psets_of(FOLDER)
{seed}

def execute(**pset):
    raise RuntimeError(f"This is evaluated by the program that calls psyflow.map: {{CODE}}")
'''


class MapFolder:
    """The folder of a map.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    UsageError
        If there are files in it that no map has made.
    RunHeldError
        If another process is at work in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 (links are not followed)
        self._task_file = self.path / MAP_FILE
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"`workdir` {self.path} is a file. Give a folder.")
        if not self._task_file.exists() and self.path.is_dir() and any(self.path.iterdir()):
            raise UsageError(
                f"There are files in {self.path} that no map has made. Give a folder that is "
                f"empty or not there, such as {self.path / 'map'}"
            )

    def task(self, asked: Asked, space: ParameterSpace) -> TaskDef:
        """Write down what is asked, and return it as a task.

        Raises
        ------
        UnstableValueError
            If a parameter has a value that nothing tells from others.
        """
        check_values(space)
        hold = Hold(self.path / "hold", str(self.path))
        with writable(self.path, "Give another folder as `workdir`."):
            make_folder(self.path)
            hold.acquire()
        try:
            write_atomic(self.path / PSETS_FILE, seal(pickle.dumps(space, 5), self.path))
            source = self._source(asked)
            if not (self._task_file.exists() and read_whole(self._task_file) == source.encode()):
                write_atomic(self._task_file, source)
        finally:
            hold.leave()
        return TaskDef(self._task_file, Config(), self.path.parent)

    def _source(self, asked: Asked) -> str:
        code = code_of_function(asked.function)
        parts = sorted({**code.parts, **code.values}.items())
        streams = asked.call.streams
        return _SOURCE.format(
            function=name_of(asked.function),
            shown=self.path.name,
            code={name: part.digest for name, part in parts},
            seed="" if streams is None else f"seed = {streams.seed}\n",
        )


def psets_of(folder: Path) -> ParameterSpace:
    """Return the psets of the map that a folder is of.

    Parameters
    ----------
    folder : Path
    """
    file = folder / PSETS_FILE
    pickled, _ = unsealed(read_whole(file))
    own = is_own(file, Origin(folder, file))
    space: ParameterSpace = unpickled(pickled, str(file), own=own)
    return space


Evaluate: TypeAlias = Callable[[Items], "contextlib.AbstractContextManager[Iterator[Returned]]"]


def bring_up_to_date(task: TaskDef, evaluate: Evaluate) -> None:
    """Evaluate the psets of a map's run that have no result, and merge the results.

    Parameters
    ----------
    task : TaskDef
    evaluate : callable
        Given numbers of psets, has them evaluated, and gives what comes back.
    """
    bring(task, here=functools.partial(_ByThisProcess, evaluate))


class _ByThisProcess(Here):
    """The process step is done by who has asked for it: only there is the function."""

    def __init__(self, evaluate: Evaluate, *run: Any) -> None:
        super().__init__(*run)
        self._evaluate_items = evaluate

    def process(self, plan: Plan) -> int:
        """Evaluate what is missing; whatever is done when that ends stays."""
        layout = plan.layout
        # One shard has one writer: a call that was killed has left one of its own.
        prefix = f"{layout.shard_prefix(plan.run_id, 0)}.{os.urandom(4).hex()}"
        pending = np.load(no_pipe(plan.frozen.pending))
        with (
            ShardWriter(layout.out / f"{prefix}.map.rows") as writer,
            self._evaluate_items(pending) as found,
        ):
            synced = time.monotonic()
            for returned in found:
                _write(returned, writer)
                if time.monotonic() - synced > SYNC_SECONDS:
                    writer.sync()
                    synced = time.monotonic()
        return 0


def _write(returned: Returned, writer: ShardWriter) -> None:
    for rows in returned.rows:
        writer.write_rows(rows)
    for failure in returned.failures:
        writer.write_failure(failure)
