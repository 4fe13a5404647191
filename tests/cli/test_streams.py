"""What `psy` prints harms no terminal, and nobody need listen to what it does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.place import SQUARE, Place
from tests.support.processes import PATIENCE, eventually

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7f\r\u202eevil\u2066"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7f\r\u202eevil\u2066"
COMMANDS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

HOSTILE = f"""
import os
from psyflow import Param

EVIL = {EVIL!r}

class Value:
    def __init__(self, x):
        self.x = x

    def __repr__(self):
        return EVIL + str(self.x)

    def __eq__(self, other):
        return self.x == other.x

    def __hash__(self):
        return self.x

    def __reduce__(self):
        return Value, (self.x,)

pspace = Param(x=range(4))

def execute(x):
    print("printed", EVIL)
    if x == 2:
        raise ValueError("raised " + EVIL)
    return {{"y": x, "value": Value(x)}}
"""


def on_terminal(
    place: Place, *words: str, term: str = "dumb", go_on_after: bytes | None = None
) -> tuple[int, str]:
    """Run `psy` on a terminal, and return its exit code and what it showed there.

    When that has `go_on_after` in it, the file ``go-on`` is made.
    """
    master, slave = pty.openpty()
    # As it is written, without the carriage returns that terminals want.
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    process = subprocess.Popen(
        place.command(*words),
        cwd=place.folder,
        env={**os.environ, "TERM": term},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = bytearray()
    with contextlib.suppress(OSError):  # which is how a terminal says that nobody has it any more
        while part := os.read(master, 65536):
            shown += part
            if go_on_after is not None and go_on_after in shown:
                (place.folder / "go-on").touch()
    os.close(master)
    return process.wait(PATIENCE), shown.decode()


@pytest.fixture
def evil(place: Place) -> Place:
    place.task("evil", HOSTILE)
    return place


def test_a_terminal_gets_no_commands_from_exceptions_results_and_logs(evil: Place) -> None:
    status, shown = on_terminal(evil, "run")
    assert status == 1
    told = [shown]
    for words in (
        ["failures"],
        ["log", "evil"],
        ["log", "evil", "2"],
        ["log", "evil", "1"],
        ["why"],
    ):
        told.append(on_terminal(evil, *words)[1])
    told.append(on_terminal(evil, "status", "-v")[1])
    told.append(on_terminal(evil, "test")[1])
    told.append(on_terminal(evil, "debug", "evil", "1")[1].partition("evil:\n")[2])
    for text in told:
        assert not COMMANDS.search(text), text
    for text in told[1:4]:
        # Carriage returns count as white space there.
        assert f"raised {SHOWN.partition(chr(92) + 'r')[0]}" in text
    assert all(f"printed {SHOWN}" in text for text in told[2:5])


def test_what_runs_in_the_foreground_has_the_terminal_to_itself(evil: Place) -> None:
    _, shown = on_terminal(evil, "debug", "evil", "1")
    assert f"printed {EVIL}" in shown


def test_task_files_that_do_not_load_and_names(place: Place) -> None:
    place.task("odd", f"raise ValueError({EVIL!r})")
    place.task("other")
    (place.folder / "psy-tasks" / f"task_{EVIL.replace('/', '')}.py").write_text(SQUARE)
    for command in ("run", "status", "list", "why"):
        _, shown = on_terminal(place, command)
        assert not COMMANDS.search(shown), shown


def test_jobs_of_a_psy_on_a_terminal_keep_what_was_printed(evil: Place) -> None:
    on_terminal(evil, "run")
    logs = "".join(path.read_bytes().decode() for path in evil.work.glob("evil/*worker*.log"))
    assert logs.count(f"printed {EVIL}\n") == 4
    report = (evil.work / "evil" / "evil:process:0.log").read_bytes().decode()
    assert f"raised {EVIL}" in report


def test_logs_go_into_a_pipe_as_they_are(evil: Place) -> None:
    evil.psy("run")
    log = evil.work / "evil" / "evil:process:0.worker-0.log"
    with log.open("ab") as file:
        file.write(b"\xff\xfe\r\n\r\x00 no text\n")
    shown = subprocess.run(
        evil.command("log", "evil"), cwd=evil.folder, capture_output=True, check=True
    )
    assert log.read_bytes() in shown.stdout


def test_a_bar_is_still_drawn(place: Place) -> None:
    place.task("slow", SLOW)
    status, shown = on_terminal(place, "run", term="xterm", go_on_after=b"\x1b[")
    assert status == 0
    assert "\x1b[" in shown
    assert r"\x1b" not in shown


# --------------------------------------------------------------------------- nobody listens

MOODY = SQUARE.replace("    return", "    assert x != 2\n    return")


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def hung_up() -> int:
    """Return a terminal whose other end is gone."""
    master, slave = pty.openpty()
    os.close(master)
    return slave


@pytest.mark.parametrize("source, code", [(SQUARE, 0), (MOODY, 1)])
@pytest.mark.parametrize("sink", [closed_pipe, full, hung_up])
@pytest.mark.parametrize("which", ["stdout", "stderr", "both"])
def test_a_run_goes_on_though_nobody_listens(place, source, code, sink, which) -> None:
    place.task("square", source)
    fd = sink()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    streams |= dict.fromkeys(streams if which == "both" else [which], fd)
    process = subprocess.run(place.command("run"), cwd=place.folder, timeout=PATIENCE, **streams)
    os.close(fd)
    assert process.returncode == code
    assert place.result("square")["y"] == ([0, 1, 4, 9] if code == 0 else [0, 1, 9])


@pytest.mark.parametrize("closing", ["1>&-", "2>&-", "<&- >&- 2>&-", "| head -1", "2>&1 | true"])
def test_a_run_in_a_shell_goes_on(place: Place, closing: str) -> None:
    for name in "abc":
        place.task(name)
    psy = " ".join(place.command("run"))
    subprocess.run(f"{psy} {closing}", shell=True, cwd=place.folder, timeout=PATIENCE, check=True)
    eventually(lambda: all(place.result_exists(name) for name in "abc"))


@pytest.mark.parametrize("command", ["clean", "accept", "kill", "submit"])
def test_whatever_acts_does_so_though_nobody_listens(place: Place, command: str) -> None:
    place.task("square")
    place.psy("run")
    place.task("square", SQUARE.replace("x**2", "x**2 + 0"))
    with Path("/dev/full").open("w") as nowhere:
        process = subprocess.run(
            place.command(command, "square"),
            cwd=place.folder,
            stdout=nowhere,
            stderr=nowhere,
            timeout=PATIENCE,
        )
    assert process.returncode == 0
    assert (place.work / "square").exists() == (command != "clean")


@pytest.mark.parametrize(
    "words",
    [["status"], ["why"], ["list"], ["status", "--json"], ["run", "-n"], ["log", "square"]],
)
def test_a_look_that_cannot_be_shown_is_trouble(place: Place, words: Sequence[str]) -> None:
    place.task("square")
    place.psy("run")
    with Path("/dev/full").open("w") as nowhere:
        process = subprocess.run(
            place.command(*words), cwd=place.folder, stdout=nowhere, stderr=-1, text=True
        )
    assert process.returncode == 3
    assert "No space left on device" in process.stderr
    assert "Exception ignored" not in process.stderr


# --------------------------------------------------------------------------- hang-up

SLOW = SQUARE.replace(
    "    return",
    """
    import pathlib, time
    folder = pathlib.Path(__file__).parent.parent
    (folder / f"begun-{x}").touch()
    end = time.monotonic() + 600
    while x and not (folder / "go-on").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    return""",
)


def start_on_terminal(place: Place, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program on a terminal of its own; return it, and the other end of that."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        words,
        cwd=place.folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    return process, master


def test_a_terminal_that_is_closed_stops_a_run_which_then_can_go_on(place: Place) -> None:
    source = SLOW.replace("(x)", "(x, ctx)").replace(
        '(folder / "go-on").exists()', "ctx.should_stop()"
    )
    place.task("slow", f"pool_size = 1\n{source}")
    process, master = start_on_terminal(place, *place.command("run"))
    eventually((place.folder / "begun-1").exists)
    os.close(master)
    assert process.wait(PATIENCE) == 130
    # Item 1 was running, and came to its end.
    assert "2 out of 4 rows" in place.psy("status").stdout
    (place.folder / "go-on").touch()


def test_a_run_outlives_its_terminal_with_nohup(place: Place) -> None:
    place.task("slow", SLOW)
    process, master = start_on_terminal(place, "nohup", *place.command("run"))
    eventually((place.folder / "begun-1").exists)
    os.close(master)
    os.killpg(process.pid, signal.SIGHUP)
    (place.folder / "go-on").touch()
    assert process.wait(PATIENCE) == 0
    assert place.result("slow")["y"] == [0, 1, 4, 9]
