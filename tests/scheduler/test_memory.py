"""An amount of memory means the same to every scheduler, and nonsense is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from psyflow.exceptions import UsageError
from psyflow.scheduler import LSF, PBS, GridEngine, HyperQueue, Slurm, Sqsub
from psyflow.scheduler.batch import BatchScheduler
from psyflow.scheduler.memory import read_memory
from tests.support.place import SQUARE, Place

WORDS: dict[type[BatchScheduler], tuple[str, str]] = {
    Slurm: ("--mem=4G", "--mem=1536M"),
    GridEngine: ("h_vmem=4G", "h_vmem=1536M"),
    PBS: ("select=1:mem=4gb", "select=1:mem=1536mb"),
    LSF: ("4GB", "1536MB"),
    HyperQueue: ("--resource=mem=4096", "--resource=mem=1536"),
    Sqsub: ("--mpp=4G", "--mpp=1536M"),
}
COUNT_MIB = (Slurm, HyperQueue)


def command(kind: type[BatchScheduler], memory: object, name: str = "memory") -> list[str]:
    args = {name: memory} | ({"timelimit": "1h"} if kind is Sqsub else {})
    scheduler = kind()
    return scheduler.submit_command(scheduler.request(["x"], "/tmp/log", "t", [], args))


@pytest.mark.parametrize("kind", WORDS)
def test_one_meaning_for_every_scheduler(kind: type[BatchScheduler]) -> None:
    four, one_and_a_half = WORDS[kind]
    for text in ("4G", "4g", "4GB", "4 GiB", "4096M", " 4096 mb ", "4194304K", "4294967296B"):
        assert four in command(kind, text), text
    assert one_and_a_half in command(kind, "1.5G")


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("memory", [4096, "4096", 4096.0])
def test_a_number_alone_is_mebibytes_or_refused(
    kind: type[BatchScheduler], memory: object
) -> None:
    if kind in COUNT_MIB:
        assert WORDS[kind][0] in command(kind, memory)
    else:
        with pytest.raises(UsageError, match='with a unit, such as "4096'):
            command(kind, memory)


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize(
    "memory", ["much", "", "-1G", "4X", "4,5G", "0G", True, ["4G"], float("nan"), 1e99, "4G/cpu"]
)
def test_nonsense(kind: type[BatchScheduler], memory: object) -> None:
    with pytest.raises(UsageError, match=r'"memory" is such as "4G", "1\.5G" or "4096M"'):
        command(kind, memory)


def test_other_options_of_slurm() -> None:
    assert "--mem=0" in command(Slurm, 0)
    assert "--mem-per-cpu=512M" in command(Slurm, "0.5 GB", "memory_per_cpu")
    assert "--mem-per-gpu=2G" in command(Slurm, 2048, "mem_per_gpu")
    with pytest.raises(UsageError, match='"memory_per_cpu" is such as'):
        command(Slurm, "2 bananas", "memory_per_cpu")


def test_less_than_the_smallest_unit_is_rounded_up() -> None:
    assert "--mem=1K" in command(Slurm, "1B")
    assert read_memory("1.5B") == 2


def test_nothing_is_submitted(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.task(
        "t",
        "from psyflow.scheduler import GridEngine\nscheduler = GridEngine()\n"
        f'scheduler_args = {{"memory": lambda job: 4096 if "merge" in job else "1G"}}\n{SQUARE}',
    )
    for words in (("run", "t"), ("run", "-n", "t")):
        shown = place.program(*words)
        assert shown.returncode == 2
        assert 'such as "4096M"' in shown.stderr
    assert not (place.work / "t" / "plan.json").exists()
