"""Workers, threads and GPUs are counted by the job, on real clusters with fake devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from psyflow.scheduler.gpus import count_gpus
from psyflow.testing.schedulers import until
from tests.support.place import Place

from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

PATIENCE = 300
TASK = """
import os, time
from pathlib import Path
from psyflow import LoadBalancingBackend, Param
from psyflow.scheduler import {scheduler}
scheduler = {scheduler}()
backend = LoadBalancingBackend
max_jobs = 1
pspace = Param(x=range(8))
BEGUN = Path(__file__).parent / "begun"

def setup(proc_id):
    BEGUN.mkdir(exist_ok=True)
    (BEGUN / str(proc_id)).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
    return {{"proc_id": proc_id}}

def execute(x, proc_id):
    # Until all have something to do.
    end = time.monotonic() + 120
    while len(list(BEGUN.iterdir())) < N and time.monotonic() < end:
        time.sleep(0.05)
    return {{"threads": os.environ["OMP_NUM_THREADS"]}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ran(place: Place, scheduler: str, more: str) -> tuple[list[str], set[str], str]:
    """Return the devices of each worker, the numbers of threads, and the log."""
    place.task("t", TASK.format(scheduler=scheduler) + more)
    assert place.program("run", "t").returncode == 0

    def is_over() -> bool:
        return not json.loads(place.call("status", "--json", "t").stdout)["t"]["jobs"]

    until(is_over, "no job is at work", PATIENCE)
    logs = "\n".join(log.read_text() for log in (place.work / "t").glob("*.log"))
    assert list((place.work / "t").glob("result*")), logs
    devices = [file.read_text() for file in (place.tasks / "begun").iterdir()]
    return sorted(devices), set(place.result("t")["threads"]), logs


def test_as_many_workers_as_slurm_gives_processors(place: Place, slurm: PrivateSlurm) -> None:
    # Whatever this machine has, a job has one.
    devices, threads, logs = ran(place, "Slurm", 'pool_size = "auto"\nN = 1\n')
    assert len(devices) == 1
    assert threads == {"1"}
    assert "Workers: 1, as many as CPUs that this job may use." in logs


def test_four_devices_of_slurm_are_shared_out(place: Place, slurm: PrivateSlurm) -> None:
    line = "export CUDA_VISIBLE_DEVICES=GPU-a,GPU-b,GPU-c,GPU-d"
    # No argument says that there are any.
    devices, _, logs = ran(place, "Slurm", f"pool_size = 2\nN = 2\nprologue = [{line!r}]\n")
    assert devices == ["GPU-a,GPU-b", "GPU-c,GPU-d"]
    assert "take turns" not in logs


def test_more_workers_than_devices_of_grid_engine(
    place: Place, gridengine: PrivateGridEngine
) -> None:
    line = "unset CUDA_VISIBLE_DEVICES; export SGE_HGR_gpu='gpu2 gpu3'"
    devices, _, logs = ran(place, "GridEngine", f"pool_size = 3\nN = 3\nprologue = [{line!r}]\n")
    assert devices == ["2", "2", "3"]
    assert "3 workers share 2 GPUs: they take turns" in logs


@pytest.mark.parametrize(
    ("args", "n"),
    [
        ({"n_gpus": 2}, 2),
        ({"n_gpus": "a100:2"}, 2),
        ({"n_gpus": "a100"}, 1),
        ({"gpus": "v100:1,a100:3"}, 4),
        ({"gpus-per-node": "2"}, 2),
        ({"gpus_per_task": "a100:2", "ntasks": 2}, 4),
        ({"gres": "gpu:a100:2"}, 2),
        ({"gres": ["tmp:5G", "gpu:2(S:0)"]}, 2),
        ({"gres": "gpu"}, 1),
        ({"gres": "tmp:5"}, None),
        ({"tres_per_task": "cpu:4,gres/gpu:a100:2"}, 2),
        ({"extra_args": ["--gres=gpu:3"]}, 3),
        ({"extra_args": ["--gpus-per-node", "a100:2"]}, 2),
        ({"extra_args": ["-G", "3"]}, 3),
        ({"extra_args": ["-G3"]}, 3),
        ({"extra_args": ["-l", "h_rt=100", "-l", "gpu=2"]}, 2),
        ({"extra_args": ["-l", "select=1:ngpus=2"]}, 2),
        ({"extra_args": ["-gpu", "num=2:mode=shared"]}, 2),
        ({"extra_args": ["--gpu-bind=closest", "-l", "mem=2G"]}, None),
        ({"tres_per_task": "gres:gpu:2"}, 2),
        ({"gres": "shard:4"}, 1),
        ({"resources": {"gpu": 2}}, 2),
        ({"resources": ["ngpus=2"]}, 2),
        ({"resources": {"gpus/amd": 1}}, 1),
        ({"requirements": "rusage[ngpus_physical=4]"}, 4),
        ({"n_gpus": "2:mode=shared"}, 2),
        ({"n_gpus": 0}, 0),
        ({"memory": "2G"}, None),
    ],
)
def test_every_spelling_of_gpus_is_counted(args: dict[str, object], n: int | None) -> None:
    assert count_gpus(args) == n
