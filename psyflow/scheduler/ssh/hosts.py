"""The hosts that take jobs from a spool, and which of them are at work."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

from psyflow.system.files import link_new, make_folder, write_atomic
from psyflow.system.lease import is_over
from psyflow.system.owner import Owner
from psyflow.system.reading import read_whole

__all__ = ["Hosts", "Leases"]

_SLOTS = ".slots"
_LEASE = ".lease-"


class Hosts:
    """What is known of the hosts: a file for the slots of each, and a lease for each runner.

    Parameters
    ----------
    folder : Path
    clock : callable
        Tells the time that leases are compared with.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.folder = folder
        self._clock = clock

    def set_slots(self, host: str, slots: int | None) -> None:
        """Say how many slots a host has; None for as many as it has processors."""
        make_folder(self.folder)
        path, said = self._slots_file(host), json.dumps(slots)
        if not path.exists() or read_whole(path) != said.encode():
            write_atomic(path, said)

    def slots(self, host: str) -> int | None:
        """Return how many slots a host has; None for as many as it has processors."""
        slots: int | None = json.loads(read_whole(self._slots_file(host)))
        return slots

    def most_slots(self) -> int | None:
        """Return how many slots the largest host has; None if that is not known."""
        slots = [json.loads(read_whole(path)) for path in self.folder.glob(f"*{_SLOTS}")]
        return None if not slots or None in slots else max(slots)

    def any_served(self, leases: Leases) -> bool:
        """Tell whether a runner is at work on any host."""
        return not all(map(leases.is_over, self.folder.glob(f"*{_LEASE}*")))

    def is_served(self, host: str) -> bool:
        """Tell whether a runner is at work on a host."""
        leases = self._leases(host)
        return bool(leases) and not is_over(leases[-1], self._clock())

    def take_lease(self, host: str) -> Path | None:
        """Make the calling process the runner of a host, unless there is one at work."""
        if self.is_served(host):
            return None
        leases = self._leases(host)
        number = _number(leases[-1]) + 1 if leases else 1
        lease = self.folder / f"{quote(host, safe='')}{_LEASE}{number}"
        if not link_new(lease, json.dumps(asdict(Owner.here())).encode()):
            return None
        # One that is gone counts as over, which these are. The last keeps its number taken, for
        # somebody slow may have looked before it was there.
        for earlier in leases[:-1]:
            earlier.unlink(missing_ok=True)
        return lease

    def _leases(self, host: str) -> list[Path]:
        """Return the leases of the runners that a host has had, the newest last."""
        return sorted(self.folder.glob(f"{quote(host, safe='')}{_LEASE}*"), key=_number)

    def is_newest(self, host: str, lease: Path) -> bool:
        """Tell whether nobody has become the runner of a host after whoever has `lease`."""
        return self._leases(host)[-1:] == [lease]

    def log(self, host: str) -> Path:
        """Return where the runner of a host writes what it has to say."""
        return self.folder / f"{quote(host, safe='')}.log"

    def _slots_file(self, host: str) -> Path:
        return self.folder / f"{quote(host, safe='')}{_SLOTS}"


class Leases:
    """Which runners are at work, each looked at once."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._over: dict[Path, bool] = {}

    def is_over(self, lease: Path) -> bool:
        """Tell whether the runner that has a lease has ended."""
        if lease not in self._over:
            self._over[lease] = is_over(lease, self._now)
        return self._over[lease]


def _number(lease: Path) -> int:
    return int(lease.name.rpartition("-")[2])
