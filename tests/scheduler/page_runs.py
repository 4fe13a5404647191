"""Running the task file that a scheduler's page shows."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from psyflow.testing.schedulers import until
from tests.docs.pages import blocks
from tests.support.place import Place

FOLDER = Path(__file__).parents[2] / "docs" / "schedulers"


def check_task_file(page: str, place: Place, patience: float = 300) -> None:
    """Run the task file of ``docs/schedulers/<page>.md`` and look at its result."""
    shown = [block for block in blocks((FOLDER / f"{page}.md").read_text()) if block.file_name]
    assert [block.file_name for block in shown] == ["psy-tasks/task_pendulum.py"]
    task = place.task("pendulum", shown[0].text)
    assert re.search(r"\bscheduler = ", task.read_text())
    submitted = place.program("run")
    assert submitted.returncode == 0, submitted.stderr

    def is_over() -> bool:
        shown = place.program("status", "--json", "pendulum")
        assert shown.returncode == 0, shown.stderr
        status = json.loads(shown.stdout)["pendulum"]
        return not status["jobs"] and bool(status["up_to_date"])

    until(is_over, "the task of the page is up to date", patience)
    result = place.result("pendulum")
    assert len(result["period"]) == 24
    names = ("length", "angle", "period")
    for length, angle, period in zip(*(result[name] for name in names), strict=True):
        series = 1 + angle**2 / 16 + 11 * angle**4 / 3072 + 173 * angle**6 / 737280
        expected = 2 * math.pi * math.sqrt(length / 9.81) * series
        assert math.isclose(period, expected, rel_tol=0.01)
