"""Who does what: the claim log, and the hold on a run.

Both rest on one step that a file system, NFS too, does whole or not at all: giving a file a name
that nobody has yet (``os.link``). There is no lock to go stale and no counter to corrupt. Claims
are not fsynced: they matter only among processes that are alive, and a result that two of them
computed is in the result table once all the same.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from psyflow.exceptions import RunHeldError
from psyflow.files import link_new, make_folder, remove_temporaries

__all__ = ["Claim", "ClaimLog", "Hold", "Owner"]


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _birth_mark(pid: int) -> str | None:
    """Return what tells process `pid` from an earlier or later one of the same number.

    None if there is no such process; empty if there is one that we may not look at.
    """
    if not Path("/proc/self/stat").exists():
        return _birth_mark_by_ps(pid)
    try:
        # Bytes, for a process may call itself anything.
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "" if _exists(pid) else None
    # The command name may hold spaces and brackets; what follows the last one is fixed.
    fields = stat.rpartition(b")")[2].decode().split()
    return None if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"


def _birth_mark_by_ps(pid: int) -> str | None:
    # Dates are written as the locale and the time zone want it, which differ between callers.
    fixed = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    ps = subprocess.run(command, capture_output=True, text=True, env=fixed)
    state, _, birth = ps.stdout.strip().partition(" ")
    return None if state[:1] in ("", "Z") else birth.strip()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Somebody else's, on a host that hides the processes of others.
        return True
    return True


@dataclass(frozen=True)
class Owner:
    """A process, named so that nobody else is ever taken for it.

    Attributes
    ----------
    host : str
    pid : int
    birth : str
        When the process began, as its host's kernel tells it; guards against reused numbers.
    """

    host: str
    pid: int
    birth: str

    @classmethod
    def here(cls) -> Owner:
        """Return the calling process."""
        return cls(socket.gethostname(), os.getpid(), _birth_mark(os.getpid()) or "")

    def is_dead(self) -> bool | None:
        """Tell whether the process has ended; None if that cannot be seen from here."""
        if self.host != socket.gethostname():
            return None
        mark = _birth_mark(self.pid)
        return None if mark == "" else mark != self.birth

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Claim:
    """A worker's exclusive right to the positions ``start`` to ``stop`` of its batch.

    Attributes
    ----------
    number : int
        Place in the claim log, from 0.
    start, stop : int
        Half-open range of positions.
    owner : Owner
    shard : str
        Name of the owner's shard, which tells the workers of one process number apart.
    """

    number: int
    start: int
    stop: int
    owner: Owner
    shard: str

    @property
    def filename(self) -> str:
        """Name of the claim's file in the log."""
        return f"{self.number:08d}"

    def to_bytes(self) -> bytes:
        """Return the claim as its file holds it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Claim:
        """Read what `to_bytes` wrote."""
        fields = json.loads(data)
        return cls(**{**fields, "owner": Owner(**fields["owner"])})


class ClaimLog:
    """The log in which workers take the positions 0 … `total` − 1, each exactly once.

    Parameters
    ----------
    folder : Path
        The log's own folder; made at the first claim.
    total : int
        Number of positions.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> log = ClaimLog(Path(folder.name) / "log", total=10)
    >>> first = log.claim(Owner.here(), "a.rows", lambda remaining: 8)
    >>> second = log.claim(Owner.here(), "b.rows", lambda remaining: 8)
    >>> (first.start, first.stop), (second.start, second.stop)
    ((0, 8), (8, 10))
    >>> log.claim(Owner.here(), "a.rows", lambda remaining: 8) is None
    True
    >>> log.latest_of("a.rows") == first
    True
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path, total: int) -> None:
        self.folder = folder
        self.total = total
        self._known = -1  # the highest number that is known to be taken
        self._stop = 0  # where that claim ends

    def claim(self, owner: Owner, shard: str, size_of: Callable[[int], int]) -> Claim | None:
        """Take the next positions.

        Parameters
        ----------
        owner : Owner
        shard : str
        size_of : callable
            Given the number of positions left, how many to take (at least 1).

        Returns
        -------
        Claim or None
            None if every position is taken.
        """
        make_folder(self.folder)
        while True:
            self._find_tail()
            remaining = self.total - self._stop
            if remaining <= 0:
                return None
            size = min(max(1, size_of(remaining)), remaining)
            claim = Claim(self._known + 1, self._stop, self._stop + size, owner, shard)
            if link_new(self.folder / claim.filename, claim.to_bytes(), durable=False):
                self._known, self._stop = claim.number, claim.stop
                return claim

    def n_taken(self) -> int:
        """Return how many positions are taken."""
        self._find_tail()
        return self._stop

    def read(self, number: int) -> Claim:
        """Read one claim."""
        return Claim.from_bytes((self.folder / f"{number:08d}").read_bytes())

    def latest_of(self, shard: str) -> Claim | None:
        """Return the latest claim of the worker that writes `shard`.

        A worker claims again only when its claim is finished, so nothing before it can be open.
        """
        self._find_tail()
        claims = (self.read(number) for number in range(self._known, -1, -1))
        return next((claim for claim in claims if claim.shard == shard), None)

    def _taken(self, number: int) -> bool:
        return (self.folder / f"{number:08d}").exists()

    def _find_tail(self) -> None:
        # Numbers are taken without gaps, so doubling steps and halving them finds the last one: a
        # worker that was away for a long item reads one file, not all that were made meanwhile.
        if not self._taken(self._known + 1):
            return
        step = 1
        while self._taken(self._known + 2 * step):
            step *= 2
        low, high = self._known + step, self._known + 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._taken(middle) else (low, middle)
        self._known, self._stop = low, self.read(low).stop


class Hold:
    """The right to plan and submit one run; at most one living process has it.

    A folder of numbered files: the highest number holds, unless it is released or its process is
    dead. Whoever then links the next number has it.

    Parameters
    ----------
    folder : Path
    subject : str
        What is held, for messages.
    """

    def __init__(self, folder: Path, subject: str) -> None:
        self.folder = folder
        self.subject = subject
        self._mine: int | None = None

    def acquire(self) -> None:
        """Take the hold, or raise RunHeldError saying who has it.

        Raises
        ------
        RunHeldError
        """
        mark = json.dumps({"owner": asdict(Owner.here()), "since": time.time()}).encode()
        while True:
            make_folder(self.folder)
            tail = self._tail()
            self._refuse_if_held()
            mine = 0 if tail is None else tail + 1
            try:
                if not link_new(self.folder / f"{mine:08d}", mark, durable=False):
                    continue
            except FileNotFoundError:
                # Whoever got the hold meanwhile has tidied our temporary file up.
                continue
            # Between our look and our link, others may have come, gone and tidied up.
            if self._tail() == mine:
                self._mine = mine
                self._tidy(mine)
                return
            (self.folder / f"{mine:08d}").unlink(missing_ok=True)

    def release(self) -> None:
        """Give the hold back."""
        if self._mine is not None:
            # Whoever removes the folder has given back what was held in it.
            with contextlib.suppress(FileNotFoundError):
                link_new(self.folder / f"{self._mine:08d}.released", b"", durable=False)
            self._mine = None

    def holder(self) -> tuple[Owner, float] | None:
        """Return who holds, and since when (seconds since 1970); None if nobody alive does."""
        while (tail := self._tail()) is not None:
            if (self.folder / f"{tail:08d}.released").exists():
                return None
            try:
                mark = json.loads((self.folder / f"{tail:08d}").read_bytes())
            except FileNotFoundError:
                # Tidied up since we looked, by a later holder.
                continue
            except ValueError:
                # Emptied by a power loss, which its process did not survive.
                return None
            owner = Owner(**mark["owner"])
            return None if owner.is_dead() else (owner, mark["since"])
        return None

    def _refuse_if_held(self) -> None:
        held = self.holder()
        if held is not None:
            owner, since = held
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
            raise RunHeldError(
                f"{self.subject} is held by {owner} since {when}. "
                f"Wait for it, or end that process."
            )

    def _tail(self) -> int | None:
        numbers = [int(p.name) for p in self.folder.glob("[0-9]*") if p.name.isdigit()]
        return max(numbers, default=None)

    def _tidy(self, mine: int) -> None:
        # A number goes before the mark of its release: without the mark it would look held.
        for path in sorted(self.folder.glob("[0-9]*")):
            if int(path.name.partition(".")[0]) < mine:
                path.unlink(missing_ok=True)
        remove_temporaries(self.folder)
