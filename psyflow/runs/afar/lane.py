"""In the processes of an engine: blocks of items, evaluated by a job beside (`host`).

A job is kept for the blocks to come, so that the task is loaded once. It ends by itself when none
come for a while.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from psyflow.outcomes.shard import ShardReader
from psyflow.record.layout import Layout
from psyflow.runs.afar.block import Address, Facts, Frames, Reply, Request, Text
from psyflow.runs.afar.kept import PIECE_BYTES, lay_out, pieces_of
from psyflow.runs.afar.mailbox import DriverGoneError, Line, Told
from psyflow.runs.afar.parcel import LEASES
from psyflow.runs.afar.running import Beside
from psyflow.system.exits import LOST, SETUP_FAILED
from psyflow.system.files import make_folder
from psyflow.system.limits import share_processors
from psyflow.system.owner import Owner
from psyflow.work.feed import Items, block_bytes
from psyflow.work.psetfolders import noted_items

__all__ = ["evaluate_block", "stop"]

MOST_BYTES = 256 << 20
"""How much a job may leave in its folder before another one takes its place."""
TELL_SECONDS = 0.5
ORPHANED_SECONDS = 1.0
_FAREWELL_SECONDS = 15.0

_lock = threading.Lock()
_parcels: dict[str, bytes] = {}
_idle: dict[str, list[_Lane]] = {}
_busy: dict[str, set[_Lane]] = {}
_stopped: dict[str, int] = {}
_ending_with: set[Owner] = set()


def evaluate_block(request: Request) -> Reply:
    """Have the items of a block evaluated, and return what became of them."""
    if obstacle := request.facts.obstacle(Facts.here()):
        said = f"No worker on {socket.gethostname()} can evaluate anything. {obstacle}"
        return Reply(said=said, status=SETUP_FAILED)
    _end_with(request.owner)
    with _lock:
        if request.parcel is not None and request.digest not in _parcels:
            # One run at a time, as a rule, and parcels may be large.
            _parcels.clear()
            _parcels[request.digest] = request.parcel
        parcel = _parcels.get(request.digest)
        if parcel is None:
            return Reply(lacks_parcel=True)
        if request.run in _stopped:
            return Reply()
        idle = _idle.setdefault(request.run, [])
        lane = idle.pop() if idle else None
    try:
        lane = lane or _Lane(request, parcel)
    except OSError as error:
        return Reply(said=_no_place(error), status=SETUP_FAILED)
    with _lock:
        _busy.setdefault(request.run, set()).add(lane)
        level = _stopped.get(request.run, 0)
    lane.stop(level)
    reply, is_over = lane.evaluate(request)
    with _lock:
        _busy[request.run].discard(lane)
        if not is_over:
            _idle[request.run].append(lane)
    return reply


def stop(run: str, level: int) -> None:
    """Have the jobs of a run end: after the running item (level 1), or soon (2)."""
    with _lock:
        _stopped[run] = level
        busy, idle = list(_busy.get(run, ())), _idle.pop(run, [])
        _idle[run] = []
    for lane in idle:
        # Engines may be waiting for this.
        threading.Thread(target=lane.end, daemon=True).start()
    for lane in busy:
        lane.stop(level)


def _end_with(driver: Owner) -> None:
    """Have this process end when the driver does, if that has started it, as pools do not."""
    # With each block; only the first one has to look at the process.
    if driver.pid != os.getppid() or driver in _ending_with or driver.is_dead() is not False:
        return
    _ending_with.add(driver)

    def watch() -> None:
        while os.getppid() == driver.pid:
            time.sleep(ORPHANED_SECONDS)
        os._exit(LOST)

    threading.Thread(target=watch, daemon=True).start()


def _no_place(error: OSError) -> str:
    return (
        f"No worker on {socket.gethostname()} can begin: a job beside it needs a folder for "
        f"temporary files, and {error}. Set TMPDIR where the workers are, or make room there."
    )


def _line_to(driver: Address) -> Line | None:
    try:
        return Line(driver)
    except OSError:
        return None  # what there is comes with the block


class _Lane:
    """A job beside, and its folder."""

    def __init__(self, request: Request, parcel: bytes) -> None:
        self._line = _line_to(request.driver)
        self._folder = Path(tempfile.mkdtemp(prefix="psyflow-"))
        self._root = make_folder(self._folder / request.task)
        self._psets = Layout(self._root, request.task, self._root / "result").psets
        self._readers: dict[str, ShardReader] = {}
        self._read_to: dict[str, int] = {}
        self._log = self._folder / "said.log"
        self._beside = Beside(self._folder / LEASES)
        self._level = 0
        answers, theirs = os.pipe()
        self._answers = answers
        try:
            self._process = self._started(request, theirs)
        finally:
            os.close(theirs)
        assert self._process.stdin is not None
        self._blocks = self._process.stdin
        self._send(len(parcel).to_bytes(8, "little") + parcel)

    def _started(self, request: Request, answers: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-P", "-m", "psyflow.runs.afar.host"]
        words += [str(answers), str(self._folder), request.run_id, request.task]
        words += [str(request.number)]
        environment = dict(os.environ)
        share_processors(request.n_cpus, 1, environment)
        # The engine may find psyflow where a fresh interpreter would not look.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with self._log.open("wb") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[answers],
                cwd=self._folder,
                env=environment,
                # What is typed at the terminal is for the driver, which tells what to stop.
                start_new_session=True,
            )

    def _send(self, data: bytes) -> None:
        # If it has ended, the end of its answers says so.
        with contextlib.suppress(BrokenPipeError):
            self._blocks.write(data)
            self._blocks.flush()

    def evaluate(self, request: Request) -> tuple[Reply, bool]:
        """Evaluate items; return what became of them, and whether the job is over."""
        begin = time.monotonic()
        left = self._left_of(request)
        if not len(left):
            # Done by another worker, which was lost with it, or not wanted any more.
            return Reply(retries=request.retries), False
        for kept in request.kept:
            lay_out(kept, self._psets)
        self._send(block_bytes(left))
        while not select.select([self._answers], [], [], TELL_SECONDS)[0]:
            self._tell(request)
        has_answered = bool(os.read(self._answers, 1))
        status = 0 if has_answered else self._process.wait()
        reply = self._collected(request)
        self._send_kept(reply, request.number, self._noted())
        reply.status, reply.seconds = status, time.monotonic() - begin
        is_over = not has_answered
        if is_over:
            self._remove()
        elif self._size() > MOST_BYTES:
            self.end()
            is_over = True
        return reply, is_over

    def _left_of(self, request: Request) -> Items:
        """Return the items of a block that are still to be done."""
        if self._line is not None:
            with contextlib.suppress(DriverGoneError):
                told = self._line.begin(request.number)
                wanted = request.items[:0] if told.stop_level else request.items
                return np.setdiff1d(wanted, told.done)
        return request.items

    def _tell(self, request: Request) -> None:
        """Tell the driver what there is so far, and hear from it."""
        if self._line is None:
            return
        try:
            part = self._part(request)
            told = self._ask(request.number, part)
            self.stop(told.stop_level)
            for item in set(told.asked).intersection(request.items.tolist()):
                self._beside.ask(item)
        except DriverGoneError:
            # Nobody waits for what is running.
            self.stop(2)
            self._line = None

    def _part(self, request: Request) -> Reply:
        reply = self._collected(request)
        noted = self._noted() if reply.frames else {}
        through = set(reply.settled().tolist()).intersection(noted)
        self._send_kept(reply, request.number, {item: noted[item] for item in through})
        reply.running, reply.stacks = self._beside.running(), self._beside.stacks()
        return reply

    def _ask(self, number: int, part: Reply) -> Told:
        if self._line is None:
            raise DriverGoneError
        return self._line.tell(number, part)

    def _noted(self) -> dict[int, Path]:
        """Return the notes that tell of items which are their folders."""
        return noted_items(self._psets)

    def _send_kept(self, reply: Reply, number: int, notes: dict[int, Path]) -> None:
        """Have what is in the folders of some items go with a reply; what is much, before it."""
        size = 0
        for item, note in notes.items():
            folder = self._psets / note.readlink()
            try:
                for kept in pieces_of(folder, folder.name):
                    reply.kept.append(kept)
                    size += len(kept.data)
                    if size >= PIECE_BYTES and self._sent_ahead(reply, number):
                        reply.kept, size = [], 0
            except OSError as error:
                reply.said += f"What item {item} has in its folder does not come: {error}\n"
            shutil.rmtree(folder, ignore_errors=True)
            note.unlink()

    def _sent_ahead(self, reply: Reply, number: int) -> bool:
        # As long as there is a line, no more than a piece is in memory.
        ahead = Reply(kept=reply.kept, folder=reply.folder, running=self._beside.running())
        try:
            self._ask(number, ahead)
        except DriverGoneError:
            self._line = None
            return False
        return True

    def _collected(self, request: Request) -> Reply:
        """Return what has come since the last look."""
        reply = Reply(self._frames(), self._texts(), self._said(), retries=request.retries)
        reply.folder = str(self._root)
        return reply

    def stop(self, level: int) -> None:
        """Have it end after the running item (1), or soon (2)."""
        while self._level < level:
            self._level += 1
            # Two of one kind may become one on their way.
            self._process.send_signal((signal.SIGTERM, signal.SIGINT)[self._level - 1])

    def end(self) -> None:
        """End it, while it has nothing to do."""
        with contextlib.suppress(OSError):
            self._blocks.close()
        try:
            self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._remove()

    def _remove(self) -> None:
        os.close(self._answers)
        if self._line is not None:
            self._line.close()
        with contextlib.suppress(OSError):
            self._blocks.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _shards(self) -> list[Path]:
        return sorted((self._root / "out").glob("*.rows"))

    def _size(self) -> int:
        return sum(shard.stat().st_size for shard in self._shards())

    def _frames(self) -> Frames:
        frames: Frames = []
        for shard in self._shards():
            reader = self._readers.setdefault(shard.name, ShardReader(shard))
            new = reader.new_frames()
            frames += [(frame.kind, frame.items, reader.payload(frame)) for frame in new]
        return frames

    def _texts(self) -> list[Text]:
        logs = sorted(self._root.glob("*.log"))
        texts = [Text(log.name, self._read_to.get(log.name, 0), self._new(log)) for log in logs]
        return [text for text in texts if text.data]

    def _said(self) -> str:
        return self._new(self._log).decode(errors="replace")

    def _new(self, log: Path) -> bytes:
        """Return what has come to a log since the last look."""
        try:
            with log.open("rb") as file:
                file.seek(self._read_to.get(log.name, 0))
                data = file.read()
        except FileNotFoundError:
            return b""  # it had nothing to do for long, and is gone
        self._read_to[log.name] = self._read_to.get(log.name, 0) + len(data)
        return data
