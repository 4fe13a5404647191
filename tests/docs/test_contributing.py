"""``CONTRIBUTING.md`` names files that are there, and an hour's reading of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
MOST_LINES = 2000


def files_in(text: str) -> list[Path]:
    names = re.findall(r"`((?:psyflow|docs|tests)/[\w/.]+|\w+\.toml)`", text)
    return [ROOT / name for name in names if "NAME" not in name]


def test_the_files_that_it_names_are_there() -> None:
    files = files_in(PAGE)
    assert len(files) > 20
    assert [path for path in files if not path.exists()] == []


def test_what_to_read_first_takes_an_hour() -> None:
    section = PAGE.partition("## Read first")[2].partition("\n## ")[0]
    files = [path for path in files_in(section) if path.suffix == ".py"]
    assert len(files) > 5
    assert sum(len(path.read_text().splitlines()) for path in files) < MOST_LINES
