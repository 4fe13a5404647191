"""What jobs find that they were given, in the words of all clusters."""

from __future__ import annotations

import math
import os
import socket
from pathlib import Path

import pytest

from psyflow.system import allotted
from psyflow.system.allotted import Gpus, job_cpus, numbered, quota, told_cpus

HOST = socket.gethostname()


@pytest.mark.parametrize(
    ("environment", "n"),
    [
        ({}, None),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_CPUS_PER_TASK": "4"}, 16),
        ({"SLURM_JOB_CPUS_PER_NODE": "72(x2),36"}, 72),
        ({"SLURM_CPUS_PER_TASK": "4"}, 4),
        ({"NSLOTS": "8"}, 8),
        ({"NCPUS": "6", "PBS_JOBID": "1"}, 6),
        ({"PBS_NUM_PPN": "3"}, 3),
        ({"LSB_DJOB_NUMPROC": "12", "LSB_MCPU_HOSTS": f"other 8 {HOST} 4"}, 4),
        ({"LSB_DJOB_NUMPROC": "12"}, 12),
        ({"SLURM_CPUS_ON_NODE": "64", "HQ_CPUS": "3,4"}, 2),
        ({"NSLOTS": "undefined", "SLURM_CPUS_ON_NODE": "0", "NCPUS": ""}, None),
    ],
)
def test_processors_that_clusters_tell(environment: dict[str, str], n: int | None) -> None:
    assert told_cpus(environment) == n


def test_processors_in_files_of_hosts(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(f"{HOST}\n{HOST}\nother\n")
    assert told_cpus({"OAR_NODE_FILE": str(file)}) == 2
    file.write_text(f"other.site 3 main.q UNDEFINED\n{HOST}.site 5 main.q UNDEFINED\n")
    assert told_cpus({"NSLOTS": "8", "PE_HOSTFILE": str(file)}) == 5
    assert told_cpus({"NSLOTS": "8", "PE_HOSTFILE": str(tmp_path / "gone")}) == 8


def test_the_share_of_a_container(tmp_path: Path) -> None:
    own, root = tmp_path / "own", tmp_path / "cgroup"
    (root / "a/b").mkdir(parents=True)
    own.write_text("0::/a/b\n")
    assert quota(root, own) == math.inf
    (root / "a/b/cpu.max").write_text("max 100000\n")
    (root / "a/cpu.max").write_text("250000 100000\n")
    assert quota(root, own) == 2.5
    own.write_text("4:cpu,cpuacct:/x\n0::/\n")
    (root / "cpu/x").mkdir(parents=True)
    (root / "cpu/x/cpu.cfs_quota_us").write_text("-1\n")
    (root / "cpu/x/cpu.cfs_period_us").write_text("100000\n")
    assert quota(root, own) == math.inf
    (root / "cpu/x/cpu.cfs_quota_us").write_text("150000\n")
    assert quota(root, own) == 1.5


def test_the_least_of_all_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(allotted, "quota", lambda: 3.9)
    assert job_cpus({"NSLOTS": "6"}, 2) == 3
    assert job_cpus({"NSLOTS": "2"}, 5) == 2
    assert job_cpus({}, 2) == 2
    monkeypatch.setattr(allotted, "quota", lambda: 0.5)
    assert job_cpus({}, None) == 1


def shared(environment: dict[str, str], asked: int | None, pool_size: int) -> list[str]:
    """Return what `CUDA_VISIBLE_DEVICES` each worker has."""
    gpus = Gpus(environment, asked)
    of_workers = [gpus.of_worker(worker, pool_size) for worker in range(pool_size)]
    return [own.get("CUDA_VISIBLE_DEVICES", "as it is") for own in of_workers]


@pytest.mark.parametrize(
    ("environment", "asked", "pool_size", "devices"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, None, 4, ["0", "1", "2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, 4, 2, ["0,1", "2,3"]),
        ({"CUDA_VISIBLE_DEVICES": "4,5,6"}, 4, 2, ["4", "5,6"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a1, GPU-b2"}, 2, 3, ["GPU-a1", "GPU-b2", "GPU-a1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-1,MIG-GPU-2/1/0"}, 2, 2, ["MIG-1", "MIG-GPU-2/1/0"]),
        ({"CUDA_VISIBLE_DEVICES": "2,-1,3"}, 2, 2, ["2", "2"]),
        *(
            ({"CUDA_VISIBLE_DEVICES": none}, 2, 2, ["as it is"] * 2)
            for none in ("", "-1", "NoDevFiles")
        ),
        ({"SLURM_JOB_GPUS": "0-3"}, 4, 2, ["0,1", "2,3"]),
        ({"SLURM_STEP_GPUS": "2", "SLURM_JOB_GPUS": "2,3"}, 2, 2, ["2", "2"]),
        ({"SGE_HGR_gpu": "gpu1 gpu3"}, 2, 2, ["1", "3"]),
        ({"SGE_HGR_gpu": "0 1 2 3"}, 4, 4, ["0", "1", "2", "3"]),
        ({}, 4, 2, ["0,1", "2,3"]),
        ({}, None, 2, ["as it is"] * 2),
    ],
)
def test_devices_are_shared_out(
    environment: dict[str, str], asked: int | None, pool_size: int, devices: list[str]
) -> None:
    assert shared(environment, asked, pool_size) == devices


def test_devices_of_torque(tmp_path: Path) -> None:
    file = tmp_path / "gpus"
    file.write_text("node1-gpu2\nnode1-gpu0\n")
    assert shared({"PBS_GPUFILE": str(file)}, 2, 2) == ["2", "0"]


def test_devices_of_amd() -> None:
    environment = {"ROCR_VISIBLE_DEVICES": "2,3", "HIP_VISIBLE_DEVICES": "2,3"}
    assert Gpus(environment).of_worker(1, 2) == {
        "ROCR_VISIBLE_DEVICES": "3",
        "HIP_VISIBLE_DEVICES": "0",
    }


def test_numbers_of_devices() -> None:
    assert numbered("0, 2-4 ,7") == ["0", "2", "3", "4", "7"]
    assert numbered("") == []
