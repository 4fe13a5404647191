"""Jobs of `psy run` on this machine are forks of a process that has run no user's code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from psyflow import load
from psyflow.system.allotted import usable_cpus
from tests.support.place import Place
from tests.support.processes import children_of, eventually, state_of

# A program of its own, for the process of the tests has threads.
PROGRAM = """
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path
from psyflow.scheduler import ImmediateRun
from psyflow.scheduler.forkserver import ForkServer

COMMAND = [sys.executable, "-m", "nothing"]

{main}

def submit(*words):
    job = scheduler.submit([*COMMAND, *words], "log")
    return scheduler.exit_code(job)

with ForkServer(COMMAND, main) as server:
    scheduler = ImmediateRun()
    scheduler.start = server.start
{body}
"""


class Script:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"

    def start(self, main: str, body: str, before: str = "") -> subprocess.Popen[str]:
        source = before + PROGRAM.format(
            main=textwrap.dedent(main), body=textwrap.indent(textwrap.dedent(body), "    ")
        )
        return subprocess.Popen(
            [sys.executable, "-c", source],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, main: str, body: str, before: str = "") -> str:
        process = self.start(main, body, before)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, ""), err
        return out


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def test_job_is_a_fork_with_the_words_and_the_exit_code(script: Script) -> None:
    out = script.run(
        """
        def main(words):
            print(words, sys.argv[1:], os.getpid() != psy, os.getppid() != psy, flush=True)
            return 7
        psy = os.getpid()
        """,
        "print(submit('process', 'x y'), submit())",
    )
    assert out == "7 7\n"
    first, second = script.log.read_text().splitlines()
    assert first == "['process', 'x y'] ['process', 'x y'] True True"
    assert second == "[] [] True True"


def test_job_is_where_its_parent_is_now(script: Script) -> None:
    script.run(
        """
        def main(words):
            print(os.getcwd(), sys.path[0])
            print(sys.stdin.read() == "")
            return 0
        """,
        """
        folder = Path("there")
        folder.mkdir()
        log = Path("log").absolute()
        os.chdir(folder)
        scheduler.submit(COMMAND, log)
        """,
    )
    there = script.folder / "there"
    assert script.log.read_text().splitlines() == [f"{there} {there}", "True"]


def test_with_another_environment_jobs_are_started_as_programs(script: Script) -> None:
    script.run(
        """
        COMMAND = [sys.executable, "-c", "import os; print(os.environb.get(b'A'), hash('a'))"]
        def main(words):
            print("forked", flush=True)
            return 0
        """,
        """
        submit()
        os.environ["A"] = "b\\udcff"
        os.environ["PYTHONHASHSEED"] = "1"
        submit()
        submit()
        del os.environ["A"], os.environ["PYTHONHASHSEED"]
        submit()
        """,
        before="import os\nos.environ.pop('PYTHONHASHSEED', None)\n",
    )
    first, second, third, fourth = script.log.read_text().splitlines()
    assert first == fourth == "forked"
    assert second == third
    assert second.startswith(r"b'b\xff' ")


def test_what_a_job_raises_is_in_its_log(script: Script) -> None:
    out = script.run(
        """
        def main(words):
            if words == ["interrupt"]:
                raise KeyboardInterrupt
            print("half a line", end="")
            raise ValueError(words)
        """,
        "print(submit('a'), submit('interrupt'))",
    )
    assert out == f"1 {-signal.SIGINT}\n"
    text = script.log.read_text()
    assert "half a line" in text
    assert "ValueError: ['a']\n" in text
    assert "KeyboardInterrupt" not in text


def test_signals_reach_the_job_and_find_the_usual_handlers(script: Script) -> None:
    out = script.run(
        """
        def main(words):
            print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                  signal.getsignal(signal.SIGINT) is signal.default_int_handler,
                  signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
                  signal.pthread_sigmask(signal.SIG_BLOCK, []), flush=True)
            time.sleep(600)
        """,
        """
        def kill():
            while not Path("log").exists() or not Path("log").stat().st_size:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=kill).start()
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        print(submit())
        """,
        # As `nohup` does.
        before="import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n",
    )
    assert out == f"{-signal.SIGTERM}\n"
    assert script.log.read_text() == "True True True set()\n"


def test_ctrl_c_reaches_the_job_and_not_the_server(script: Script) -> None:
    process = script.start(
        """
        def main(words):
            print("begins", flush=True)
            if words:
                time.sleep(600)
        """,
        """
        try:
            submit("long")
        except KeyboardInterrupt:
            print("interrupted", submit())
        """,
    )
    assert eventually(lambda: script.log.exists() and script.log.stat().st_size > 0)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    # None is what the job's main returned.
    assert out.startswith("interrupted"), err
    assert script.log.read_text().count("begins") == 2


def test_a_signal_that_comes_with_the_end_of_the_job_takes_nothing_away(script: Script) -> None:
    process = script.start(
        """
        def main(words):
            print("begins", flush=True)
            while not Path("end").exists():
                time.sleep(0.01)
            Path("ended.new").write_text(str(os.getpid()))
            Path("ended.new").rename("ended")
            return 7
        """,
        """
        signal.signal(signal.SIGTERM, lambda number, frame: print("SIGTERM", flush=True))
        print(submit())
        """,
    )
    assert eventually(lambda: script.log.exists() and script.log.stat().st_size > 0)
    # Whoever is stopped finds both when it goes on.
    os.kill(process.pid, signal.SIGSTOP)
    (script.folder / "end").touch()
    assert eventually((script.folder / "ended").exists)
    job = int((script.folder / "ended").read_text())
    (server,) = children_of(process.pid)
    # The server has told of it when it waits for what comes next.
    eventually(lambda: state_of(job) == "X" and state_of(server) == "S")
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGCONT)
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (out, err) == ("SIGTERM\n7\n", "")


def test_other_commands_and_a_second_job_are_started_as_programs(script: Script) -> None:
    out = script.run(
        """
        def main(words):
            print("forked", flush=True)
            while words and not Path("done").exists():
                time.sleep(0.01)
            return 0
        COMMAND = [sys.executable, "-c", "print('started'); open('done', 'w')"]
        """,
        """
        other = ImmediateRun()
        other.start = server.start
        thread = threading.Thread(target=submit, args=["wait"])
        thread.start()
        while not Path("log").exists() or not Path("log").stat().st_size:
            time.sleep(0.01)
        other.submit(COMMAND, "other")
        thread.join()
        submit()
        scheduler.submit(["echo", "hello"], "other")
        """,
    )
    assert out == ""
    assert script.log.read_text() == "forked\nforked\n"
    assert (script.folder / "other").read_text() == "started\nhello\n"


def test_if_the_server_is_killed_its_job_counts_as_killed_and_programs_are_started(
    script: Script,
) -> None:
    out = script.run(
        """
        COMMAND = [sys.executable, "-c", "print('started')"]
        def main(words):
            while not Path("begun").exists():
                time.sleep(0.01)
            os.kill(os.getppid(), signal.SIGKILL)
        """,
        """
        def start(args, output):
            job = server.start(args, output)
            Path("begun").touch()
            return job
        scheduler.start = start
        print(submit(), submit())
        """,
    )
    assert out == f"{-signal.SIGKILL} 0\n"
    assert "started\n" in script.log.read_text()


@pytest.mark.parametrize("how", ["SIGKILL", "exit"])
def test_when_the_parent_ends_the_server_ends_and_its_job_is_an_orphan(
    script: Script, how: str
) -> None:
    end = "os._exit(0)" if how == "exit" else "os.kill(os.getpid(), signal.SIGKILL)"
    process = script.start(
        """
        def main(words):
            server = os.getppid()
            print(server, flush=True)
            while os.getppid() == server:
                time.sleep(0.01)
            Path("orphan").touch()
        """,
        f"""
        def end():
            while not Path("log").exists() or not Path("log").stat().st_size:
                time.sleep(0.01)
            {end}
        # What the user's code has forked has all that this process has.
        if os.fork() == 0:
            while not Path("orphan").exists():
                time.sleep(0.01)
            os._exit(0)
        threading.Thread(target=end).start()
        submit()
        """,
    )
    process.communicate(timeout=120)
    assert eventually((script.folder / "orphan").exists)


def test_a_server_without_requests_leaves_nothing(script: Script) -> None:
    out = script.run("def main(words): return 0", "print(server._pid)")
    assert not Path(f"/proc/{int(out)}").exists()


def test_loading_a_task_leaves_no_trace_in_its_workers(place: Place) -> None:
    place.task(
        "t",
        """
import builtins, threading
from pathlib import Path
from psyflow import Param
builtins.n_loaded = getattr(builtins, "n_loaded", 0) + 1
threading.Thread(target=threading.Event().wait, daemon=True).start()
pspace = Param(x=range(2))
def execute(x):
    return {"n_loaded": builtins.n_loaded, "program": Path("/proc/self/cmdline").read_text()}
""",
    )
    done = place.program("run")
    assert (done.returncode, done.stderr) == (0, "")
    result = load("t", workdir=place.work)
    assert list(result["n_loaded"]) == [1, 1]
    assert all("psyflow\0run" in program for program in result["program"])


def test_what_a_task_sets_at_load_its_workers_find_at_their_start(place: Place) -> None:
    place.task(
        "t",
        """
import os, time
from psyflow import Param
inherited = os.environ.get("FROM_PSY", "")
os.environ["FROM_PSY"] = "as with any program"
os.environ["TZ"] = "Etc/GMT-13"
pspace = Param(x=range(2))
def execute(x):
    return {"inherited": inherited, "zone": time.strftime("%z")}
""",
    )
    done = place.program("run")
    assert (done.returncode, done.stderr) == (0, "")
    result = load("t", workdir=place.work)
    assert list(result["inherited"]) == ["as with any program"] * 2
    assert list(result["zone"]) == ["+1300"] * 2


@pytest.mark.parametrize(
    ("pool_size", "setting", "n_threads"),
    [
        (2 * usable_cpus(), "", 1),
        (1, "", usable_cpus()),
        # The file is loaded by `psy` first, and the job gets the environment of `psy`.
        (1, "os.environ['OMP_NUM_THREADS'] = '1'", 1),
    ],
)
def test_workers_share_the_processors_though_numpy_was_loaded_before(
    place: Place, pool_size: int, setting: str, n_threads: int
) -> None:
    place.task(
        "t",
        f"""
import os, threadpoolctl
from psyflow import Param
{setting}
pspace = Param(x=range(1))
pool_size = {pool_size}
def execute(x):
    libraries = threadpoolctl.threadpool_info()
    return {{"blas": max(lib["num_threads"] for lib in libraries if lib["user_api"] == "blas")}}
""",
    )
    environment = {name: text for name, text in os.environ.items() if "_NUM_THREADS" not in name}
    subprocess.run(place.command("run"), cwd=place.folder, env=environment, check=True)
    assert list(load("t", workdir=place.work)["blas"]) == [n_threads]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_jobs_run_and_print_though_the_shell_has_closed_streams(place: Place, closed: str) -> None:
    place.task(
        "t",
        """
import sys
from psyflow import Param
pspace = Param(x=range(1))
def execute(x):
    print("to the log", flush=True)
    return {"input": sys.stdin.read()}
""",
    )
    shell = f'exec "$@" {closed}'
    done = subprocess.run(["sh", "-c", shell, "sh", *place.command("run")], cwd=place.folder)
    log = place.work / "t" / "t:process:0.log"
    assert done.returncode == 0, log.read_text()
    assert "t:process:0 of" in log.read_text()
    assert list(load("t", workdir=place.work)["input"]) == [""]


def test_jobs_do_not_have_the_files_of_whoever_started_psy(script: Script) -> None:
    script.run(
        """
        def main(words):
            print([str(path.resolve()) for path in Path("/dev/fd").iterdir()])
            return 0
        """,
        "submit()",
        before="""
import os
os.set_inheritable(os.open("lock", os.O_RDWR | os.O_CREAT), True)
""",
    )
    assert str(script.log) in script.log.read_text()
    assert str(script.folder / "lock") not in script.log.read_text()


def test_a_fork_of_psy_that_ends_like_a_program_leaves_the_server_alone(script: Script) -> None:
    out = script.run(
        """
        def main(words):
            return 7
        """,
        """
        pid = os.fork()
        if pid == 0:
            sys.exit()
        os.waitpid(pid, 0)
        print(submit())
        """,
    )
    assert out == "7\n"


@pytest.mark.parametrize("n_forks", [0, 1])
def test_without_processes_to_be_had_jobs_are_started_as_programs(
    script: Script, n_forks: int
) -> None:
    script.run(
        """
        COMMAND = [sys.executable, "-c", "print('started')"]
        def main(words):
            return 0
        """,
        "print(submit(), submit())",
        before=f"""
import psyflow.scheduler.forkserver as module
fork, n_left = module.fork, [None] * {n_forks}
def failing():
    if not n_left:
        raise BlockingIOError("Resource temporarily unavailable")
    n_left.pop()
    return fork()
module.fork = failing
""",
    )
    assert script.log.read_text() == "started\nstarted\n"
