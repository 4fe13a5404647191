"""A disk that fails at any moment: psy says so, nothing is lost, and a good disk mends it all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_jobs import CLUSTER
from tests.durability.bad_disk import ABSENT, BadDisk, Psy
from tests.durability.faults import KINDS, STORES, Sweep, sweep
from tests.durability.requirements import need_bad_disk
from tests.support.study import Study

N_CASES = 5
BODY = """
{head}
pspace = Param(x=range(5))
def execute(x):
    note(x=x)
    return {{"y": x**2}}
"""
FAR = "from cluster import Cluster\nscheduler = Cluster()"


@pytest.fixture(autouse=True)
def _bad_disk() -> None:
    need_bad_disk()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("store", STORES)
def test_whatever_fails_is_named_and_costs_nothing_that_was_finished(
    kind: str, store: str
) -> None:
    chance = random.Random(f"{kind} {store}")
    n_cases, problems = sweep(kind, store, chance, N_CASES)
    assert not problems, "\n".join(problems)
    assert n_cases == N_CASES


@pytest.mark.parametrize("way", ["dead", "full", "no inodes"])
def test_a_disk_that_dies_after_planning_is_no_success(tmp_path: Path, way: str) -> None:
    with Sweep("fresh", "npz", tmp_path).begun() as study:
        cases = [case for case in study.cases() if case.way == way]
        # From the first call of the split on, to the last one of the merge.
        for case in cases[len(cases) // 3 :: max(1, len(cases) // 4)]:
            study.play(case)


# -- what a host has cached as absent -------------------------------------------------------------


class Elsewhere:
    """A study that another host has run, and this one with an old cache."""

    def __init__(self, folder: Path) -> None:
        (folder / "study").mkdir()
        self.study = Study(folder / "study")
        (self.study.folder / "psy-work").mkdir()
        self.disk = BadDisk(self.study.folder / "psy-work", folder)
        self.psy = Psy(self.study.folder, self.disk)

    def check(self, *arguments: str) -> None:
        """Have any name be absent in the cache, and compare with what is said without."""
        with self.disk.failing(ABSENT, 0):
            truth = self.psy(*arguments)
        assert truth.code == 0
        n_names = self.disk.count
        assert n_names > 2
        for k in range(1, n_names + 1):
            with self.disk.failing(ABSENT, k):
                assert self.psy(*arguments) == truth, f"{self.disk.path} is cached as absent"
            assert self.disk.has_failed
            assert self.study.calls() == []


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    place = Elsewhere(tmp_path)
    place.study.task(BODY.format(head=""))
    with place.psy:
        assert place.psy("run").code == 0
        place.study.calls()
        yield place


@pytest.mark.parametrize("command", ["load t", "status", "run", "why"])
def test_what_is_cached_as_absent_is_asked_for_again(elsewhere: Elsewhere, command: str) -> None:
    elsewhere.check(*command.split())


def test_what_shards_hold_is_found_though_their_folder_is_cached_as_absent(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.study.task(BODY.format(head="").replace("x**2}", "1 / (x - 4)}"))
    assert elsewhere.psy("run").code == 1
    elsewhere.study.calls()
    for command in (["load", "t"], ["status"]):
        elsewhere.check(*command)


def test_who_waits_sees_that_other_hosts_have_finished(elsewhere: Elsewhere) -> None:
    (elsewhere.study.tasks / "cluster.py").write_text(CLUSTER)
    elsewhere.study.task(BODY.format(head=FAR))
    elsewhere.check("run", "--wait")
