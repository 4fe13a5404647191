"""Programs in the jobs of a real Slurm: steps of the job, and ranks that talk to each other."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import psyflow
from tests.support.place import Place

from .conftest import require
from .private_slurm import PrivateSlurm

TASK = """
from psyflow import Command, Param
from psyflow.scheduler import Slurm

pspace = Param(n_tasks=[1, 2]) * Param(x=[3, 4])
scheduler = Slurm()
scheduler_args = {{"n_cpus": 2}}
max_jobs = 2
execute = Command({command!r}, launcher={launcher!r}, env={{"OMPI_MCA_btl": "self,vader"}},
                  parse={parse!r})
"""
RANKS = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int n, char **words) {
    int rank, size, mine, sum;
    MPI_Init(&n, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    mine = atoi(words[1]) * (rank + 1);
    MPI_Reduce(&mine, &sum, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) printf("ranks %d sum %d\\n", size, sum);
    MPI_Finalize();
    return 0;
}
"""


@pytest.fixture
def place(tmp_path: Path, slurm: PrivateSlurm) -> Place:
    return Place(tmp_path)


def ran(place: Place, command: str, launcher: str, parse: dict[str, str]) -> psyflow.Results:
    place.task("ranks", TASK.format(command=command, launcher=launcher, parse=parse))
    shown = place.psy("run", "--wait")
    assert shown.returncode == 0, shown.stderr
    return psyflow.load("ranks", place.tasks, place.work)


def test_a_launcher_starts_as_many_processes_as_a_pset_says(place: Place) -> None:
    step = "sh -c 'echo rank $SLURM_PROCID step $SLURM_STEP_ID of {x}'"
    table = ran(place, step, "srun --overlap -n {n_tasks}", {"ranks": "rank (@int@)"})
    printed = [(table.folder(item) / "stdout").read_text() for item in range(4)]
    assert [len(text.splitlines()) for text in printed] == [1, 1, 2, 2]
    assert "rank 1 " in printed[2] and " of 3\n" in printed[2]


def test_ranks_of_an_mpi_program_talk_to_each_other(place: Place) -> None:
    (place.folder / "psy-tasks").mkdir(exist_ok=True)
    require("MPI", None if shutil.which("mpicc") else "apt-get install libopenmpi-dev openmpi-bin")
    (place.folder / "ranks.c").write_text(RANKS)
    subprocess.run(["mpicc", "-o", "psy-tasks/ranks", "ranks.c"], cwd=place.folder, check=True)
    root = " --allow-run-as-root" if os.geteuid() == 0 else ""
    launcher = f"mpirun{root} --oversubscribe -n {{n_tasks}}"
    table = ran(place, "./ranks {x}", launcher, {"n": "ranks (@int@)", "sum": "sum (@int@)"})
    assert list(table["n"]) == [1, 1, 2, 2]
    assert list(table["sum"]) == [3, 4, 9, 12]
