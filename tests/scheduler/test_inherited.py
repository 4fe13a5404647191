"""A job that is submitted within another job starts with nothing of that one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from psyflow.scheduler import PBS, GridEngine, Slurm
from psyflow.scheduler.batch import BatchScheduler
from psyflow.scheduler.inherited import without_outer_job

from .fake_programs import FakePrograms
from .private_slurm import PrivateSlurm

OUTER = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_GPUS": "3",
    "SLURM_CONF": "/etc/slurm.conf",
    "NSLOTS": "4",
    "SGE_TASK_ID": "undefined",
    "SGE_HGR_gpu": "1",
    "PBS_ARRAY_INDEX": "5",
    "PBS_DEFAULT": "server",
    "PMIX_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "CUDA_VISIBLE_DEVICES": "3",
    "OMP_NUM_THREADS": "2",
    "MY_OWN": "1",
}
KEPT = {"SLURM_CONF", "PBS_DEFAULT", "OMP_NUM_THREADS", "MY_OWN"}


@pytest.mark.parametrize(
    ("scheduler", "program"), [(Slurm(), "sbatch"), (GridEngine(), "qsub"), (PBS(), "qsub")]
)
def test_what_a_program_that_submits_gets(
    programs: FakePrograms,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scheduler: BatchScheduler,
    program: str,
) -> None:
    for name, value in OUTER.items():
        monkeypatch.setenv(name, value)
    seen = tmp_path / "seen"
    programs.add(program, f"export -p > {seen}; echo 12")
    assert scheduler.submit(["true"], tmp_path / "log") == "12"
    names = {
        line.removeprefix("export ").partition("=")[0] for line in seen.read_text().split("\n")
    }
    assert names & OUTER.keys() == KEPT


def test_what_users_set_outside_of_a_job_is_handed_on() -> None:
    given = {"SLURM_CPU_BIND": "none", "CUDA_VISIBLE_DEVICES": "0", "NSLOTS": "2"}
    assert without_outer_job(given) == given


def test_a_job_within_a_step_of_a_real_slurm(
    slurm: PrivateSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    step = ("srun", "--ntasks=2", "--overcommit", "env")
    told = subprocess.run(step, capture_output=True, text=True, check=True).stdout
    outer = dict(line.split("=", 1) for line in told.splitlines() if line.startswith("SLURM_"))
    assert outer["SLURM_NTASKS"] == "2"
    for name, value in outer.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log"
    job = Slurm().submit(["env"], log)
    slurm.wait_until("the job is over", lambda: Slurm().get_status(job).status in "DF")
    seen = dict(line.split("=", 1) for line in log.read_text().splitlines() if "=" in line)
    assert seen["SLURM_JOB_ID"] == job
    assert not {"SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_SRUN_COMM_PORT"} & seen.keys()
