"""What a fork does that evaluates psets: batches come in by a pipe, and outcomes go out by it."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from psyflow.columns import Columns, pack_numbers
from psyflow.exceptions import PsyflowError
from psyflow.mapper.batches import Batch, Ended, evaluate, peak_memory
from psyflow.mapper.call import Call
from psyflow.mapper.sendable import unsendable
from psyflow.outcomes.records import Failure, Rows
from psyflow.outcomes.table import Items
from psyflow.system.allotted import usable_cpus
from psyflow.system.exits import SETUP_FAILED
from psyflow.system.limits import limit_loaded_libraries, loaded_libraries, share_processors
from psyflow.work.account import Account
from psyflow.work.capture import Unheard
from psyflow.work.conditions import Conditions
from psyflow.work.evaluate import Evaluator
from psyflow.work.integrity import Integrity
from psyflow.work.slot import Slot

__all__ = ["Machine", "Message", "Task", "be_fork", "messages_in", "packed"]

Message: TypeAlias = "Rows | Failure | Ended | str"
"""What a fork says: outcomes, the end of a batch, or why it cannot work."""


@dataclass(frozen=True)
class Task:
    """What a fork is to do.

    Attributes
    ----------
    items : ndarray of int64
    columns : mapping from str to column
    attempts : mapping from int to int
        How often some of the items have been tried before.
    """

    items: Items
    columns: Columns
    attempts: dict[int, int]


def packed(task: Task) -> bytes:
    """Return a task as bytes.

    Raises
    ------
    UsageError
        If a pset has a value that cannot be sent.
    """
    try:
        return pickle.dumps(task, 5)
    except Exception:
        # Lambdas, and what else has no name to be found by.
        import cloudpickle
    try:
        pickled: bytes = cloudpickle.dumps(task)
    except Exception as error:
        raise unsendable(task.columns, error) from error
    return pickled


class _LinkWriter:
    """Where an evaluator writes to: the pipe."""

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._held: list[bytes] | None = None

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Send what is written in the block as one, at its end: that wakes the other side once."""
        held: list[bytes] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            if held:
                self._link.send_bytes(b"".join(held))

    def write_rows(self, rows: Rows) -> int:
        columns = {name: pack_numbers(column) for name, column in rows.columns.items()}
        return self.send(replace(rows, columns=columns))

    def write_failures(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            self.send(failure)

    def sync(self) -> None:
        """Do nothing: there is no disk."""

    def send(self, message: Message) -> int:
        pickled = pickle.dumps(message, 5)
        if self._held is None:
            self._link.send_bytes(pickled)
        else:
            self._held.append(pickled)
        return len(pickled)


def messages_in(sent: bytes) -> Iterator[Message]:
    """Yield what was sent as one."""
    file = io.BytesIO(sent)
    while file.tell() < len(sent):
        yield pickle.load(file)


@dataclass(frozen=True)
class Machine:
    """What forks share, as their parent has found it.

    Attributes
    ----------
    n_cpus, n_workers : int
    libraries : list
        Numerical ones that are loaded.
    """

    n_cpus: int
    n_workers: int
    libraries: list[Any]

    @classmethod
    def of(cls, n_workers: int) -> Machine:
        """Return that of this process."""
        return cls(usable_cpus(), n_workers, loaded_libraries())

    def share(self) -> None:
        """Take a share of it, in a fork."""
        share_processors(self.n_cpus, self.n_workers, os.environ)
        limit_loaded_libraries(os.environ, self.libraries)


def be_fork(call: Call, index: int, machine: Machine, link: Connection, slot: Slot) -> int:
    """Evaluate what comes, until there is no more; return the exit status."""
    # A collection would look at all that the parent has, and so copy its pages to this process.
    gc.freeze()
    writer = _LinkWriter(link)
    machine.share()
    try:
        prepared = call.prepared(index)
    except PsyflowError as error:
        writer.send(str(error))
        return SETUP_FAILED
    integrity = Integrity()
    attempts: dict[int, int] = {}
    evaluator = Evaluator(
        prepared,
        writer,
        slot.running,
        call.retries,
        attempts,
        output=Unheard(),
        integrity=integrity,
    )
    account = Account(evaluator, slot, integrity)
    with account, evaluator, account:
        os.register_at_fork(after_in_child=evaluator.leave_child)
        evaluator.looks.look_after(Conditions())
        waiting = time.monotonic()
        while (task := _received(link)) is not None:
            begin = time.monotonic()
            attempts |= task.attempts
            evaluate(evaluator, prepared, Batch(task.items, task.columns))
            if evaluator.looks.worn:
                # What is left goes to another process.
                evaluator.flush()
                return 0
            with writer.together():
                evaluator.flush()
                seconds = time.monotonic() - begin
                told = seconds, begin - waiting, peak_memory(), evaluator.prospects.are_doomed
                writer.send(Ended(len(task.items), *told))
            waiting = time.monotonic()
    return 0


def _received(link: Connection) -> Any:
    try:
        return pickle.loads(link.recv_bytes())
    except EOFError:
        return None
