"""What goes to the workers of an engine, and what comes back."""

from __future__ import annotations

import platform
import socket
import sys
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Facts", "Frames", "Reply", "Request", "Text"]

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
    host : str
    facts : Facts
    """

    frames: Frames = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    said: str = ""
    lacks_parcel: bool = False
    status: int = 0
    seconds: float = 0.0
    host: str = field(default_factory=socket.gethostname)
    facts: Facts = field(default_factory=Facts.here)
