from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from psyflow.fingerprint import fingerprint_code

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files into a task folder; give the path of the last one."""

    def _write(**files: str) -> Path:
        path = tmp_path
        for name, source in files.items():
            path = tmp_path / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
        return path

    return _write


@pytest.fixture
def names(write: Write) -> Callable[..., set[str]]:
    """Give the names that `execute` of a task reaches."""

    def _names(task: str, **modules: str) -> set[str]:
        return set(fingerprint_code(write(**modules, task_a=task), ["execute", "setup"]))

    return _names
