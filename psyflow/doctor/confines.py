"""What keeps a process from seeing the machine as it is: containers, namespaces, limits."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from psyflow.messages import shown_path

__all__ = ["Confines", "look_at_confines"]

_CONTAINERS = {
    "APPTAINER_CONTAINER": "Apptainer",
    "SINGULARITY_CONTAINER": "Singularity",
    "CHARLIECLOUD": "Charliecloud",
    "CH_RUNNING": "Charliecloud",
    "KUBERNETES_SERVICE_HOST": "Kubernetes",
}
_MARKS = {
    "/.singularity.d": "Apptainer or Singularity",
    "/.dockerenv": "Docker",
    "/run/.containerenv": "Podman",
    "/run/systemd/container": "systemd",
}
_FIRST = {"pid": "pid:[4026531836]", "user": "user:[4026531837]"}
"""The namespaces that the kernel begins with have always these numbers."""
_LIMITS = {
    "open files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "seconds of CPU time": resource.RLIMIT_CPU,
    "bytes of memory": resource.RLIMIT_AS,
    "bytes in a file": resource.RLIMIT_FSIZE,
}
_MANY = 10_000
"""What is limited to more than this, but for bytes, is as good as not limited."""


@dataclass(frozen=True)
class Confines:
    """What there is of that.

    Attributes
    ----------
    container : str
        Its kind; empty if this seems to be in none.
    namespaces : list of str
        Those, of ``pid`` and ``user``, that are not the machine's own.
    is_proc_ours : bool
        Whether /proc has the numbers that processes have here.
    hides_others : bool
        Whether /proc hides the processes of other users.
    is_nobody : bool
        Whether the user's number is the one of all those that are not mapped into this place.
    temporary : str
        The folder for temporary files; empty if there is none that can be written to.
    temporary_free : int
        Bytes that are free in it.
    limits : dict from str to int
        What is limited, and to how much.
    """

    container: str = ""
    namespaces: list[str] = field(default_factory=list)
    is_proc_ours: bool = True
    hides_others: bool = False
    is_nobody: bool = False
    temporary: str = ""
    temporary_free: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """Say it in words, and what psyflow will do."""
        if self.container:
            yield (
                f"  in a container ({self.container}): who is alive outside of it is told by "
                f"leases, up to two minutes later"
            )
        elif "pid" in self.namespaces:
            yield (
                "  in a PID namespace: who is alive outside of it is told by leases, up to two "
                "minutes later"
            )
        if not self.is_proc_ours:
            yield (
                "  /proc is that of another namespace: even who is alive in here is told by leases"
            )
        if self.hides_others:
            yield "  /proc hides the processes of others: leases tell of theirs, yours are seen"
        if "user" in self.namespaces:
            yield "  in a user namespace: files are whose they are by numbers in it"
        if self.is_nobody:
            yield (
                "  the user is mapped to nobody, as are others: psyflow cannot tell whose a run "
                "is. Use it as a user of its own"
            )
        if not self.temporary:
            yield "  no folder for temporary files can be written to: set TMPDIR"
        else:
            gb = self.temporary_free / 1e9
            place = shown_path(self.temporary)
            yield f"  temporary files go to {place}, {gb:.1f} GB free; psyflow puts none there"
        if self.limits:
            shown = ", ".join(f"{number} {what}" for what, number in self.limits.items())
            yield f"  limited to {shown}; so is each worker"


def look_at_confines(
    environment: Mapping[str, str], root: Path = Path("/"), proc: Path = Path("/proc")
) -> Confines:
    """Look at where this process runs; writes nothing that stays.

    Parameters
    ----------
    environment : mapping
    root, proc : Path
        Where files are that tell.

    Examples
    --------
    >>> look_at_confines({"APPTAINER_CONTAINER": "/images/lab.sif"}).container
    'Apptainer'
    """
    temporary = _temporary()
    return Confines(
        container=_container(environment, root, proc),
        namespaces=[kind for kind, first in _FIRST.items() if _namespace(proc, kind) != first],
        is_proc_ours=_is_proc_ours(proc),
        hides_others=_hides_others(proc),
        is_nobody=str(os.getuid()) == _text(proc / "sys/kernel/overflowuid"),
        temporary=temporary,
        temporary_free=shutil.disk_usage(temporary).free if temporary else 0,
        limits=dict(_limits()),
    )


def _container(environment: Mapping[str, str], root: Path, proc: Path) -> str:
    for variable, kind in _CONTAINERS.items():
        if environment.get(variable):
            return kind
    # As systemd and podman have it.
    if environment.get("container"):
        return environment["container"]
    for file, kind in _MARKS.items():
        if (root / file[1:]).exists():
            return kind
    groups = _text(proc / "1/cgroup")
    return next((kind for kind in ("docker", "kubepods", "lxc") if f"/{kind}" in groups), "")


def _namespace(proc: Path, kind: str) -> str:
    """Name the namespace of a kind; that of the machine if it cannot be told."""
    try:
        return str((proc / "self/ns" / kind).readlink())
    except OSError:
        return _FIRST[kind]


def _is_proc_ours(proc: Path) -> bool:
    lines = _text(proc / "self/status").splitlines()
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), None)
    # Without that line, the kernel is old or there is no /proc.
    return numbers is None or len(numbers) == 1


def _hides_others(proc: Path) -> bool:
    for line in _text(proc / "self/mountinfo").splitlines():
        words = line.split()
        if len(words) > 4 and words[4] == "/proc":
            options = words[-1].split(",")
            return any(o.startswith("hidepid=") and o[8:] not in ("0", "off") for o in options)
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return ""


def _limits() -> Iterator[tuple[str, int]]:
    for what, number in _LIMITS.items():
        soft, _ = resource.getrlimit(number)
        if soft != resource.RLIM_INFINITY and (soft < _MANY or what.startswith("bytes")):
            yield what, soft
