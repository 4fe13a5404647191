"""What a process finds where it runs: on this host, or in a job."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psyflow.doctor.confines import Confines, look_at_confines
from psyflow.system.allotted import Gpus, job_cpus, quota, told_cpus

__all__ = ["PlaceFacts", "look_at_place"]


@dataclass(frozen=True)
class PlaceFacts:
    """What there is.

    Attributes
    ----------
    user : str
        The user's name and number.
    has_name : bool
        Whether the number has a name here.
    cpus : int
        Processors that may be used: as many workers has ``pool_size = "auto"``.
    cpus_told : int or None
        What a cluster says in the environment.
    share : float or None
        Processors' time that a container or a service may use, if it is limited.
    gpu_devices : int
        Devices of GPUs that can be seen.
    gpus : dict from str to list of str
        Which of them libraries are told to use.
    confines : Confines
        Containers, namespaces, temporary files, limits.
    clock : float
        Seconds since 1970.
    variables : list of str
        Names in the environment.
    """

    user: str = ""
    has_name: bool = True
    cpus: int = 0
    cpus_told: int | None = None
    share: float | None = None
    gpu_devices: int = 0
    gpus: Mapping[str, list[str]] = field(default_factory=dict)
    confines: Confines = field(default_factory=Confines)
    clock: float = 0.0
    variables: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PlaceFacts:
        """Return what a job has written down."""
        return cls(**{**fields, "confines": Confines(**fields["confines"])})

    def lines(self) -> Iterator[str]:
        """Say it in words, and what psyflow will do."""
        told = f"; the cluster tells {self.cpus_told}" if self.cpus_told is not None else ""
        share = f"; limited to {self.share:g} by a control group" if self.share is not None else ""
        workers = 'as many workers has pool_size = "auto"'
        yield f"  {self.cpus} CPUs may be used{told}{share}: {workers}"
        if self.gpus:
            masks = (f"{name}={','.join(devices)}" for name, devices in self.gpus.items())
            yield f"  GPUs: {'; '.join(masks)}; workers of cluster jobs share them out"
        elif self.gpu_devices:
            yield f"  {self.gpu_devices} GPUs can be seen, and nothing says which are whose"
        else:
            yield "  no GPU can be seen"
        yield from self.confines.lines()
        if not self.has_name:
            yield f"  {self.user} has no name here; files and the seal of runs go by the number"


def look_at_place() -> PlaceFacts:
    """Look at where this process runs; write nothing.

    Examples
    --------
    >>> facts = look_at_place()
    >>> facts.cpus >= 1, len(list(facts.lines())) >= 2
    (True, True)
    """
    share = quota()
    name = _user_name()
    return PlaceFacts(
        user=f"{name} ({os.getuid()})" if name else f"user {os.getuid()}",
        has_name=bool(name),
        cpus=job_cpus(os.environ),
        cpus_told=told_cpus(os.environ),
        share=share if share < float("inf") else None,
        gpu_devices=len([p for p in Path("/dev").glob("nvidia*") if p.name[6:].isdecimal()])
        or len(list(Path("/dev/dri").glob("renderD*"))),
        gpus=Gpus(os.environ).masks,
        confines=look_at_confines(os.environ),
        clock=time.time(),
        variables=sorted(os.environ),
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""
