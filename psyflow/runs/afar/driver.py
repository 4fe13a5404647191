"""The process job of a run whose items an engine evaluates: it claims, sends, and writes."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.engines.link import Link
from psyflow.engines.shipments import Arrival, Shipments
from psyflow.exceptions import PsyflowError
from psyflow.outcomes.payloads import fields_of, payload_of_failures
from psyflow.outcomes.records import Attempt, Failure
from psyflow.outcomes.shard import FAILURE, Frame, ShardWriter
from psyflow.record.plan import Plan
from psyflow.runs.afar.block import Facts, Items, Reply, Request, Text, explained
from psyflow.runs.afar.folders import FoldersHere
from psyflow.runs.afar.lane import evaluate_block, stop
from psyflow.runs.afar.mailbox import Mailbox
from psyflow.runs.afar.parcel import STUDY, Parcel, pack
from psyflow.runs.afar.running import Runners
from psyflow.scheduler.engines import EngineScheduler
from psyflow.system.exits import ENDED_EARLY, LOST, SETUP_FAILED, STOPPED, TOO_MANY_FAILURES
from psyflow.system.files import make_folder
from psyflow.system.identity import identity
from psyflow.system.owner import Owner
from psyflow.system.processes import Signals
from psyflow.texts import exception_text
from psyflow.work.capture import say
from psyflow.work.claims import ClaimLog
from psyflow.work.pacer import Pacer
from psyflow.work.presence import Presence
from psyflow.work.worker import Work

__all__ = ["drive"]

POLL_SECONDS = 0.05
SYNC_SECONDS = 0.5
GRACE_SECONDS = 12.0
SMALL_BYTES = 1 << 16
"""What is not larger goes with each block; else only to workers that say they lack it."""
NO_FILES = (
    " (Where the workers are, this folder is empty: give them absolute paths of files that they "
    "see, or values in the parameter space.)"
)
MOST_RETURNS = 3
"""How often a block may come back without any outcome before that is nobody's bad luck."""


def drive(plan: Plan, work: Work) -> int:
    """Have an engine evaluate the items of a process job, and return its exit status."""
    with contextlib.suppress(PermissionError):
        # What is typed at the terminal is not for what executors start: `psy` passes it on.
        os.setpgid(0, 0)
    try:
        task = plan.load_task()
        scheduler = task.scheduler
        if not isinstance(scheduler, EngineScheduler):
            raise PsyflowError(f"The plan is for an engine, and {scheduler!r} is none.")
        link = scheduler.connect()
    except PsyflowError as error:
        say(str(error))
        return SETUP_FAILED
    try:
        return _Driver(plan, work, link, pack(plan, task.execute)).run()
    finally:
        link.close()


@dataclass
class _Block:
    """Some items, on their way.

    Attributes
    ----------
    items : ndarray of int64
    mailbox : Mailbox
    with_parcel : bool
    number : int
    n_returns : int
        How often it has come back without any outcome.
    """

    items: Items
    mailbox: Mailbox
    with_parcel: bool = False
    number: int = 0
    n_returns: int = 0

    def __len__(self) -> int:
        return len(self.items)

    def halves(self) -> list[_Block]:
        """Cut in two what has not come back before its worker died."""
        left = np.setdiff1d(self.items, self.mailbox.settled(self.number))
        middle = len(left) // 2
        halves = (_Block(part, self.mailbox) for part in (left[:middle], left[middle:]))
        return [half for half in halves if len(half)]


class _Driver:
    def __init__(self, plan: Plan, work: Work, link: Link, parcel: Parcel) -> None:
        self._plan = plan
        self._work = replace(work, home=identity(make_folder(work.claims)))
        self._link = link
        self._parcel = parcel
        self._run = os.urandom(8).hex()
        self._mailbox = Mailbox()
        self._prefix = f"{work.prefix}.{os.urandom(4).hex()}"
        self._writer = ShardWriter(work.out / f"{self._prefix}.engine.rows")
        self._presence = Presence(self._work, self._prefix)
        self._runners = Runners(self._work, self._prefix, self._mailbox)
        self._log = ClaimLog(work.claims, len(work.items))
        self._shipments: Shipments[_Block] = Shipments(link, self._send)
        self._pacer = Pacer(link.n_workers)
        self._facts = Facts.here()
        self._folders = FoldersHere(plan)
        self._number = _first_number(plan)
        self._told: set[tuple[str, str]] = set()
        self._attempts: dict[int, int] = {}
        self._n_failed = 0
        self._status = 0
        self._stop_level = 0
        self._kill_time: float | None = None
        self._synced = time.monotonic()

    def run(self) -> int:
        """Send blocks until nothing is left to claim, or told to stop."""
        self._presence.begin()
        try:
            with self._writer, Signals() as signals:
                self._drive(signals)
        except PsyflowError as error:
            say(explained(error))
            self._status = SETUP_FAILED
        finally:
            self._runners.end()
            self._mailbox.close()
            self._link.tell_all(stop, self._run, 1 if self._is_idle else 2)
            is_settled = self._status in ENDED_EARLY or not (self._status or self._stop_level)
            is_there = self._presence.end(is_finished=is_settled)
        if not is_there:
            return LOST
        return self._status or (STOPPED if self._stop_level else 0)

    @property
    def _is_idle(self) -> bool:
        return not self._shipments.is_busy

    def _drive(self, signals: Signals) -> None:
        parent = os.getppid()
        is_exhausted = False
        while True:
            self._heed(signals.stop_requests, orphaned=os.getppid() != parent)
            while not (is_exhausted or self._stop_level) and self._shipments.has_room:
                is_exhausted = not self._claim()
            if self._is_idle and (is_exhausted or self._stop_level):
                return
            if self._kill_time is not None and time.monotonic() > self._kill_time:
                say(
                    "Not all workers have said that their items have ended. They end them when "
                    "they find that this process is gone, or at the latest with the item."
                )
                return
            self._heed_parts()
            self._runners.heed()
            arrival = self._shipments.collect(POLL_SECONDS)
            if arrival is not None:
                self._arrived(arrival)
            elif self._is_idle:
                signals.wait(POLL_SECONDS)
            if self._stop_level:
                self._shipments.forget_waiting()
            self._sync()

    # -- going out --------------------------------------------------------------------------------

    def _claim(self) -> bool:
        """Claim items, and send them; return whether there were any."""
        claim = self._log.claim(Owner.here(), self._writer.path.name, self._pacer.size)
        if claim is None:
            return False
        items = np.asarray(self._work.items[claim.start : claim.stop])
        self._shipments.submit(_Block(items, self._mailbox))
        return True

    def _send(self, block: _Block) -> Any:
        is_small = len(self._parcel.data) <= SMALL_BYTES
        self._number += 1
        # One that is lost is sent again by some engines, with this number.
        block.number = self._number
        request = Request(
            run=self._run,
            run_id=self._plan.run_id,
            task=self._plan.task,
            digest=self._parcel.digest,
            parcel=self._parcel.data if is_small or block.with_parcel else None,
            number=self._number,
            items=block.items,
            facts=self._facts,
            n_cpus=self._plan.n_cpus or 1,
            driver=self._mailbox.address,
            owner=Owner.here(),
            retries=self._work.retries,
            kept=self._folders.going_along(block.items),
        )
        return self._link.send(evaluate_block, request)

    # -- coming back ------------------------------------------------------------------------------

    def _arrived(self, arrival: Arrival[_Block]) -> None:
        block = arrival.batch
        self._heed_parts()
        earlier = self._mailbox.settled(block.number)
        self._mailbox.forget(block.number)
        self._runners.forget(block.number)
        if arrival.death is not None:
            if not len(earlier):
                self._died(block, arrival.death)
            return
        if arrival.returned is None:
            self._send_again(block, earlier, block.n_returns)
            return
        reply: Reply = arrival.returned
        if reply.lacks_parcel:
            self._shipments.submit_again(replace(block, with_parcel=True))
            return
        self._take(reply)
        settled = np.concatenate([earlier, reply.settled()])
        if len(settled):
            self._pacer.took(len(settled), reply.seconds)
        self._heed_status(reply)
        self._return(block, settled, reply.status)

    def _heed_parts(self) -> None:
        """Take what has come of blocks that are not through."""
        for number, reply in self._mailbox.parts():
            reply.stacks = {
                item: stack and self._as_of_here(stack, reply.folder)
                for item, stack in reply.stacks.items()
            }
            if not self._mailbox.is_over(number):
                self._runners.take(number, reply)
            self._take(reply)

    def _take(self, reply: Reply) -> None:
        self._tell(reply)
        self._folders.take(reply.kept, lambda path: self._as_of_here(path, reply.folder))
        for text in reply.texts:
            self._print(text)
        self._write(reply)

    def _write(self, reply: Reply) -> None:
        """Append outcomes to the shard."""
        for kind, items, payload in reply.frames:
            if kind == FAILURE:
                payload = self._with_paths_of_here(payload, reply.folder)
            frame = Frame(kind, items, 0, len(payload), 0)
            self._writer.write_frame(frame, payload)
            for failure in fields_of(payload) if kind == FAILURE else ():
                if not reply.is_tried_again(failure):
                    self._count_failure()

    def _with_paths_of_here(self, payload: bytes, there: str) -> bytes:
        """Return failures whose tracebacks name the frozen code of this run, which stays."""
        failures = fields_of(payload)
        for failure in failures:
            if there and str(Path(there).parent / STUDY) in failure["exception"]:
                failure["exception"] += NO_FILES
            for part in ("exception", "traceback"):
                failure[part] = self._as_of_here(failure[part], there)
        return payload_of_failures(failures)

    def _as_of_here(self, text: str, there: str) -> str:
        """Put the paths of this study in the place of those where a worker had laid it out."""
        if not there:
            return text
        text = text.replace(there, str(self._plan.layout.root))
        task_folder = str(Path(self._plan.task_file).parent)
        return text.replace(str(Path(there).parent / STUDY), task_folder)

    def _return(self, block: _Block, settled: Items, status: int) -> None:
        """Send again what a worker has left of a block, as one does that was told to end."""
        n_returns = 0 if len(np.intersect1d(block.items, settled)) else block.n_returns + 1
        if n_returns < MOST_RETURNS or self._stop_level:
            self._send_again(block, settled, n_returns)
            return
        if status < 0:
            self._blame(block, -status)
            return
        say(f"Items {block.items[:5].tolist()} come back without any outcome.")
        self._give_up(SETUP_FAILED)

    def _blame(self, block: _Block, signum: int) -> None:
        """Find the item with which the jobs beside workers are killed, time and again."""
        if len(block) == 1:
            self._died(block, PsyflowError(f"its job was killed by signal {signum}, each time"))
            return
        for half in block.halves():
            half.n_returns = MOST_RETURNS - 1
            self._shipments.submit_again(half)

    def _send_again(self, block: _Block, settled: Items, n_returns: int) -> None:
        left = np.setdiff1d(block.items, settled)
        if len(left) and not self._stop_level:
            self._shipments.submit_again(_Block(left, self._mailbox, n_returns=n_returns))

    def _died(self, block: _Block, error: Exception) -> None:
        """Record that an item took the worker of the engine along, though it was alone there."""
        (item,) = block.items.tolist()
        attempt = self._attempts[item] = self._attempts.get(item, 0) + 1
        what = f"The engine gave it up: {exception_text(error)}"
        pset = {} if self._work.space is None else self._work.space[item]
        tried = Attempt(item, pset, time.time(), 0.0, attempt)
        failure = Failure.of_death(tried, "crash", what)
        self._writer.write_failure(failure)
        say(f"Item {item} failed: {what}")
        is_again = self._work.retries.allow(failure.kind, failure.attempt)
        if is_again and not self._stop_level:
            self._shipments.submit_again(block)
        else:
            self._count_failure()

    def _count_failure(self) -> None:
        self._n_failed += 1
        limit = self._work.max_failures
        if limit is not None and self._n_failed >= limit and not self._status:
            say(f"{self._n_failed} items have failed: stopping early.")
            self._give_up(TOO_MANY_FAILURES)

    def _print(self, text: Text) -> None:
        """Put what items have printed where their outcomes say that it is."""
        path = self._plan.layout.root / text.log
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(fd, text.data, text.start)
        finally:
            os.close(fd)

    def _tell(self, reply: Reply) -> None:
        if reply.said.strip():
            say(self._as_of_here(reply.said, reply.folder).rstrip("\n"))
        difference = self._facts.difference(reply.facts)
        if difference and (told := (reply.host, difference)) not in self._told:
            self._told.add(told)
            say(f"Workers on {reply.host}: {difference}")

    def _heed_status(self, reply: Reply) -> None:
        if reply.status > 0 and reply.status != STOPPED:
            if reply.folder:  # else it has not begun with anything, and said why
                say(f"The worker on {reply.host} gave up (exit code {reply.status}).")
            self._give_up(reply.status)
        elif reply.status < 0:
            say(f"A worker on {reply.host} was killed (signal {-reply.status}).")

    def _sync(self) -> None:
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._writer.sync()
            self._synced = time.monotonic()

    # -- stopping ---------------------------------------------------------------------------------

    def _give_up(self, status: int) -> None:
        self._status = self._status or status
        self._raise_stop_level(1)

    def _heed(self, stop_requests: int, orphaned: bool) -> None:
        if trouble := self._presence.trouble():
            say(trouble.text)
            self._status = self._status or LOST
            self._raise_stop_level(2 if trouble.is_urgent else 1)
        if orphaned and self._kill_time is None:
            say("The process that started this job is gone: stopping.")
            self._raise_stop_level(1)
            self._kill_time = time.monotonic() + GRACE_SECONDS
        self._raise_stop_level(min(stop_requests, 2))

    def _raise_stop_level(self, level: int) -> None:
        """Level 1: no new items. Level 2: interrupt the running ones."""
        while self._stop_level < level:
            self._stop_level += 1
            self._mailbox.stop_level = self._stop_level
            self._link.recall()
            self._link.tell_all(stop, self._run, self._stop_level)
            if self._stop_level == 2:
                self._kill_time = time.monotonic() + GRACE_SECONDS


def _first_number(plan: Plan) -> int:
    """Return a number above those of all workers that have a log here."""
    numbers = [0]
    for log in plan.layout.logs():
        _, _, number = log.stem.rpartition(".worker-")
        numbers += [int(number)] if number.isdecimal() else []
    return max(numbers)
