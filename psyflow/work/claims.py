"""Who does what: the claim log.

It rests on one step that a file system, NFS too, does whole or not at all: giving a file the next
number (`psyflow.work.numbered`). There is no lock to go stale and no counter to corrupt. Claims
are not fsynced: they matter only among processes that are alive, and a result that two of them
computed is in the result table once all the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from psyflow.system.files import link_new, make_within, write_atomic
from psyflow.system.owner import Owner
from psyflow.system.reading import read_whole
from psyflow.work.capture import say
from psyflow.work.numbered import NumberedFiles

__all__ = ["Claim", "ClaimLog"]

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
        # `asdict` would take longer than to write the file.
        return json.dumps({**vars(self), "owner": vars(self.owner)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Claim:
        """Read what `to_bytes` wrote."""
        fields = json.loads(data)
        return cls(**{**fields, "owner": Owner.from_fields(fields["owner"])})


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
    >>> [claim.shard for claim in log.claims()]
    ['a.rows', 'b.rows']
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path, total: int) -> None:
        self.folder = folder
        self.total = total
        self._files = NumberedFiles(folder)
        self._known = -1  # the highest number that is known to be taken
        self._stop = 0  # where that claim ends
        self._is_made = False

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
        if not self._is_made:
            # Not its parents: where they are gone, the run is.
            make_within(self.folder.parent, self.folder.name)
            self._is_made = True
        while True:
            self._find_tail()
            remaining = self.total - self._stop
            if remaining <= 0:
                return None
            size = min(max(1, size_of(remaining)), remaining)
            claim = Claim(self._known + 1, self._stop, self._stop + size, owner, shard)
            if self._files.add(claim.number, claim.to_bytes()):
                self._known, self._stop = claim.number, claim.stop
                return claim

    def n_taken(self) -> int:
        """Return how many positions are taken."""
        self._find_tail()
        return self._stop

    def read(self, number: int) -> Claim:
        """Read one claim."""
        return Claim.from_bytes(self._files.read(number))

    def taken_over_by(self, shard: str) -> Claim | None:
        """Return the claim that the worker which writes `shard` has taken over last."""
        taken = [claim for claim in self.taken_over() if claim.shard == shard]
        return max(taken, key=lambda claim: claim.taken_at, default=None)

    def claims(self) -> Iterator[Claim]:
        """Yield every claim that can be read, in order, each as whoever has it now."""
        self._find_tail_anew()
        latest = {claim.number: claim for claim in self.taken_over()}
        for number in range(self._known + 1):
            if claim := latest.get(number) or self._read_if_whole(number):
                yield claim

    def taken_over(self) -> list[Claim]:
        """Return the claims that were taken over from whoever had them, the latest last."""
        names = (path.name for path in self.folder.glob("[0-9]*.[0-9]*"))
        files = sorted(names, key=lambda name: int(name.partition(".")[2]))
        claims = [_whole(read_whole(self.folder / name)) for name in files]
        return [claim for claim in claims if claim is not None]

    def before(self, claim: Claim) -> Claim | None:
        """Return what a claim was before it was taken over; None if that cannot be read."""
        earlier = replace(claim, takeovers=claim.takeovers - 1)
        return _whole(read_whole(self.folder / earlier.filename))

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

    def shorten(self) -> None:
        """Have one claim stand for all, once nothing is left to do of any: there may be many."""
        self._find_tail()
        if self._known < 1:
            return
        whole = Claim(0, 0, self._stop, Owner.here(), "")
        write_atomic(self.folder / whole.filename, whole.to_bytes())
        # From the second on: for whoever looks, the log ends before the first that is not there.
        for path in sorted(self.folder.glob("[0-9]*")):
            if path.name != whole.filename:
                path.unlink()

    def _find_tail_anew(self) -> None:
        """Do so for whoever reads what is there, which may have been shortened."""
        self._files.look_anew()
        self._find_tail()

    def _find_tail(self) -> None:
        known = self._known
        self._known = self._files.last()
        if self._known != known:
            self._stop = self._end_of(self._known, known)

    def _end_of(self, number: int, known: int) -> int:
        """Return where a claim ends.

        If a power loss has taken what was in it, it ends where it began: others claim its items
        once more, and a result that two of them computed is in the result table once.
        """
        while number > known:
            if claim := self._read_if_whole(number):
                return claim.stop
            number -= 1
        return self._stop

    def _read_if_whole(self, number: int) -> Claim | None:
        claim = _whole(self._files.read(number))
        if claim is None:
            say(f"{self._files.path(number)} is damaged: its items may run again.")
        return claim


def _whole(data: bytes) -> Claim | None:
    try:
        return Claim.from_bytes(data)
    except (ValueError, TypeError, LookupError):
        return None
