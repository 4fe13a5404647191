"""At least sixty rounds of chaos, over both backends and all stores; see `tests.chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

N_ROUNDS = 60


def test_rounds_of_chaos() -> None:
    # Rounds that differ from day to day would find more, and make a failure of CI a riddle.
    seed = os.environ.get("PSYFLOW_CHAOS_SEED", "0")
    chaos = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--rounds", str(N_ROUNDS), "--seed", seed],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert chaos.returncode == 0, f"{chaos.stdout}\n{chaos.stderr}"
    assert f"0 of {N_ROUNDS} rounds failed." in chaos.stdout
