"""The example tasks that run programs, against other implementations and what theory says."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import psyflow
from tests.support.processes import PATIENCE

from .test_examples import EXAMPLES, copy_examples

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}
PROGRAMS = [name for name in (*DECOMPRESS, "zstd") if shutil.which(name)]
LEVELS = range(1, 10)

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ["cc", "gcc", "clang"])), reason="there is no C compiler"
)


def psy(folder: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    command, *others = words
    return subprocess.run(
        [sys.executable, "-m", "psyflow", command, "--taskdir", EXAMPLES.name, *others],
        cwd=folder,
        env=dict(os.environ) if path is None else {**os.environ, "PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def ran(folder: Path, task: str) -> psyflow.Results:
    """Run a task of a fresh copy of the examples."""
    copy_examples(folder)
    done = psy(folder, "run", task)
    assert done.returncode == 0, done.stdout + done.stderr
    return load(folder, task)


def load(folder: Path, task: str) -> psyflow.Results:
    return psyflow.load(task, taskdir=folder / EXAMPLES.name)


@pytest.fixture(scope="module")
def compression(tmp_path_factory: pytest.TempPathFactory) -> psyflow.Results:
    return ran(tmp_path_factory.mktemp("compression"), "compression")


@pytest.fixture(scope="module")
def relaxation(tmp_path_factory: pytest.TempPathFactory) -> psyflow.Results:
    return ran(tmp_path_factory.mktemp("relaxation"), "relaxation")


def rows(table: psyflow.Results) -> list[dict[str, Any]]:
    return [{name: table[name][i] for name in table} for i in range(len(table["level"]))]


def test_each_program_that_is_there_runs_at_each_level(compression: psyflow.Results) -> None:
    found = {(row["program"], row["level"]) for row in rows(compression)}
    assert found == {(program, level) for program in PROGRAMS for level in LEVELS}


def test_what_was_compressed_is_the_text_and_as_large_as_the_table_says(
    compression: psyflow.Results,
) -> None:
    text = (EXAMPLES / "data" / "constitution.txt").read_bytes()
    for i, row in enumerate(rows(compression)):
        output = (Path(compression.folder(i)) / "output").read_bytes()
        assert len(output) == row["size"] < len(text) / 2
        if row["program"] in DECOMPRESS:
            assert DECOMPRESS[row["program"]](output) == text


def test_times_are_those_of_processes_in_milliseconds(compression: psyflow.Results) -> None:
    assert all(0.1 < time < 60_000 for time in compression["time"])


def test_the_text_is_whole_and_plain() -> None:
    text = (EXAMPLES / "data" / "constitution.txt").read_text(encoding="ascii")
    assert text.count("\nArticle. ") == 7
    assert max(map(len, text.splitlines())) <= 100
    assert f"{len(text):,}".replace(",", " ") in (EXAMPLES / "data" / "README.md").read_text()


def sweeps(n: int, omega: float) -> tuple[int, float]:
    """Relax until nothing changes by more than 1e-10; return how often, and the error."""
    exact = [
        [math.sin(math.pi * i / n) * math.sin(math.pi * j / n) for j in range(n + 1)]
        for i in range(n + 1)
    ]
    u = [[0.0] * (n + 1) for _ in range(n + 1)]
    inner, n_sweeps, largest = range(1, n), 0, 1.0
    while largest > 1e-10:
        n_sweeps, largest = n_sweeps + 1, 0.0
        for i in inner:
            for j in inner:
                around = u[i - 1][j] + u[i + 1][j] + u[i][j - 1] + u[i][j + 1]
                force = 2 * (math.pi / n) ** 2 * exact[i][j]
                change = omega * ((around + force) / 4 - u[i][j])
                u[i][j] += change
                largest = max(largest, abs(change))
    return n_sweeps, max(abs(u[i][j] - exact[i][j]) for i in inner for j in inner)


@needs_compiler
@pytest.mark.parametrize("omega", [1.0, 1.5, 1.7, 1.95])
def test_the_solver_does_what_the_method_says(relaxation: psyflow.Results, omega: float) -> None:
    row = relaxation.where(cells=16, omega=omega)
    n_sweeps, error = sweeps(16, omega)
    # Rounding differs from compiler to compiler, so one sweep more or less may do.
    assert abs(row["sweeps"][0] - n_sweeps) <= 1
    assert row["error"][0] == pytest.approx(error, rel=1e-4)


@needs_compiler
@pytest.mark.parametrize("cells", [16, 32, 64])
def test_the_fastest_factor_is_that_of_theory(relaxation: psyflow.Results, cells: int) -> None:
    some = relaxation.where(cells=cells)
    assert len(some["omega"]) == 20
    _, fastest = min(zip(some["sweeps"], some["omega"], strict=True))
    assert fastest == pytest.approx(2 / (1 + math.sin(math.pi / cells)), abs=0.05)


@needs_compiler
def test_finer_grids_are_more_exact_by_the_square(relaxation: psyflow.Results) -> None:
    errors = [relaxation.where(cells=n, omega=1.9)["error"][0] for n in (16, 32, 64)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.02)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.02)


@needs_compiler
def test_the_solver_refuses_a_deck_that_makes_no_sense(tmp_path: Path) -> None:
    deck = copy_examples(tmp_path) / "sor.deck"
    deck.write_text(deck.read_text().replace("tolerance", "tolerence"))
    assert psy(tmp_path, "run", "relaxation").returncode == 1
    failures = psy(tmp_path, "failures", "relaxation").stdout
    assert "the deck has an unknown name: tolerence" in failures


def test_where_nothing_but_python_is_they_have_nothing_to_do_and_say_so(tmp_path: Path) -> None:
    copy_examples(tmp_path)
    only_python = tmp_path / "bin"
    only_python.mkdir()
    (only_python / "python3").symlink_to(sys.executable)
    done = psy(tmp_path, "run", "compression", "relaxation", path=only_python)
    assert done.returncode == 0, done.stderr
    assert "there is no C compiler (cc, gcc or clang)" in done.stderr
    assert "none of gzip, bzip2, xz and zstd is there" in done.stderr
    assert len(load(tmp_path, "relaxation")["cells"]) == 0
    assert len(load(tmp_path, "compression")["level"]) == 0
