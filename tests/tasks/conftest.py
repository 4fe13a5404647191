from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def same_process() -> Iterator[None]:
    """Loading tasks leaves modules behind, and nothing else."""
    before, path, finders, cwd = set(sys.modules), list(sys.path), list(sys.meta_path), Path.cwd()
    yield
    assert (sys.path, sys.meta_path, Path.cwd()) == (path, finders, cwd)
    for name in sys.modules.keys() - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and "pytest" in str(file) and "site-packages" not in str(file):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files into the folder ``tasks``; give the path of the last one."""

    def _write(**files: str) -> Path:
        path = tmp_path / "tasks"
        for name, source in files.items():
            path = tmp_path / "tasks" / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")
        return path

    return _write
