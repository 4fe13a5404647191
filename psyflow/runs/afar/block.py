"""What goes to the workers of an engine, and what comes back."""

from __future__ import annotations

import contextlib
import json
import platform
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import PsyflowError
from psyflow.outcomes.payloads import fields_of
from psyflow.outcomes.shard import FAILURE, REFUSED
from psyflow.runs.afar.kept import Kept
from psyflow.system.owner import Owner
from psyflow.work.prepared import NO_RETRIES, Retries

__all__ = ["Address", "Facts", "Frames", "Reply", "Request", "Text", "explained"]

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

    def obstacle(self, other: Facts) -> str:
        """Say why what is sent from here cannot be evaluated there; empty if nothing is known."""
        if self.psyflow != other.psyflow:
            return (
                f"psyflow is {other.psyflow} there, and {self.psyflow} here: what is sent is "
                f"written otherwise. Type there: {_install_command(self.psyflow)}"
            )
        if _series(self.python) != _series(other.python):
            ours, theirs = _series(self.python), _series(other.python)
            return (
                f"Python is {other.python} there, and {self.python} here: functions and classes "
                f"in parameters or results would not survive the way, and random numbers and "
                f"results may differ. Start the workers with Python {ours}, or psy with {theirs}."
            )
        return ""

    def difference(self, other: Facts) -> str:
        """Say what differs so much that results may; empty if nothing does."""
        if _series(self.numpy) == _series(other.numpy):
            return ""
        return f"NumPy is {other.numpy} there, and {self.numpy} here: results may differ."


def _series(version: str) -> str:
    # The last part of a version is for mended faults.
    return ".".join(version.split(".")[:2])


def _install_command(version: str) -> str:
    """Return what to type where psyflow is to be as it is here."""
    with contextlib.suppress(PackageNotFoundError, ValueError):
        source = distribution("psyflow").read_text("direct_url.json")
        if source is not None:
            # It comes from a folder or an archive, and an index may have no such version.
            url: str = json.loads(source)["url"]
            return f"pip install {shlex.quote(url.removeprefix('file://'))}"
    return f"pip install psyflow=={version}"


def explained(error: PsyflowError) -> str:
    """Return what an engine says; what to type, if workers have no psyflow."""
    text = str(error)
    if "No module named 'psyflow" in text:
        return (
            f"psyflow is not installed where the workers are. Type there, with their Python, "
            f"which has to be {platform.python_version()}, but for the last number: "
            f"{_install_command(Facts.here().psyflow)}"
        )
    return text


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
    owner : Owner
        The driver's process.
    retries : Retries
        Which failures are no outcome.
    kept : list of Kept
        What is in folders of the items from before.
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
    owner: Owner
    retries: Retries
    kept: list[Kept] = field(default_factory=list)


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
    running : list of (int, float)
        Items that have been running for some seconds, and for how many.
    stacks : mapping from int to str or None
        Where running items are that were asked about; see `psyflow.work.asked`.
    kept : list of Kept
        What items have in their folders that have an outcome, or were stopped.
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
    running: list[tuple[int, float]] = field(default_factory=list)
    stacks: dict[int, str | None] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)

    def settled(self) -> Items:
        """Return the items that have their outcome."""
        settled = [np.empty(0, dtype=np.int64)]
        settled += [self._settled_by(*frame) for frame in self.frames]
        return np.concatenate(settled)

    def _settled_by(self, kind: int, items: Items, payload: bytes) -> Items:
        if kind == REFUSED:
            return items[:0]  # its failure comes after it
        if kind != FAILURE:
            return items
        return items[[not self.is_tried_again(failure) for failure in fields_of(payload)]]

    def is_tried_again(self, failure: Mapping[str, Any]) -> bool:
        """Tell whether a failure, of which the fields are given, is no outcome yet."""
        return self.retries.allow(failure["kind"], failure["attempt"])
