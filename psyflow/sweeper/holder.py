"""Who holds elements: processes, as those who share the folder see them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from psyflow.outcomes.keyfiles import KeyFile
from psyflow.system.files import make_within
from psyflow.system.lease import Lease, is_over, owner_of, server_time
from psyflow.system.owner import Owner
from psyflow.system.reading import names_in
from psyflow.work.flusher import Flusher
from psyflow.work.keyclaims import Packer

__all__ = ["HOLDERS", "Held", "Holder", "ended", "held_by", "remove_ended"]

HOLDERS = "holders"


class Held(NamedTuple):
    """The elements that one process holds.

    Attributes
    ----------
    owner : Owner or None
        The process; None if nobody knows, as for what execo wrote.
    has_ended : bool
        Whether it has: by the process table on its own host, by its lease on others.
    elements : list
    """

    owner: Owner | None
    has_ended: bool
    elements: list[Any]

    def __str__(self) -> str:
        who = str(self.owner) if self.owner is not None else "a process that is not known"
        state = "has ended" if self.has_ended else "is alive"
        return f"{who}, which {state}, holds {len(self.elements)} elements"


class Holder:
    """Holds elements of one sweeper, as long as this process lives.

    A thread renews its lease, brings what is done to the disk, and packs the claim log, twice a
    second; the function that the user calls meanwhile may take hours.

    Parameters
    ----------
    folder : Path
        The sweeper's.
    keys, claims : Path
        The folders that count now.
    """

    def __init__(self, folder: Path, keys: Path, claims: Path) -> None:
        self.pid = os.getpid()
        self.number = int.from_bytes(os.urandom(8), "little") | 1  # not that of nobody
        leases = make_within(folder, HOLDERS)
        self._name = _name(self.number)
        self._lease = Lease(leases / self._name, say=lambda text: None)
        self._lease.take()
        self._done = KeyFile(keys / self._name)
        self._packer = Packer(claims)
        self._flusher = Flusher(self._keep)
        self._flusher.start()

    def done(self, keys: Path) -> KeyFile:
        """Return the file in which this process says what is done, in the folder that counts."""
        self._flusher.raise_error()
        if self._done.path.parent != keys:
            self._done.close()
            self._done = KeyFile(keys / self._name)
        return self._done

    def packs(self, claims: Path) -> None:
        """Say which claim log counts."""
        if self._packer.folder != claims:
            self._packer = Packer(claims)

    def end(self, is_holding: Callable[[], bool]) -> None:
        """Let go, unless this is a fork of the process."""
        if os.getpid() != self.pid:
            return
        # Where the folder was removed, there is nobody to tell anything.
        with contextlib.suppress(FileNotFoundError):
            self._done.sync()
        self._packer.pack()
        # What the process holds, it goes on to hold; if it ends now, that is seen without a word.
        if is_holding():
            return
        self._flusher.end()
        self._lease.release()
        self._done.close()

    def _keep(self) -> None:
        self._done.sync()
        self._lease.renew()
        self._packer.pack()


def _name(number: int) -> str:
    return f"{number:016x}"


def held_by(folder: Path, number: int) -> Owner | None:
    """Return the process that a holder is; None if nobody knows."""
    return owner_of(folder / HOLDERS / _name(number))


def remove_ended(folder: Path, but: Collection[int]) -> None:
    """Remove what tells of holders that have ended, but for some."""
    leases = make_within(folder, HOLDERS)
    names = {name for name in names_in(leases) if name[0] != "."} - set(map(_name, but))
    now = server_time(leases)
    for name in names:
        if is_over(leases / name, now):
            (leases / name).unlink(missing_ok=True)


def ended(folder: Path, numbers: Collection[int]) -> set[int]:
    """Return those of some holders that have ended, as far as can be seen from here."""
    if not numbers:
        return set()
    leases = make_within(folder, HOLDERS)
    now = server_time(leases)
    return {number for number in numbers if is_over(leases / _name(number), now)}
