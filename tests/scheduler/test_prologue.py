"""What a job finds after its prologue, and what is told where that has ended the job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.place import SQUARE, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_job_finds_what_the_user_found_on_path(place: Place) -> None:
    place.task(
        "t",
        "import os\npspace = {'x': [0]}\nprologue = 'PATH=/of/prologue:$PATH'\n"
        "def execute(x):\n    return {'path': os.environ['PATH'], "
        "'left': 'PSYFLOW_PATH' in os.environ}\n",
    )
    # A login may set PATH anew, as Debian's /etc/profile does.
    (place.folder / ".bash_profile").write_text("PATH=/of/login:/usr/bin:/bin\n")
    path = f"/of/environment:{os.environ['PATH']}:/usr/bin:/at/end"
    environment = {"PATH": path, "HOME": str(place.folder)}
    assert place.program("run", "t", env=environment).returncode == 0
    (found,), (left,) = place.result("t")["path"], place.result("t")["left"]
    folders = found.split(":")
    assert folders[:2] == ["/of/prologue", "/of/environment"]
    assert folders.index("/of/environment") < folders.index("/of/login")
    assert folders[-1] == "/at/end"
    assert folders.count("/of/environment") == folders.count("/of/login") == 1
    assert not left


@pytest.mark.parametrize("epilogue", ["", "epilogue = 'echo ended with $PSYFLOW_EXIT_CODE'\n"])
@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("exit 0", 1, "the prologue ended the job before it began, with exit code 0"),
        # That would be a full disk, were it a job's.
        ("exit 4", 3, "the prologue ended the job before it began, with exit code 4"),
        ("(exit 5)", 3, "a line of the prologue failed with exit code 5"),
        ("exec true", 1, "psyflow did not begin in this job"),
    ],
)
def test_a_prologue_that_ends_the_job_is_told(
    place: Place, epilogue: str, line: str, code: int, says: str
) -> None:
    place.task("t", SQUARE + f"prologue = ['echo before', {line!r}]\n" + epilogue)
    shown = place.program("run", "t")
    assert shown.returncode == code, shown.stderr
    for told in (shown, place.program("status", "t")):
        assert told.stderr.count(says) == 1, told.stderr
    assert "no room" not in shown.stderr
    # The log has what was said of that; what is told next is not of it.
    place.task("t", SQUARE)
    assert place.program("run", "t").returncode == 0
