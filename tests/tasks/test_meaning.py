"""The settings that say what columns mean: what they may be, and that they keep no task from
running."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psyflow.exceptions import TaskFileError, UnknownSettingWarning
from psyflow.fingerprint import fingerprint_code
from psyflow.tasks import Config, TaskDef


def digests(file: Path) -> dict[str, str]:
    parts = fingerprint_code(file, ["execute", "setup"])
    return {name: part.digest for name, part in parts.items()}


TASK = "pspace = {'x': [1, 2]}\n%s\ndef execute(x): return {'y': %s}\n"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("dims", {"trace": 3}, 'of "trace", 3 is no list of names'),
        ("dims", {"trace": ["time", "time"]}, "has a name twice"),
        ("dims", ["time"], "must be a dict from outputs to the names of their axes"),
        ("coords", {"time": 3.0}, 'of "time", the values have 0 dimensions instead of 1'),
        ("coords", {"time": np.zeros((2, 2))}, "the values have 2 dimensions instead of 1"),
        ("coords", {"time": [None]}, "no numbers, texts or dates"),
        ("units", "ms", "must be a dict from columns or axes to text"),
        ("units", {"tau": 3}, 'of "tau", 3 is no text'),
        ("labels", {3: "cat"}, "3 is no text"),
        ("derive", {"snr": "signal / noise"}, "is no function"),
        ("derive", {"snr": lambda signal, /: signal}, "`signal` by position only"),
        ("derive", {"snr": max}, "it does not say which arguments it takes"),
    ],
)
def test_what_it_cannot_be_is_told(name, value, says):
    with pytest.raises(TaskFileError) as error:
        Config({name: value})
    assert says in str(error.value) and f"`{name}`" in str(error.value)


def test_what_it_may_be():
    config = Config(
        {
            "dims": {"trace": "time", "map": ("x", "y")},
            "coords": {
                "time": range(3),
                "x": "position",
                "day": np.array(["2026-01-01"], "M8[D]"),
            },
            "units": None,
            "derive": {"snr": lambda signal, noise=1, **rest: signal + noise},
        }
    )
    assert config.dims == {"trace": ["time"], "map": ["x", "y"]}
    assert list(config.coords["time"]) == [0, 1, 2] and config.coords["x"] == "position"
    assert config.units == {} and config.labels == {}


def test_a_variable_of_the_files_own_that_has_the_name_keeps_nothing_from_running(tmp_path):
    file = tmp_path / "task_t.py"
    file.write_text(TASK % ("labels = ['cat', 'dog']", "labels[x - 1]"))
    with pytest.warns(UnknownSettingWarning, match=r"`labels` must be a dict.*another name"):
        task = TaskDef(file)
    assert task.labels == {} and task.execute(x=1) == {"y": "cat"}


@pytest.mark.parametrize("line", ["label = 'cat'", "unit = 3", "dim = 3", "derived = 3"])
def test_a_name_that_is_close_and_that_the_file_reads_is_its_own(tmp_path, line):
    file = tmp_path / "task_t.py"
    file.write_text(TASK % (line, line.partition(" ")[0]))
    TaskDef(file)


def test_one_that_is_misspelt_is_told(tmp_path):
    file = tmp_path / "task_t.py"
    file.write_text(TASK % ("unit = {'y': 'ms'}", "x"))
    with pytest.warns(UnknownSettingWarning, match="Did you mean `units`"):
        TaskDef(file)


@pytest.mark.parametrize(
    "line",
    [
        "units = {'y': 's'}",
        "units = {}; units['y'] = 's'",
        "coords = {'t': [1, 2]}; coords.update(u=[3])",
        "def snr(y):\n    return y / NOISE\nNOISE = 3\nderive = {'snr': snr}",
        "dims = {'y': ['t']}; labels = dict(y='why')",
    ],
)
def test_results_do_not_depend_on_it(tmp_path, line):
    file = tmp_path / "task_t.py"
    file.write_text(TASK % ("", "x"))
    without = digests(file)
    file.write_text(TASK % (line, "x"))
    assert digests(file) == without


@pytest.mark.parametrize(
    ("own", "edited"),
    [
        ("labels = {1: 'cat'}", "labels = {1: 'dog'}"),
        (
            "labels = ['cat']\ntable = {}\nfor name in labels: table[name] = 1",
            "labels = ['dog']\ntable = {}\nfor name in labels: table[name] = 1",
        ),
        ("units = {}\nunits['x'] = 1", "units = {}\nunits['x'] = 2"),
    ],
)
def test_results_depend_on_it_as_far_as_execute_uses_it(tmp_path, own, edited):
    used = "str(labels)" if "labels" in own else "str(units)"
    used = "str(table)" if "table" in own else used
    file = tmp_path / "task_t.py"
    file.write_text(TASK % (own, used))
    before = digests(file)
    file.write_text(TASK % (edited, used))
    assert digests(file) != before
