"""Who does what: the claim log, and the hold on a run.

Both rest on one step that a file system, NFS too, does whole or not at all: giving a file a name
that nobody has yet (``os.link``). There is no lock to go stale and no counter to corrupt. Claims
are not fsynced: they matter only among processes that are alive, and a result that two of them
computed is in the result table once all the same.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from psyflow.exceptions import RunHeldError
from psyflow.files import link_new, make_folder, remove_temporaries
from psyflow.lease import RENEW_SECONDS, is_stale, renew, server_time
from psyflow.owner import Owner

__all__ = ["Claim", "ClaimLog", "Hold", "Owner"]

MOST_TAKEOVERS = 3


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
    takeovers : int
        How often it was taken over from an owner that had ended.
    taken_at : float
        When it was taken over (seconds since 1970); 0 if it was not.
    """

    number: int
    start: int
    stop: int
    owner: Owner
    shard: str
    takeovers: int = 0
    taken_at: float = 0.0

    @property
    def filename(self) -> str:
        """Name of the claim's file in the log."""
        return f"{self.number:08d}" + (f".{self.takeovers}" if self.takeovers else "")

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

        A worker claims again only when its claim is finished, so nothing before it can be open;
        and what others left, only when there is nothing else.
        """
        taken_over = [claim for claim in self.taken_over() if claim.shard == shard]
        if taken_over:
            return max(taken_over, key=lambda claim: claim.taken_at)
        self._find_tail()
        claims = (self.read(number) for number in range(self._known, -1, -1))
        return next((claim for claim in claims if claim.shard == shard), None)

    def claims(self) -> Iterator[Claim]:
        """Yield every claim, in order, each as whoever has it now."""
        self._find_tail()
        latest = {claim.number: claim for claim in self.taken_over()}
        for number in range(self._known + 1):
            yield latest.get(number) or self.read(number)

    def taken_over(self) -> list[Claim]:
        """Return the claims that were taken over from whoever had them, the latest last."""
        names = (path.name for path in self.folder.glob("[0-9]*.[0-9]*"))
        files = sorted(names, key=lambda name: int(name.partition(".")[2]))
        return [Claim.from_bytes((self.folder / name).read_bytes()) for name in files]

    def take_over(self, claim: Claim, owner: Owner, shard: str) -> Claim | None:
        """Take a claim over from an owner that has ended.

        Returns
        -------
        Claim or None
            None if somebody else was quicker, or if it was taken over `MOST_TAKEOVERS` times: an
            item in it may be what ends its owners.
        """
        if claim.takeovers >= MOST_TAKEOVERS:
            return None
        mine = replace(
            claim, owner=owner, shard=shard, takeovers=claim.takeovers + 1, taken_at=time.time()
        )
        return (
            mine if link_new(self.folder / mine.filename, mine.to_bytes(), durable=False) else None
        )

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
    dead. Whoever then links the next number has it. A thread renews the file, which tells other
    hosts that the process lives.

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
        self._ending = threading.Event()

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
                self._keep(self.folder / f"{mine:08d}")
                return
            (self.folder / f"{mine:08d}").unlink(missing_ok=True)

    def release(self) -> None:
        """Give the hold back."""
        if self._mine is not None:
            self._ending.set()
            # Whoever removes the folder has given back what was held in it.
            with contextlib.suppress(FileNotFoundError):
                link_new(self.folder / f"{self._mine:08d}.released", b"", durable=False)
            self._mine = None

    def _keep(self, mark: Path) -> None:
        self._ending = ending = threading.Event()

        def keep() -> None:
            while not ending.wait(RENEW_SECONDS):
                renew(mark)

        threading.Thread(target=keep, name="psyflow-hold", daemon=True).start()

    def holder(self, now: Callable[[], float] = time.time) -> tuple[Owner, float] | None:
        """Return who holds, and since when (seconds since 1970); None if nobody alive does.

        Parameters
        ----------
        now : callable
            Tells the time; whoever may write there asks `server_time`.
        """
        while (tail := self._tail()) is not None:
            if (self.folder / f"{tail:08d}.released").exists():
                return None
            path = self.folder / f"{tail:08d}"
            try:
                mark, renewed = json.loads(path.read_bytes()), path.stat().st_mtime
            except FileNotFoundError:
                # Tidied up since we looked, by a later holder.
                continue
            except ValueError:
                # Emptied by a power loss, which its process did not survive.
                return None
            owner = Owner(**mark["owner"])
            is_dead = owner.is_dead()
            if is_dead is None:
                is_dead = is_stale(renewed, now())
            return None if is_dead else (owner, mark["since"])
        return None

    def _refuse_if_held(self) -> None:
        held = self.holder(lambda: server_time(self.folder))
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
