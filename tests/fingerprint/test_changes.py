"""How changes are found, described and kept."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint import (
    Change,
    Part,
    changes,
    file_part,
    fingerprint_code,
    parts_from_json,
    parts_to_json,
)


def describe(write, old, new, **modules):
    """Describe what changes if a task file becomes another."""
    before = fingerprint_code(write(**modules, task_a=old), ["execute"])
    after = fingerprint_code(write(task_a=new), ["execute"])
    return [change.describe() for change in changes(before, after)]


TASK = '''
    # The study.

    def execute(x):
        """Do it."""
        y = x  # why
        if x:
            y = 2 * x

        return {"y": y}
'''


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("2 * x", "3 * x", "line 7: `y = 2 * x` -> `y = 3 * x`"),
        ("y = x  # why", "y = 1  # why not", "line 5: `y = x` -> `y = 1`"),
        ("if x:\n", "if x > 1:\n", "line 6: `if x:` -> `if x > 1:`"),
        ("        if x:\n", "        y += 1\n        if x:\n", "line 6: added `y += 1`"),
        ("        y = x  # why\n", "", "line 5: removed `y = x`"),
        ("# The study.", "# The study.\n\n    @cached", "line 3: added `@cached`"),
        (
            '"y": y}',
            '\n            "y": y,\n            "z": 1,\n        }',
            'line 9: `return {"y": y}` -> `return { "y": y, "z": 1, }`',
        ),
    ],
)
def test_the_first_line_that_differs_is_shown(write, old, new, text):
    assert old in TASK
    assert describe(write, TASK, TASK.replace(old, new)) == [f"execute: {text}"]


def test_new_line_breaks_and_comments_are_no_difference(write):
    new = TASK.replace("y = x  # why", "# Because.\n        y = (\n            x\n        )")
    new = new.replace("Do it.", "Do it now.\n\n    Or never.")
    assert describe(write, TASK, new) == []
    assert describe(write, TASK, new.replace("2 *", "3 *")) != []


def test_long_lines_are_shown_around_the_difference(write):
    long = "def execute(x):\n    return [" + "x, " * 100 + "1, " + "x, " * 100 + "]"
    (text,) = describe(write, long, long.replace("1, ", "2, "))
    assert len(text) < 200
    assert text.startswith("execute: line 2: `…x, ")
    assert "1, x" in text.partition("->")[0]
    assert "2, x" in text.partition("->")[2]


def test_parts_that_come_and_go(write):
    old = "N = 1\ndef execute(x): return N"
    new = "# New.\nK = 1\ndef execute(x): return K"
    assert describe(write, old, new) == [
        "execute: line 3: `def execute(x): return N` -> `def execute(x): return K`",
        "K: new, line 2: `K = 1`",
        "N: no longer used, line 1: `N = 1`",
    ]


def test_parts_of_modules_are_named_with_their_file(write):
    task = "import helpers\ndef execute(x): return helpers.f(x)"
    before = fingerprint_code(write(helpers="def f(x): return x", task_a=task), ["execute"])
    after = fingerprint_code(write(helpers="#\ndef f(x): return 2", task_a=task), ["execute"])
    (change,) = changes(before, after)
    lines = "`def f(x): return x` -> `def f(x): return 2`"
    assert change.describe() == f"helpers.f: helpers.py, line 2: {lines}"


def test_files_are_described_by_name():
    old, new = Part("1", "", 0, "data.csv"), Part("2", "", 0, "data.csv")
    assert Change("data.csv", old, new).describe() == "data.csv: the content changed"
    assert Change("data.csv", None, new).describe() == "data.csv: new"
    assert Change("data.csv", old, None).describe() == "data.csv: no longer used"


def test_source_of_another_python_is_described_too():
    old, new = Part("1", "x = (1\n", 3, "task_a.py"), Part("2", "x = (2\n", 3, "task_a.py")
    assert Change("x", old, new).describe() == "x: line 3: `x = (1` -> `x = (2`"


def test_a_difference_that_no_line_shows_is_a_change_all_the_same():
    old, new = Part("1", "x = 1", 3, "task_a.py"), Part("2", "x = 1", 4, "task_a.py")
    assert Change("x", old, new).describe() == "x: line 4: changed"


def test_where_a_part_stands_is_no_difference():
    old, new = Part("1", "x = 1", 3, "task_a.py"), Part("1", "x = 1  # a", 9, "b/task_a.py")
    assert changes({"x": old}, {"x": new}) == []


def test_parts_survive_json(write):
    path = write(helpers="def f(x): return 'é'", task_a="from helpers import f as execute")
    parts = fingerprint_code(path, ["execute"])
    assert parts
    assert parts_from_json(json.loads(json.dumps(parts_to_json(parts)))) == parts


def test_file_part_goes_by_content_alone(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(b"1" * 3_000_000)
    before = file_part(path)
    os.utime(path, (1, 1))
    assert file_part(path) == before
    path.write_bytes(b"1" * 2_999_999 + b"2")
    assert file_part(path).digest != before.digest
    assert (before.source, before.line, before.file) == ("", 0, str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(TaskFileError, match=r'"none\.csv" in `file_dep` cannot be read'):
        file_part("none.csv")
    with pytest.raises(TaskFileError, match="directory"):
        file_part(tmp_path)


names = st.sampled_from(["a", "b", "c"])
parts = st.builds(
    Part, st.sampled_from("123"), st.sampled_from(["x = 1", ""]), st.just(1), st.just("f")
)


@given(st.dictionaries(names, parts), st.dictionaries(names, parts))
def test_changes_are_exactly_the_names_whose_digests_differ(old, new):
    found = {change.name: change for change in changes(old, new)}
    for name in {"a", "b", "c"}:
        digests = [p[name].digest if name in p else None for p in (old, new)]
        assert (name in found) == (digests[0] != digests[1])
    for name, change in found.items():
        assert (change.old, change.new) == (old.get(name), new.get(name))
        assert change.describe().startswith(f"{name}: ")
        assert "\n" not in change.describe()
