"""``docs/api.md`` says what the docstrings say."""

from __future__ import annotations

from .api import PAGE, page


def test_page_has_the_first_lines_of_the_docstrings() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), "To write it anew: python -m tests.docs.api"
