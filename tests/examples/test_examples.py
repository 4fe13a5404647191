"""The examples that are functions, run by `psy run`, against values worked out another way."""

from __future__ import annotations

import itertools
import math
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psyflow.store.h5 import H5Store
from psyflow.store.npz import NpzStore
from psyflow.store.pickle import PickleStore
from tests.support.processes import PATIENCE

from . import reference

EXAMPLES = Path(__file__).parents[2] / "psy-tasks-example"
STORES = {"circle_area": NpzStore(), "digits_knn": H5Store(), "best_fractions": PickleStore()}
SIZES = {"circle_area": 41 * 50, "digits_knn": 4 * 10 * 3 * 25, "best_fractions": 6 * 32}

# Per task: the parameter that gets a new value, the change, that value, and its number of psets.
EXTENSIONS = {
    "circle_area": ("trial", "np.arange(50)", "np.arange(51)", 50, 41),
    "digits_knn": ("weighting", "1.0, 2.0]", "1.0, 2.0, 3.0]", 3.0, 1000),
    "best_fractions": ("max_denominator", "range(1, 33)", "range(1, 34)", 2**33, 6),
}
DISTANCES = [1.0, 2.0, 3.0, math.inf]

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One `psy run` of the whole folder, and the results it left."""

    lines: list[str]
    cpu_seconds: float
    tables: dict[str, dict[str, Any]] = field(repr=False)
    saved: dict[str, int]  # when each result was written, in ns

    def rows(self, task: str) -> list[Row]:
        table = self.tables[task]
        return [dict(zip(table, values, strict=True)) for values in zip(*table.values())]  # noqa: B905


@dataclass(frozen=True)
class Extension:
    """Each space got a new value after a run: what was evaluated before and after, per task."""

    run: Run
    before: dict[str, list[float]]
    after: dict[str, list[float]]


def copy_examples(folder: Path) -> Path:
    generated = shutil.ignore_patterns("psy-work", "build", "__pycache__")
    return Path(shutil.copytree(EXAMPLES, folder / EXAMPLES.name, ignore=generated))


def cpu_seconds() -> float:
    """Return what processes that this one has waited for, and theirs, have taken of processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def psy_run(folder: Path, *tasks: str) -> Run:
    command = [sys.executable, "-m", "psyflow", "run", "--taskdir", EXAMPLES.name, *tasks]
    before = cpu_seconds()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    seconds = cpu_seconds() - before
    assert done.returncode == 0, done.stdout + done.stderr
    results = {t: folder / "psy-work" / t / f"result{STORES[t].ext}" for t in STORES}
    tables = {task: STORES[task].load(result) for task, result in results.items()}
    saved = {task: result.stat().st_mtime_ns for task, result in results.items()}
    return Run(done.stdout.splitlines(), seconds, tables, saved)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    copy_examples(folder)
    return folder


@pytest.fixture(scope="module")
def first(folder: Path) -> Run:
    return psy_run(folder)


@pytest.fixture(scope="module")
def second(folder: Path, first: Run) -> Run:
    return psy_run(folder)


def log_evaluations(taskfile: Path, name: str) -> None:
    """Make `execute` of a copied task note the value of its parameter `name`."""
    head, execute, body = taskfile.read_text().partition("\ndef execute(")
    signature, colon, rest = body.partition(":\n")
    note = f"    with open({taskfile.stem + '.log'!r}, 'a') as log:\n"
    note += f"        log.write(f'{{{name}}}\\n')\n"
    taskfile.write_text(head + execute + signature + colon + note + rest)


def take_log(taskfile: Path) -> list[float]:
    """Return what was noted since the last call."""
    log = taskfile.with_suffix(".log")
    values = [float(line) for line in log.read_text().splitlines()]
    log.unlink()
    return values


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Extension:
    folder = tmp_path_factory.mktemp("extended")
    taskdir = copy_examples(folder)
    files = {task: taskdir / f"task_{task}.py" for task in STORES}
    for task, file in files.items():
        log_evaluations(file, EXTENSIONS[task][0])
    psy_run(folder, *STORES)
    before = {task: take_log(file) for task, file in files.items()}
    for task, file in files.items():
        _, old, new, _, _ = EXTENSIONS[task]
        assert file.read_text().count(old) == 1
        file.write_text(file.read_text().replace(old, new))
    run = psy_run(folder, *STORES)
    return Extension(run, before, {task: take_log(file) for task, file in files.items()})


@pytest.fixture(scope="module")
def digits() -> reference.Digits:
    return reference.Digits(EXAMPLES / "data" / "digits.csv.gz")


def test_the_folder_takes_less_than_a_minute_of_one_processor(first: Run) -> None:
    assert 0.1 < first.cpu_seconds < 60


def test_every_task_is_reported_as_executed(first: Run) -> None:
    for task in STORES:
        assert any(line.startswith(".") and task in line for line in first.lines), first.lines


def test_a_second_run_runs_nothing(first: Run, second: Run) -> None:
    assert second.lines
    assert all(line.startswith("-") for line in second.lines), second.lines


@pytest.mark.parametrize("task", STORES)
def test_a_second_run_leaves_the_result_as_it_was(first: Run, second: Run, task: str) -> None:
    assert second.saved[task] == first.saved[task]


@pytest.mark.parametrize("task", STORES)
def test_there_is_one_row_for_each_pset(first: Run, task: str) -> None:
    assert len(first.rows(task)) == SIZES[task]


@pytest.mark.parametrize("task", STORES)
def test_a_new_value_evaluates_only_its_own_psets(extension: Extension, task: str) -> None:
    name, _, _, value, n = EXTENSIONS[task]
    assert len(extension.before[task]) == SIZES[task]
    assert extension.after[task] == [value] * n
    assert len(extension.run.rows(task)) == SIZES[task] + n
    assert sum(row[name] == value for row in extension.run.rows(task)) == n


def test_circle_psets_come_in_the_order_of_the_space(first: Run) -> None:
    psets = [(row["radius"], row["trial"]) for row in first.rows("circle_area")]
    assert psets == list(itertools.product(np.linspace(0.0, 1.0, 41), range(50)))


def test_circle_types_survive_npz(first: Run) -> None:
    table = first.tables["circle_area"]
    kinds = {name: np.asarray(column).dtype for name, column in table.items()}
    assert kinds == {
        "radius": np.float64,
        "trial": np.int64,
        "area": np.float64,
        "points": np.float64,
    }
    assert np.shape(table["points"]) == (2050, 100, 2)


def test_circle_areas_are_the_share_of_points_inside(first: Run) -> None:
    for row in first.rows("circle_area")[::7]:
        points = reference.circle_points(int(row["trial"]), 100)
        assert np.array_equal(row["points"], points)
        assert row["area"] == pytest.approx(reference.hit_share(points, float(row["radius"])))


def test_circle_areas_are_near_the_area_of_a_quarter_circle(first: Run) -> None:
    rows = first.rows("circle_area")
    for radius in np.linspace(0.0, 1.0, 41):
        areas = [row["area"] for row in rows if row["radius"] == radius]
        expected = math.pi * radius**2 / 4
        error = math.sqrt(expected * (1 - expected) / (50 * 100))
        assert abs(np.mean(areas) - expected) <= 4 * error


def test_digits_psets_come_in_the_order_of_the_space(first: Run) -> None:
    names = ("distance", "fold", "weighting", "k")
    psets = [tuple(row[name] for name in names) for row in first.rows("digits_knn")]
    space = itertools.product(DISTANCES, range(10), [0.0, 1.0, 2.0], range(1, 26))
    assert psets == list(space)


def test_digits_confusions_count_every_image_of_the_fold(
    first: Run, digits: reference.Digits
) -> None:
    sizes = [digits.sizes(fold) for fold in range(10)]
    for row in first.rows("digits_knn"):
        assert row["confusion"].sum(axis=1).tolist() == sizes[row["fold"]]
        assert row["accuracy"] == np.trace(row["confusion"]) / sum(sizes[row["fold"]])


@pytest.mark.parametrize(("distance", "fold"), [(1.0, 0), (2.0, 3), (3.0, 6), (math.inf, 9)])
def test_digits_confusions_agree_with_the_definition(
    first: Run, digits: reference.Digits, distance: float, fold: int
) -> None:
    near = digits.neighbours(fold, distance, 25)
    rows = [r for r in first.rows("digits_knn") if (r["distance"], r["fold"]) == (distance, fold)]
    assert len(rows) == 75
    for row in rows:
        expected = digits.confusion(fold, near, row["weighting"], row["k"])
        assert row["confusion"].tolist() == expected


@pytest.mark.parametrize("p", DISTANCES)
def test_reference_distances_agree_with_the_definition(digits: reference.Digits, p: float) -> None:
    image = digits.images[digits.inside(4)[7]]
    expected = [reference.minkowski_power(image, other, p) for other in digits.images]
    assert digits.powers(4, p)[7] == expected


def test_best_classifiers_read_ninety_eight_of_a_hundred_digits(first: Run) -> None:
    """The scikit-learn tutorial on these images reports 0.96 to 0.99 for such classifiers."""
    accuracy = np.reshape(first.tables["digits_knn"]["accuracy"], (4, 10, 3, 25)).mean(axis=1)
    assert 0.98 < accuracy.max() < 0.995
    assert accuracy[1, 0, 0] > accuracy[1, 0, 24]


def test_fractions_come_back_as_the_objects_they_were(first: Run) -> None:
    for row in first.rows("best_fractions"):
        types = [type(row[name]) for name in ("max_denominator", "best", "terms")]
        assert types == [int, Fraction, tuple]
        assert isinstance(row["number"], str)


def test_fractions_are_the_best_by_a_walk_down_the_stern_brocot_tree(first: Run) -> None:
    numbers = reference.numbers()
    for row in first.rows("best_fractions"):
        x = numbers[row["number"]]
        assert row["best"] == reference.best_fraction(x, row["max_denominator"])
        assert abs(row["best"] - x - row["error"]) < Fraction(1, 10**50)
        assert reference.unfold(row["terms"]) == row["best"]


def test_small_fractions_are_the_best_of_all_denominators(first: Run) -> None:
    numbers = reference.numbers()
    rows = [row for row in first.rows("best_fractions") if row["max_denominator"] <= 512]
    assert len(rows) == 6 * 9
    for row in rows:
        x = numbers[row["number"]]
        assert row["best"] == reference.nearest_by_trial(x, row["max_denominator"])


def test_famous_fractions_are_found(first: Run) -> None:
    best = {
        (row["number"], row["max_denominator"]): row["best"]
        for row in first.rows("best_fractions")
    }
    assert best["pi", 16] == Fraction(22, 7)
    assert best["pi", 128] == Fraction(355, 113)
    assert best["fifth in octaves", 16] == Fraction(7, 12)
    assert best["year in days", 64] == 365 + Fraction(8, 33)
