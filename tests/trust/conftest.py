"""A study of a stranger's, and what somebody plants in it."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psyflow import PickleStore
from psyflow.outcomes.records import Rows
from psyflow.outcomes.shard import ShardWriter
from psyflow.pspace import Param
from psyflow.record.bookkeeping import Stamp
from psyflow.record.frozen import FrozenSpace
from tests.support.place import Place

TASK = """
from psyflow import Param
store = ".{ext}"
pspace = Param(x=range({n}))

def execute(x):
    if x == 2 and {fails}:
        raise ValueError("two")
    return {{"y": x**2}}
"""


class Harm:
    """Its pickle makes a folder as soon as it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.makedirs, (str(self.mark), 0o777, True)


class Strangers(Place):
    """A study that a stranger's `psy` has run, and that is now among the user's own files."""

    def __init__(self, folder: Path, ext: str = "npz", *, fails: bool = False) -> None:
        super().__init__(folder)
        self.mark = folder / "harm"
        self.task("t", TASK.format(ext=ext, n=4, fails=fails))
        key = {"XDG_STATE_HOME": str(folder / "of the stranger")}
        ran = self.program("run", "t", env=key)
        assert ran.returncode == int(fails), ran.stderr
        shutil.rmtree(folder / "of the stranger", ignore_errors=True)

    @property
    def run(self) -> Path:
        return self.work / "t"

    @property
    def plan(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run / "plan.json").read_text())
        return found

    @property
    def run_id(self) -> str:
        return str(self.plan["run_id"])

    def extend(self) -> None:
        """Ask for other psets than the stranger has."""
        source = self.folder / "psy-tasks/task_t.py"
        source.write_text(source.read_text().replace("range(4)", "range(6)"))

    def plant_space(self) -> None:
        """Freeze a space whose loading does harm, with all that belongs to it."""
        space = Param(x=range(4), harm=[[Harm(self.mark)]] * 4)
        pickled = pickle.dumps((space, {}), protocol=5)
        frozen = FrozenSpace(space, {}, pickled)
        text = json.dumps({**self.plan, "space_digest": frozen.digest})
        folder = self.run / "plans" / self.run_id
        (folder / "pspace.pkl").write_bytes(pickled)
        for path in (self.run / "plan.json", folder / "plan.json"):
            path.write_text(text)

    def plant_shard(self, items: Sequence[int] = (2,)) -> Path:
        """Put results beside the others whose loading does harm."""
        path = self.run / "out" / f"{self.run_id}.0.harm.0-0.rows"
        zeros = np.zeros(len(items))
        columns = {"y": [Harm(self.mark) for _ in items]}
        with ShardWriter(path) as writer:
            writer.write_rows(
                Rows(np.array(items), columns, zeros, zeros, zeros.astype(np.int16), "h", 1)
            )
        return path

    def plant_result(self) -> None:
        """Replace the result by one whose loading does harm, and say that it is the result."""
        result = self.run / "result.pkl"
        PickleStore().save(result, {"x": [0, 1, 2, 3], "y": [Harm(self.mark)] * 4})
        stamp = Stamp.of(result)
        assert stamp is not None
        self.rewrite_about(stamp=dataclasses.asdict(stamp))

    def rewrite_about(self, **fields: object) -> None:
        """Have the bookkeeping say something else."""
        with np.load(self.run / "items.npz") as file:
            arrays = dict(file)
        about = {**json.loads(str(arrays.pop("about"))), **fields}
        np.savez(self.run / "items.npz", about=np.array(json.dumps(about)), **arrays)

    def harm_is_done(self) -> bool:
        return self.mark.exists()


@pytest.fixture
def strangers(tmp_path: Path) -> Strangers:
    return Strangers(tmp_path)
