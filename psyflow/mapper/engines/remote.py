"""Evaluating elsewhere: batches go out as pickles, and their outcomes come back."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import pickle
import threading
from collections import ChainMap, deque
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, ClassVar

from psyflow.columns import Columns
from psyflow.engines.link import Link
from psyflow.engines.shipments import Shipments
from psyflow.exceptions import UsageError
from psyflow.mapper.batches import Batch, Returned, evaluated
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import ANY_NUMBER, Engine
from psyflow.mapper.sendable import check_sendable
from psyflow.outcomes.table import Items
from psyflow.texts import exception_text
from psyflow.work.evaluate import Evaluator
from psyflow.work.prepared import Prepared

__all__ = ["Packed", "Remote", "evaluate_packed"]

_NO_FILE = "<dynamic-code>"


class Packed:
    """A call as a pickle that workers can load which have not seen the function's module.

    Parameters
    ----------
    call : Call

    Raises
    ------
    UsageError
        If it cannot be pickled.
    """

    def __init__(self, call: Call) -> None:
        try:
            self._bytes = _pickled(call)
        except Exception as error:
            raise UsageError(
                "The function cannot be sent to workers of this backend: "
                f'{exception_text(error)}. Use backend="processes", which sends no functions.'
            ) from error
        self._name = hashlib.blake2b(self._bytes, digest_size=16).hexdigest()

    def prepared(self) -> tuple[Call, Prepared]:
        """Return the call, and what it needs, made once in each process."""
        return _prepared(self)

    def load(self) -> Call:
        """Return the call."""
        call: Call = pickle.loads(self._bytes)
        return call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)


def _pickled(call: Call) -> bytes:
    """Pickle by value what cannot be imported, with the names of the files that it is from."""
    import cloudpickle

    reduced = cloudpickle.CloudPickler.dispatch_table[CodeType]

    def with_file(code: CodeType) -> tuple[Any, ...]:
        # cloudpickle puts a text of its own in its place, which no traceback should show.
        make, arguments, *rest = reduced(code)
        told = tuple(code.co_filename if one == _NO_FILE else one for one in arguments)
        return (make, told, *rest)

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        dispatch_table: ClassVar[Any] = ChainMap(
            {CodeType: with_file}, cloudpickle.CloudPickler.dispatch_table
        )

    with io.BytesIO() as file:
        Pickler(file).dump(call)
        return file.getvalue()


@functools.lru_cache(maxsize=1)
def _prepared(packed: Packed) -> tuple[Call, Prepared]:
    call = packed.load()
    return call, call.prepared(0)


_lock = threading.Lock()
_at_work: dict[str, list[Evaluator]] = {}
_left: deque[str] = deque(maxlen=1000)
"""Maps of which nothing is wanted any more."""


def evaluate_packed(packed: Packed, items: Items, columns: Columns, run: str = "") -> Returned:
    """Evaluate a batch of a map, in a process of an engine's; what is left of it, once that is."""
    call, prepared = packed.prepared()
    mine: list[Evaluator] = []

    def begun(evaluator: Evaluator) -> None:
        with _lock:
            mine.append(evaluator)
            _at_work.setdefault(run, []).append(evaluator)
            if run in _left:
                evaluator.stop()

    try:
        return evaluated(call, prepared, Batch(items, columns), begun=begun)
    finally:
        with _lock:
            others = [evaluator for evaluator in _at_work.pop(run, []) if evaluator not in mine]
            if others:
                _at_work[run] = others


def leave(run: str) -> None:
    """Have what evaluates psets of a map in this process end after the running one."""
    with _lock:
        _left.append(run)
        for evaluator in _at_work.get(run, ()):
            evaluator.stop()


class Remote(Engine):
    """What is at the other end of a link.

    Parameters
    ----------
    call : Call
    connect : callable
        Makes the link.
    of_items : mapping from int to mapping, optional
        What the engine is to reserve for some items; then each of these goes alone.
    """

    def __init__(
        self,
        call: Call,
        connect: Callable[[], Link],
        of_items: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        # What cannot be sent is said before anything is started.
        self._packed = Packed(call)
        self._run = os.urandom(8).hex()
        self._link = connect()
        self._of_items = of_items or {}
        self._shipments: Shipments[Batch] = Shipments(self._link, self._send)

    def _send(self, batch: Batch) -> Any:
        own = self._of_items.get(int(batch.items[0]), {}) if len(batch) == 1 else {}
        what = (self._packed, batch.items, batch.columns, self._run)
        return self._link.send(evaluate_packed, *what, **own)

    @property
    def n_workers(self) -> int:
        """How many workers there were a moment ago."""
        return self._link.n_workers

    @property
    def room(self) -> int:
        """Any number as long as it has few batches; if psets have needs of their own, one."""
        if not self._shipments.has_room:
            return 0
        return 1 if self._of_items else ANY_NUMBER

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to come."""
        return self._shipments.is_busy

    def submit(self, batch: Batch) -> None:
        """Take a batch.

        Raises
        ------
        UsageError
            If a pset has a value that cannot be sent.
        """
        check_sendable(batch.columns)
        self._shipments.submit(batch)

    def collect(self) -> list[Returned]:
        """Wait for a batch to be done."""
        arrival = self._shipments.collect()
        if arrival is None:
            return []
        if arrival.returned is None and arrival.death is None:
            # The engine has lost it; a map itself takes nothing back before its end.
            self._shipments.submit_again(arrival.batch)
            return []
        if arrival.death is not None:
            return [arrival.batch.given_up(arrival.death)]
        returned: Returned = arrival.returned
        returned.batch = arrival.batch
        return [returned]

    def close(self) -> None:
        """End what was started for it, and what it has sent."""
        if self._shipments.is_busy:
            self._link.tell_all(leave, self._run)
        self._link.close()
