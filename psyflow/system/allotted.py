"""What a job finds that its cluster gave it: processors and GPUs.

The node of a job is asked, not the host of the submission. What several tell that stand around a
job (a batch system, a container, the kernel) holds together: the least of it.
"""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

__all__ = ["AsManyAsCpus", "Gpus", "job_cpus", "numbered", "quota", "told_cpus", "usable_cpus"]

_CGROUPS = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")
_MASKS = (
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
)
"""What libraries look at."""
_WITHIN_ROCR = ("HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
"""Count among the devices that ``ROCR_VISIBLE_DEVICES`` leaves."""
_LISTS = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SGE_HGR_gpu", "SGE_HGR_GPU", "SGE_GPU")
"""What clusters say, and no library looks at."""
_NOTHING = {"", "-1", "nodevfiles", "none", "void"}
# Made here, so that forks of this process have it.
_COUNT = re.compile(r"\s*0*([1-9]\d*)")


class AsManyAsCpus(int):
    """A number of workers that each job counts anew: one for each processor that it may use."""


def told_cpus(environment: Mapping[str, str]) -> int | None:
    """Return how many processors the cluster says that the job has on this node.

    Examples
    --------
    >>> told_cpus({"SLURM_CPUS_ON_NODE": "8"}), told_cpus({"NSLOTS": "4"}), told_cpus({})
    (8, 4, None)
    """
    found = [number for tell in _TELLERS if (number := tell(environment)) is not None]
    # A HyperQueue worker's job is within a Slurm job.
    return min(found, default=None)


def _number(name: str) -> Callable[[Mapping[str, str]], int | None]:
    def tell(environment: Mapping[str, str]) -> int | None:
        # Slurm may say "8(x2),4": of its nodes, a script is on the first.
        match = _COUNT.match(environment.get(name, ""))
        return int(match[1]) if match else None

    return tell


def _slurm(environment: Mapping[str, str]) -> int | None:
    names = ("SLURM_CPUS_ON_NODE", "SLURM_JOB_CPUS_PER_NODE", "SLURM_CPUS_PER_TASK")
    return next((n for name in names if (n := _number(name)(environment)) is not None), None)


def _grid_engine(environment: Mapping[str, str]) -> int | None:
    slots = _number("NSLOTS")(environment)
    rows = [line.split() for line in _lines(environment.get("PE_HOSTFILE"))]
    counts = [(row[0], int(row[1])) for row in rows if len(row) > 1 and row[1].isdecimal()]
    return _here(counts) or slots


def _lsf(environment: Mapping[str, str]) -> int | None:
    words = environment.get("LSB_MCPU_HOSTS", "").split()
    pairs = zip(words[::2], words[1::2], strict=False)
    counts = [(host, int(number)) for host, number in pairs if number.isdecimal()]
    return _here(counts) or _number("LSB_DJOB_NUMPROC")(environment)


def _oar(environment: Mapping[str, str]) -> int | None:
    file = environment.get("OAR_NODE_FILE") or environment.get("OAR_NODEFILE")
    return _here([(line.strip(), 1) for line in _lines(file) if line.strip()])


def _hyperqueue(environment: Mapping[str, str]) -> int | None:
    listed = [cpu for cpu in environment.get("HQ_CPUS", "").split(",") if cpu.strip()]
    return len(listed) or None


_TELLERS = (
    _slurm,
    _grid_engine,
    _lsf,
    _oar,
    _hyperqueue,
    _number("NCPUS"),
    _number("PBS_NCPUS"),
    _number("PBS_NUM_PPN"),
)


def _here(counts: list[tuple[str, int]]) -> int | None:
    """Return how many of a list of hosts are on this one; a script is on the first, as a rule."""
    if not counts:
        return None
    own = socket.gethostname().partition(".")[0]
    hosts = [host.partition(".")[0] for host, _ in counts]
    place = own if own in hosts else hosts[0]
    return sum(n for host, (_, n) in zip(hosts, counts, strict=True) if host == place) or None


def _lines(file: str | None) -> list[str]:
    try:
        return Path(file).read_text(errors="replace").splitlines() if file else []
    except OSError:
        return []  # it is on the first node only, perhaps


def quota(cgroups: Path = _CGROUPS, own: Path = _SELF) -> float:
    """Return how many processors' time the kernel gives to this process, infinity if all."""
    least = math.inf
    for line in _lines(str(own)):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            folders = list(_upwards(cgroups, path))
            limits = [_v2(folder) for folder in folders]
        elif "cpu" in controllers.split(","):
            names = (controllers, "cpu")
            folders = [folder for name in names for folder in _upwards(cgroups / name, path)]
            limits = [_v1(folder) for folder in folders]
        else:
            continue
        least = min([least, *limits])
    return least


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """Yield a folder and those above it, up to `root`: each may have a limit."""
    folder = root / path.strip("/")
    while folder.is_relative_to(root):
        yield folder
        folder = folder.parent


def _v2(folder: Path) -> float:
    words = " ".join(_lines(str(folder / "cpu.max"))).split()
    return _ratio(*words) if len(words) == 2 else math.inf


def _v1(folder: Path) -> float:
    words = [
        "".join(_lines(str(folder / f"cpu.cfs_{name}_us"))).strip() for name in ("quota", "period")
    ]
    return _ratio(*words)


def _ratio(quota: str, period: str) -> float:
    is_limit = quota.isdecimal() and period.isdecimal() and int(period) > 0
    return int(quota) / int(period) if is_limit else math.inf


def usable_cpus() -> int:
    """Return how many CPUs this process may use, on this machine, of a container's share."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    share = quota()
    return allowed if math.isinf(share) else max(1, min(allowed, math.floor(share)))


def job_cpus(environment: Mapping[str, str], asked: int | None = None) -> int:
    """Return how many processors this job may use.

    Parameters
    ----------
    environment : mapping
        Where clusters tell.
    asked : int, optional
        What the job asked for, in case its cluster does not tell.

    Examples
    --------
    >>> job_cpus({"NSLOTS": "1"}, 8)
    1
    """
    usable = usable_cpus()
    return min(usable, told_cpus(environment) or asked or usable)


class Gpus:
    """The GPUs of a job.

    Parameters
    ----------
    environment : mapping
    asked : int, optional
        How many the job asked for, in case nobody says which it has.

    Attributes
    ----------
    masks : dict from str to list of str
        The devices, by the variables in which libraries find them.

    Examples
    --------
    >>> gpus = Gpus({"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"})
    >>> [gpus.of_worker(worker, 2) for worker in range(2)]
    [{'CUDA_VISIBLE_DEVICES': 'GPU-a'}, {'CUDA_VISIBLE_DEVICES': 'GPU-b'}]
    """

    def __init__(self, environment: Mapping[str, str], asked: int | None = None) -> None:
        self.masks = {name: _devices(environment[name]) for name in _MASKS if name in environment}
        if not self.masks:
            listed = (numbered(environment[name]) for name in _LISTS if name in environment)
            file = _of_file(environment.get("PBS_GPUFILE"))
            found = next(listed, None) or file or [str(number) for number in range(asked or 0)]
            self.masks = {_MASKS[0]: found} if found else {}

    @property
    def n_devices(self) -> int:
        """How many there are, by the variable that has fewest but some."""
        return min((len(devices) for devices in self.masks.values() if devices), default=0)

    def of_worker(self, worker: int, pool_size: int) -> dict[str, str]:
        """Return what the environment of one worker says; where nothing is, it stays as it is.

        Devices are dealt out in the order of their numbers. With fewer than workers, these
        take turns.
        """
        n = self.n_devices
        if not n:
            return {}
        share = n // pool_size
        first, end = worker * share, (worker + 1) * share if worker < pool_size - 1 else n
        own = slice(first, end) if share else slice(worker % n, worker % n + 1)
        masks = {name: devices[:n][own] for name, devices in self.masks.items() if devices}
        if "ROCR_VISIBLE_DEVICES" in masks:
            for name in masks.keys() & set(_WITHIN_ROCR):
                masks[name] = [str(number) for number in range(len(masks[name]))]
        return {name: ",".join(devices) for name, devices in masks.items()}


def _devices(text: str) -> list[str]:
    devices = []
    for device in text.split(","):
        # As CUDA has it: what comes after one that is none does not count.
        if device.strip().lower() in _NOTHING:
            break
        devices.append(device.strip())
    return devices


def numbered(text: str) -> list[str]:
    """Return the numbers of devices in a list of a cluster's.

    Examples
    --------
    >>> numbered("0-2,5"), numbered("gpu0 gpu3")
    (['0', '1', '2', '5'], ['0', '3'])
    """
    found: list[str] = []
    for word in re.split(r"[\s,]+", text.strip()):
        if match := re.fullmatch(r"(\d+)-(\d+)", word):
            found += map(str, range(int(match[1]), int(match[2]) + 1))
        elif match := re.fullmatch(r"(?:\D*\D)?(\d+)", word):
            found.append(match[1])
        elif word:
            found.append(word)
    return found


def _of_file(file: str | None) -> list[str]:
    """Return the devices in Torque's list: ``host-gpu0`` in each line."""
    found = (re.search(r"-gpu(\d+)\s*$", line) for line in _lines(file))
    return [match[1] for match in found if match]
