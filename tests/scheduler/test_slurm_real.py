"""Slurm as it is: two nodes, no accounting."""

from __future__ import annotations

import re

import pytest

from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.scheduler import Slurm
from psyflow.scheduler.slurm.options import canonical_option
from psyflow.testing.schedulers import SchedulerTests

from .private_slurm import PrivateSlurm
from .slurm_facts import SlurmFacts


class TestSlurm(SchedulerTests):
    @pytest.fixture
    def scheduler(self, slurm: PrivateSlurm) -> Slurm:
        return Slurm()


class TestRealSlurm(SlurmFacts):
    """With the fixture `slurm` that all tests of schedulers share."""


def test_every_option_of_sbatch_is_known(slurm: PrivateSlurm) -> None:
    options = re.findall(r"(?<=--)[a-z][a-z-]+", slurm.client("sbatch", "--help"))
    assert len(options) > 80
    for option in options:
        try:
            canonical_option(option)
        except UnknownNameError as error:
            pytest.fail(str(error))
        except UsageError as error:
            assert "set by psyflow itself" in str(error)


def test_limit_of_the_partition_counts_where_none_is_given(slurm: PrivateSlurm) -> None:
    limits = {"short": ("DefaultTime=2", "MaxTime=10"), "day": ("MaxTime=1-0",)}
    for name, words in limits.items():
        slurm.client("scontrol", "create", f"PartitionName={name}", "Nodes=ALL", *words)
    try:
        assert Slurm().default_time_limit({"partition": "short"}) == 120
        assert Slurm().default_time_limit({"partition": "day"}) == 86400
        assert Slurm().default_time_limit({"partition": ["short", "day"]}) is None
        assert Slurm().default_time_limit({"partition": "nosuch"}) is None
        assert Slurm().default_time_limit({}) is None, "the default partition has no limit"
    finally:
        for name in limits:
            slurm.client("scontrol", "delete", f"PartitionName={name}")
