"""Rounds of chaos, over both backends and all stores; `python -m tests.chaos` plays more."""

from __future__ import annotations

import os

import pytest

from tests.chaos import play

N_TESTS = 4
N_ROUNDS = 6
"""In each test: with both backends and all stores."""


@pytest.mark.parametrize("number", range(N_TESTS))
def test_rounds_of_chaos(number: int) -> None:
    # Rounds that differ from day to day would find more, and make a failure of CI a riddle.
    first = int(os.environ.get("PSYFLOW_CHAOS_SEED", "0")) + number * N_ROUNDS
    problems = [play(seed) for seed in range(first, first + N_ROUNDS)]
    again = "python -m tests.chaos --rounds 1 --seed"
    failed = [f"{again} {seed}\n{problem}" for seed, problem in problems if problem]
    assert not failed, "\n".join(failed)
