"""What goes to the workers of an engine, and what comes back."""

from __future__ import annotations

import json
import platform
import socket
import sys
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from psyflow.outcomes.shard import FAILURE, REFUSED
from psyflow.work.prepared import NO_RETRIES, Retries

__all__ = ["Address", "Facts", "Frames", "Reply", "Request", "Text"]

Items = npt.NDArray[np.int64]
Frames = list[tuple[int, Items, bytes]]
"""Of each frame of a shard the kind, the items, and the payload, which nobody here looks into."""


@dataclass(frozen=True)
class Facts:
    """What has to be, or had better be, the same on both sides.

    Attributes
    ----------
    psyflow, python, numpy : str
        Their versions.
    """

    psyflow: str
    python: str
    numpy: str

    @classmethod
    def here(cls) -> Facts:
        """Return those of this process."""
        # Not imported by name: what stands above this room is in its namespace.
        version: str = sys.modules["psyflow"].__version__
        return cls(version, platform.python_version(), np.__version__)

    def differences(self, other: Facts) -> list[str]:
        """Say what differs so much that results may, as "Python 3.11.2, here 3.12.1"."""
        names = {"Python": "python", "NumPy": "numpy"}
        found = []
        for name, attribute in names.items():
            theirs, ours = getattr(other, attribute), getattr(self, attribute)
            # The last part of a version is for mended faults.
            if theirs.split(".")[:2] != ours.split(".")[:2]:
                found.append(f"{name} {theirs}, here {ours}")
        return found


@dataclass(frozen=True)
class Address:
    """Where the driver is to be found, beside what the engine does.

    Attributes
    ----------
    hosts : tuple of str
        Names and addresses to try, one after the other.
    port : int
    key : bytes
        What tells workers of the driver from others.
    """

    hosts: tuple[str, ...]
    port: int
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Request:
    """Items that are to be evaluated.

    Attributes
    ----------
    run : str
        What tells the driver from all others.
    run_id, task : str
        Of the plan.
    digest : str
        Of the parcel.
    parcel : bytes or None
        None if the worker may have it already.
    number : int
        Of the block; a process that is started for it is the worker of this number.
    items : ndarray of int64
    facts : Facts
    n_cpus : int
        How many processors an evaluation may use.
    driver : Address
    retries : Retries
        Which failures are no outcome.
    """

    run: str
    run_id: str
    task: str
    digest: str
    parcel: bytes | None
    number: int
    items: Items
    facts: Facts
    n_cpus: int
    driver: Address
    retries: Retries


@dataclass(frozen=True)
class Text:
    """What was printed.

    Attributes
    ----------
    log : str
        Name of the log, in the run's folder.
    start : int
        Where in it, in bytes.
    data : bytes
    """

    log: str
    start: int
    data: bytes


@dataclass
class Reply:
    """What became of a block.

    Attributes
    ----------
    frames : list of (int, ndarray of int64, bytes)
        Outcomes; an item without any was not evaluated.
    texts : list of Text
        What items have printed.
    said : str
        What the job has said, for the log of ours.
    lacks_parcel : bool
        Whether nothing was done because the worker has not got the parcel.
    status : int
        Why the worker has ended, if not 0: one of `psyflow.system.exits`, or minus a signal.
    seconds : float
    folder : str
        What stood there for the folder of the run.
    host : str
    facts : Facts
    retries : Retries
    """

    frames: Frames = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    said: str = ""
    lacks_parcel: bool = False
    status: int = 0
    seconds: float = 0.0
    folder: str = ""
    host: str = field(default_factory=socket.gethostname)
    facts: Facts = field(default_factory=Facts.here)
    retries: Retries = NO_RETRIES

    def settled(self) -> Items:
        """Return the items that have their outcome."""
        settled = [np.empty(0, dtype=np.int64)]
        settled += [items for kind, items, payload in self.frames if self._settles(kind, payload)]
        return np.concatenate(settled)

    def _settles(self, kind: int, payload: bytes) -> bool:
        if kind == REFUSED:
            return False  # its failure comes after it
        return kind != FAILURE or not self.is_tried_again(payload)

    def is_tried_again(self, payload: bytes) -> bool:
        """Tell whether a failure, as it is in a shard, is no outcome yet."""
        failure = json.loads(payload)
        return self.retries.allow(failure["kind"], failure["attempt"])
