"""What a job finds after its prologue, and what is told where that has ended the job."""

from __future__ import annotations

import os
import sys
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
        ("exit 0", 3, "the prologue ended the job before it began, with exit code 0"),
        # That would be a full disk, were it a job's.
        ("exit 4", 3, "the prologue ended the job before it began, with exit code 4"),
        ("(exit 5)", 3, "a line of the prologue failed with exit code 5"),
        ("exec true", 3, "psyflow did not begin in this job"),
    ],
)
def test_a_prologue_that_ends_the_job_is_told(
    place: Place, epilogue: str, line: str, code: int, says: str
) -> None:
    place.task("t", SQUARE + f"prologue = ['echo before', {line!r}]\n" + epilogue)
    shown = place.program("run", "t")
    assert shown.returncode == code, shown.stderr
    assert "`prologue`, or `python` (" in shown.stderr
    assert place.call("status", "t").stderr.count(says) == 1
    assert "no room" not in shown.stderr
    # The log has what was said of that; what is told next is not of it.
    place.task("t", SQUARE)
    assert place.program("run", "t").returncode == 0


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        ("#!/bin/sh\necho no image >&2\n", 0, "no image"),
        # A full disk, were it psyflow's.
        ("#!/bin/sh\necho no image >&2\nexit 4\n", 4, "no image"),
        ("#!/no/such/shell\n", 127, "cannot be started: No such file"),
    ],
)
def test_a_wrapper_that_does_not_start_python_is_told(
    place: Place, script: str, status: int, says: str
) -> None:
    place.task("t", SQUARE + "python = './my wrapper'\n")
    wrapper = place.tasks / "my wrapper"
    wrapper.write_text(script)
    unusable = place.psy("run", "t")
    assert unusable.returncode == 3
    assert f"may not be executed. To allow it, type: chmod +x '{wrapper}'" in unusable.stderr
    wrapper.chmod(0o755)
    shown = place.psy("run", "t")
    assert shown.returncode == 3
    told = f"`python` ('{wrapper}') ended with exit status {status} before psyflow began"
    assert told in shown.stderr
    assert says in shown.stderr
    # What a wrapper prints goes to the log, and disturbs nothing.
    wrapper.write_text(f'#!/bin/sh\necho welcome\nexec {sys.executable} "$@"\n')
    assert place.psy("run", "t").returncode == 0
    assert "welcome" in (place.work / "t" / "t:process:0.log").read_text()
