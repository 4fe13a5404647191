"""Slurm as it is: two nodes, no accounting."""

from __future__ import annotations

import re

import pytest

from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.scheduler import Slurm
from psyflow.scheduler.slurm_options import canonical_option
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
