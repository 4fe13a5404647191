"""A new user's walk from nothing to a plot, with the usual mistakes: what is said is `walk.md`."""

from __future__ import annotations

from pathlib import Path

from .pages import blocks, session

WALK = Path(__file__).with_name("walk.md")


def test_what_a_new_user_is_told(tmp_path: Path) -> None:
    with session(WALK.name, tmp_path, columns=80) as running:
        for block in blocks(WALK.read_text(encoding="utf-8")):
            running.run(block)
    assert (tmp_path / "neuron.png").stat().st_size > 5000
