"""A folder in which psets are evaluated, and which keeps their outcomes until they are taken up.

::

    place.json  which folder this is, should it be copied
    <record>    what is evaluated, sealed; from when it is there until the outcomes are taken up
    claims/
    map.*.rows  shards
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from psyflow.columns import Columns
from psyflow.exceptions import PsyflowError
from psyflow.mapper.alike import Together
from psyflow.mapper.batches import Returned
from psyflow.mapper.flow import evaluate_through
from psyflow.outcomes.reading import Outcomes, read_outcomes
from psyflow.outcomes.shard import ShardWriter
from psyflow.outcomes.table import Table, merged_blocks
from psyflow.pspace import ParameterSpace
from psyflow.system.exits import ENDED_EARLY, STOPPED
from psyflow.system.files import make_folder, write_atomic
from psyflow.system.orphans import ORPHAN_SECONDS, wait_until_dead
from psyflow.system.owner import Owner
from psyflow.system.place import Place
from psyflow.system.reading import read_whole
from psyflow.system.trust import Origin, is_own, seal, unsealed
from psyflow.work.claims import Claim
from psyflow.work.context import StopNow
from psyflow.work.evaluate import Evaluator
from psyflow.work.failure_limit import n_unfit_in
from psyflow.work.gpu import uses_gpu
from psyflow.work.prepared import Prepared
from psyflow.work.supervisor import Supervisor
from psyflow.work.worker import Work

__all__ = ["HERE", "Check", "Function", "WorkFolder"]

Function: TypeAlias = Callable[..., Mapping[str, Any]]
Check: TypeAlias = Callable[[Mapping[str, Any]], None]

HERE = "serial"
"""The backend that is this process itself."""


class WorkFolder:
    """A folder in which psets are evaluated.

    Parameters
    ----------
    path : Path
    record : str
        Name of the file that says what is evaluated.
    """

    def __init__(self, path: Path, record: str) -> None:
        self.path = path
        self._record = path / record

    def begin(self, record: bytes) -> None:
        """Make the folder, with what is evaluated in it."""
        place = Place.of(make_folder(self.path))
        assert place is not None
        write_atomic(self.path / "place.json", json.dumps(asdict(place)))
        write_atomic(self._record, seal(record, self.path))

    def record(self) -> tuple[bytes, bool]:
        """Return what is evaluated, and whether this user's psyflow wrote that.

        Raises
        ------
        FileNotFoundError
            If it had not begun.
        """
        return unsealed(read_whole(self._record))

    def evaluate(
        self,
        function: Function,
        space: ParameterSpace,
        pool_size: int,
        backend: Any,
        check: Check,
        most: float | None,
    ) -> None:
        """Evaluate all of `space`; its outcomes are on the disk within a second.

        Parameters
        ----------
        function : callable
        space : ParameterSpace
        pool_size : int
            Number of workers.
        backend : str, joblib backend or None
            As for `evaluate_through`; None for processes of psyflow's, `HERE` for this one.
        check : callable
            Raises UnsupportedDataError for a row that nobody could keep.
        most : float or None
            As for `Together`.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C; what is done is kept.
        PsyflowError
            If the workers could not work.
        """
        if backend is None and not uses_gpu():
            self._supervise(function, space, pool_size, check, most)
        elif backend == HERE:
            self._evaluate_here(function, space, check)
        else:
            # Forks of a process that uses a GPU could not use it.
            together, engine = Together(most), backend or "processes"
            self._write(evaluate_through(engine, pool_size, function, space, check, together))

    def outcomes(self) -> Outcomes:
        """Return what its shards hold."""
        origin = Origin(self.path, self._record)
        return read_outcomes(self._shards(), origin=lambda shard: origin, verify=True)

    def _shards(self) -> list[Path]:
        return sorted(self.path.glob("map.*.rows"))

    def blocks(self, table: Table) -> Iterator[tuple[Any, Columns]]:
        """Yield items and the columns of their results, in item order."""
        for items, block in merged_blocks(table):
            yield items, block.columns

    def is_own(self) -> bool:
        """Tell whether all that is in it was written here, by this user."""
        origin = Origin(self.path, self._record)
        return all(is_own(path, origin) for path in [self._record, *self._shards()])

    def is_copy(self) -> bool:
        """Tell whether this is a copy of a folder in which others work; of old, nothing tells."""
        try:
            place = Place.from_json(json.loads(read_whole(self.path / "place.json")))
        except (FileNotFoundError, ValueError):
            return False
        return place is not None and not place.is_here(self.path)

    def is_left(self) -> bool:
        """Wait until nobody evaluates for an earlier call, and tell whether that is so.

        Workers end with their call. One of this process that is over, as by Ctrl-C, has ended its.
        """
        return wait_until_dead(self._claimants() - {Owner.here()}, ORPHAN_SECONDS)

    def remove(self) -> None:
        """Remove it: what it has is taken up."""
        shutil.rmtree(self.path)

    def _supervise(
        self,
        function: Function,
        space: ParameterSpace,
        pool_size: int,
        check: Check,
        most: float | None,
    ) -> None:
        # Somebody who says how many may fail wants to have the others evaluated.
        n_unfit = (lambda: n_unfit_in(self._shards())) if most is None else (lambda: 0)
        work = Work(
            space=space,
            items=np.arange(len(space)),
            claims=self.path / "claims",
            out=self.path,
            prefix="map",
            prepare=lambda worker: Prepared(function, check=check, n_unfit=n_unfit),
            n_workers=pool_size,
            max_failures=most,
            tells=False,
        )
        status = Supervisor(work, pool_size).run()
        if status == STOPPED:
            raise KeyboardInterrupt
        if status and status not in ENDED_EARLY:
            raise PsyflowError(f"The workers could not work (exit code {status}).")

    def _evaluate_here(self, function: Function, space: ParameterSpace, check: Check) -> None:
        def stoppable(**pset: Any) -> Mapping[str, Any]:
            try:
                return function(**pset)
            except KeyboardInterrupt as error:
                raise StopNow from error  # an evaluator takes anything else for the pset's fault

        n = len(space)
        with (
            ShardWriter(self.path / "map.here.rows") as writer,
            Evaluator(Prepared(stoppable, check=check), writer) as evaluator,
        ):
            try:
                evaluator.evaluate(np.arange(n), space.columns(0, n))
            except StopNow as stop:
                raise stop.__cause__ or KeyboardInterrupt from None
            finally:
                evaluator.flush()

    def _write(self, batches: Iterable[Returned]) -> None:
        with ShardWriter(self.path / "map.engine.rows") as writer:
            for batch in batches:
                for rows in batch.rows:
                    writer.write_rows(rows)
                for failure in batch.failures:
                    writer.write_failure(failure)
                writer.sync()

    def _claimants(self) -> set[Owner]:
        """Return the processes that have claimed items in it, for their workers."""
        owners: set[Owner] = set()
        if self.is_copy():
            return owners
        for claim in (self.path / "claims").glob("[0-9]*"):
            # A power loss may have emptied it; whose it was has not survived that.
            with contextlib.suppress(ValueError):
                owners.add(Claim.from_bytes(read_whole(claim)).owner)
        return owners
