"""What the guide's tables say is what psyflow does."""

from __future__ import annotations

import re
from pathlib import Path

from psyflow.tasks import Config

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()

SETTINGS = GUIDE.partition("### Settings")[2].partition("\n### ")[0]

_TOLD_IN_WORDS = ("pspace", "execute", "name")


def settings_rows() -> list[str]:
    """Return the lines of the guide's tables of settings, to be pasted where they have changed."""
    rows = []
    for name, default, _, meaning in Config.rows():
        shown = default if name in _TOLD_IN_WORDS else f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {_as_code(meaning)} |")
    return rows


def _as_code(text: str) -> str:
    # Markdown takes <name> for HTML, unless it is code.
    return re.sub(r"\S*<\w+>\S*[^\s.,]", lambda match: f"`{match[0]}`", text)


def test_settings_are_those_of_config() -> None:
    rows = [line for line in SETTINGS.splitlines() if line.startswith("| `")]
    assert "\n".join(sorted(rows)) == "\n".join(sorted(settings_rows()))


def test_settings_are_in_groups_that_can_be_read_at_once() -> None:
    groups = [group.count("\n| `") for group in SETTINGS.split("\n#### ")[1:]]
    assert len(groups) > 4
    assert max(groups) < 10


def test_code_in_settings_stays_code() -> None:
    assert _as_code("it is <workdir>/<name>/result<ext> if None.") == (
        "it is `<workdir>/<name>/result<ext>` if None."
    )


def test_contents_list_every_chapter() -> None:
    contents = re.findall(r"^- \[(.*?)\]\(#", GUIDE, re.MULTILINE)
    assert contents == re.findall(r"^## (.*)$", GUIDE, re.MULTILINE)
