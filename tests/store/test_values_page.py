"""The table of docs/values.md says what psyflow does."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.store.values_table import HEADING, VALUES, lines

pytestmark = [
    pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _no_module_stays() -> Iterator[None]:
    yield
    sys.modules.pop("study", None)


def test_each_value_is_kept_as_the_page_says() -> None:
    page = VALUES.read_text(encoding="utf-8").splitlines()
    table = page[next(i for i, line in enumerate(page) if line.startswith(f"| {HEADING[0]} |")) :]
    assert len(table) - 2 >= 150
    # To write it anew: python -m tests.store.values_table
    assert list(lines()) == table
