"""Tracebacks of frozen copies name the user's files, where these still say the same."""

from __future__ import annotations

from tests.support.place import SQUARE, Place

FAILS = SQUARE.replace("    return", "    raise ValueError('odd')\n    return")
EDITED = "Lines of files that were edited since, or are gone, are those of the copies that ran."


def test_the_users_file_is_named_everywhere(place: Place) -> None:
    path = place.task("t", FAILS)
    told = [place.psy("failures", "t") for _ in range(1) if place.psy("run").returncode == 1]
    told.append(place.psy("log", "t", "0"))
    for shown in told:
        assert f'File "{path}", line' in shown.stdout
        assert "plans" not in shown.stdout
        assert EDITED not in shown.stdout


def test_a_line_that_was_edited_is_that_of_the_copy(place: Place) -> None:
    path = place.task("t", FAILS)
    assert place.psy("run").returncode == 1
    place.task("t", FAILS.replace("'odd'", "'even'"))
    shown = place.psy("failures", "t").stdout
    assert f'File "{path}"' not in shown
    assert "/code/task_t.py" in shown
    assert shown.rstrip().endswith(EDITED)


def test_another_line_that_was_edited_makes_no_difference(place: Place) -> None:
    path = place.task("t", FAILS)
    assert place.psy("run").returncode == 1
    path.write_text(f"{FAILS}\n# a remark\n")
    assert f'File "{path}", line' in place.psy("failures", "t").stdout


def test_a_module_from_outside_the_task_folder(place: Place) -> None:
    (place.folder / "own").mkdir()
    own = place.folder / "own" / "helper_of_mine.py"
    own.write_text("def fail(x):\n    raise ValueError(x)\n")
    head = f"import sys\nsys.path.insert(0, {str(own.parent)!r})\nimport helper_of_mine\n"
    body = SQUARE.replace("    return", "    helper_of_mine.fail(x)\n    return")
    place.task("t", head + body)
    assert place.psy("run").returncode == 1
    assert f'File "{own}", line 2, in fail' in place.psy("failures", "t").stdout


def test_a_setup_that_fails(place: Place) -> None:
    path = place.task("t", SQUARE + "\ndef setup(proc_id):\n    raise OSError('no licence')\n")
    assert f'File "{path}", line' in place.psy("run").stderr
    assert f'File "{path}", line' in place.psy("status", "t").stderr
