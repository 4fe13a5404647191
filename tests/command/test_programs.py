"""Programs that do what programs do: print a lot, or nothing, fork, ignore signals, die."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from psyflow import Command
from psyflow.exceptions import CommandFailedError
from tests.support.processes import eventually, state_of


class Context:
    """What a worker gives a command."""

    job = "process:0"
    attempt = 1
    worker = 0
    n_psets = 1
    programs = None

    def __init__(self, folder: Path) -> None:
        self.place = folder

    @property
    def dir(self) -> Path:
        self.place.mkdir(exist_ok=True)
        return self.place


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path)


def python(source: str) -> list[list[str]]:
    return [[sys.executable, "-c", source.replace("{", "{{").replace("}", "}}")]]


def test_what_a_program_prints_never_goes_through_memory(ctx):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chunk = "import os\nfor i in range(300): os.write(1, b'x' * (1 << 20))"
    Command(python(chunk))(ctx=ctx)
    assert (ctx.dir / "stdout").stat().st_size == 300 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (100 << 10)


@pytest.mark.parametrize(
    "tidy",
    [
        "rm -f *",
        'rm -rf "$PWD"',
        'mv "$PWD" "$PWD.gone"',
    ],
)
def test_what_was_printed_is_there_though_a_program_removes_all_that_is_in_its_folder(ctx, tidy):
    line = f"echo E = 1; {tidy}; cd /; echo E = 2; echo in vain >&2; exit {{code}}"
    command = Command(line, shell=True, parse={"e": ("stdout", "E = (@int@)", "all")})
    assert command(code=0, ctx=ctx) == {"e": [1, 2]}
    with pytest.raises(CommandFailedError, match="in vain"):
        command(code=3, ctx=ctx)


RIGHTS = "-dac_override,-dac_read_search,-fowner"
AS_A_USER = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS]
"""Before what root does without its special rights."""
CLOSED = """
import os, sys
from pathlib import Path
from psyflow import Command
from tests.command.test_programs import Context

context = Context(Path(sys.argv[1], "pset"))
context.n_psets = int(sys.argv[2])
for lock in ("chmod 500 d .", "chmod 000 d", "chmod 000 f", "chmod 000 d ."):
    command = Command(
        f"mkdir d; touch f d/f; {lock}; echo x 1",
        shell=True,
        keep=sys.argv[3],
        parse={"x": "x (@int@)"},
    )
    assert command(ctx=context) == {"x": 1}, lock
assert os.path.isdir(context.place) == (sys.argv[4] == "stays")
"""


@pytest.mark.parametrize(
    ("n_psets", "keep", "then"), [(1, "all", "stays"), (1, "none", "goes"), (999, "none", "goes")]
)
def test_a_program_that_takes_rights_to_its_folder_costs_no_result(tmp_path, n_psets, keep, then):
    user = AS_A_USER if os.geteuid() == 0 else []
    words = [sys.executable, "-c", CLOSED, str(tmp_path), str(n_psets), keep, then]
    done = subprocess.run([*user, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_that_a_program_calls_as_psyflow_would_is_the_programs(ctx):
    command = Command(
        "echo '{{\"n\": 7}}' > command.json", shell=True, parse={"*": "command.json"}
    )
    for _ in range(2):
        assert command(ctx=ctx) == {"n": 7}
        assert json.loads((ctx.dir / "command.json").read_text()) == {"n": 7}


def test_a_program_that_prints_nothing_gives_a_row_without_results(ctx):
    assert Command("true", parse={"acc": "accuracy: (@float@)"})(ctx=ctx) == {}
    assert (ctx.dir / "stdout").read_bytes() == b""


def test_output_that_is_no_utf8_is_kept_as_it_is(ctx):
    command = Command(
        python("import os; os.write(1, b'caf\\xe9 = 3\\n'); os.write(2, b'\\xff\\xfe')"),
        parse={"n": "= (@int@)"},
    )
    assert command(ctx=ctx) == {"n": 3}
    assert (ctx.dir / "stdout").read_bytes() == b"caf\xe9 = 3\n"


def test_stderr_that_is_no_utf8_is_told(ctx):
    with pytest.raises(CommandFailedError, match=r"code 1\. Its standard error ends:\n  caf. \S+"):
        Command(python(r"import os; os.write(2, b'caf\xe9 \x1b[2J'); raise SystemExit(1)"))(
            ctx=ctx
        )


def test_the_reason_ends_with_the_last_lines_of_stderr(ctx):
    source = "import sys\nfor i in range(99): print('line', i, file=sys.stderr)\nsys.exit(3)"
    with pytest.raises(CommandFailedError) as caught:
        Command(python(source))(ctx=ctx)
    told = str(caught.value).splitlines()
    assert "exited with code 3" in told[0] or "exited with code 3" in str(caught.value)
    assert told[-2:] == ["  line 97", "  line 98"]
    assert (caught.value.kind, caught.value.status) == ("error", 3)


def test_a_program_that_a_signal_kills_has_crashed(ctx):
    with pytest.raises(CommandFailedError, match=r"was killed by SIGSEGV") as caught:
        Command("kill -SEGV $$", shell=True)(ctx=ctx)
    assert (caught.value.kind, caught.value.status) == ("crash", None)
    (noted,) = json.loads((ctx.dir / "command.json").read_text())
    assert (noted["exit_code"], noted["signal"]) == (None, "SIGSEGV")


def test_a_program_reads_its_input(ctx, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deck.in").write_text("1 2 3\n")
    ctx.place = tmp_path / "pset"
    assert Command("wc -w", stdin="deck.in", parse={"n": "(@int@)"})(ctx=ctx) == {"n": 3}


def test_without_an_input_a_program_reads_nothing(ctx):
    assert Command("wc -c", parse={"n": "(@int@)"})(ctx=ctx) == {"n": 0}


def test_a_program_that_wants_a_terminal_has_none_and_does_not_hang(ctx):
    source = """
import os, sys
print([os.isatty(i) for i in range(3)])
try:
    open("/dev/tty")
except OSError:
    print("none")
"""
    Command(python(source))(ctx=ctx)
    assert (ctx.dir / "stdout").read_text() == "[False, False, False]\nnone\n"


def test_commands_run_in_order_until_one_fails(ctx):
    with pytest.raises(CommandFailedError, match="false"):
        Command(["echo one", "false", "echo two"])(ctx=ctx)
    assert (ctx.dir / "stdout").read_text() == "one\n"


def test_exit_codes_of_success_can_be_told(ctx):
    Command("exit 3", shell=True, ok_codes=[0, 3])(ctx=ctx)
    assert json.loads((ctx.dir / "command.json").read_text())[0]["exit_code"] == 3


FORKS = """
import os, signal, time
for i in range(3):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
open("ready", "w").write(str(os.getpgid(0)))
"""


def lives(group: int) -> bool:
    """Tell whether anybody is in a process group, but for those that are to be waited for."""
    found = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    return any(state_of(pid) not in "ZX" and _group(pid) == group for pid in found)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("psyflow.command.running.GRACE_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
def test_what_a_program_leaves_running_is_ended_with_it(ctx):
    Command(python(FORKS))(ctx=ctx)
    assert not lives(int((ctx.dir / "ready").read_text()))


@pytest.mark.usefixtures("impatient")
def test_a_command_that_is_interrupted_leaves_nothing_running(ctx):
    ready = ctx.dir / "ready"
    waits = f"{FORKS}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"

    def interrupt(number, frame):
        if ready.exists():
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            Command(python(waits))(ctx=ctx)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not lives(int(ready.read_text()))


CALLS = """
import sys
from pathlib import Path
from psyflow import Command

class Context:
    job, attempt, worker, n_psets, dir = "", 1, 0, 1, Path(sys.argv[1])
    place = dir

Command([[sys.executable, "-c", sys.argv[2]]])(ctx=Context())
"""


def test_when_who_runs_a_program_is_killed_all_of_it_ends(tmp_path):
    from tests.support.processes import script

    escapes = f"import os\nif os.fork() == 0: os.setsid()\n{FORKS}\ntime.sleep(600)"
    source = escapes.replace("'ready'", "'ready'")
    process = script(CALLS, tmp_path, source)
    try:
        eventually((tmp_path / "ready").exists)
        group = eventually(lambda: (tmp_path / "ready").read_text())
    finally:
        process.kill()
        process.wait()
    eventually(lambda: not lives(int(group)))
    eventually(lambda: not marked_programs(process.pid))


def marked_programs(owner: int) -> list[int]:
    mark = f"PSYFLOW_PROGRAM_OF={owner}.".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes() and state_of(int(path.parent.name)) not in "ZX":
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_what_a_program_took_is_noted(ctx):
    Command(python("x = bytearray(200 << 20); sum(range(10**6))"))(ctx=ctx)
    (noted,) = json.loads((ctx.dir / "command.json").read_text())
    assert noted["exit_code"] == 0 and noted["duration"] > 0 and noted["cpu"] > 0
    assert noted["peak_memory"] is None or noted["peak_memory"] > 200 << 20


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "There is no program"),
        (lambda path: path.write_text("#!/bin/sh\n"), "chmod"),
        (lambda path: (path.write_text("true\n"), path.chmod(0o755)), "lacks a first line"),
        (lambda path: (path.write_text("#!/no/sh\n"), path.chmod(0o755)), "interpreter"),
        (lambda path: (path.write_text("#!/bin/sh\r\n"), path.chmod(0o755)), "as on Windows"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_a_program_that_cannot_be_started_says_why(ctx, tmp_path, make, why):
    make(tmp_path / "sim")
    ctx.place = tmp_path / "pset"
    with pytest.raises(CommandFailedError, match=why):
        Command([[str(tmp_path / "sim")]])(ctx=ctx)
    with pytest.raises(CommandFailedError, match="`cwd` is no folder here"):
        Command("true", cwd=tmp_path / "nowhere")(ctx=ctx)
