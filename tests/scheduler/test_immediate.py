from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import ImmediateRun, immediate
from psyflow.testing.schedulers import SchedulerTests, until


class TestImmediateRun(SchedulerTests):
    @pytest.fixture
    def scheduler(self) -> ImmediateRun:
        return ImmediateRun()


@pytest.fixture
def scheduler() -> ImmediateRun:
    return ImmediateRun()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "job.log"


def test_job_is_over_when_it_has_an_id(scheduler: ImmediateRun, log: Path) -> None:
    job = scheduler.submit(["echo", "hi"], log, "t:merge")
    assert scheduler.get_status(job) == (job, "D", "t:merge")
    assert scheduler.exit_code(job) == 0
    assert scheduler.get_jobs() == []
    assert ImmediateRun.runs_here


def test_exit_code_of_a_failed_job_is_kept(scheduler: ImmediateRun, log: Path) -> None:
    job = scheduler.submit(["sh", "-c", "exit 7"], log)
    killed = scheduler.submit(["sh", "-c", "kill -9 $$"], log)
    assert scheduler.exit_code(job) == 7
    assert scheduler.exit_code(killed) == -signal.SIGKILL
    assert {scheduler.get_statuses([job, killed])[j].status for j in (job, killed)} == {"F"}
    assert scheduler.exit_code("nobody's") is None


def test_log_is_appended_to(scheduler: ImmediateRun, log: Path) -> None:
    log.write_text("before\n")
    scheduler.submit(["echo", "first"], log)
    scheduler.submit(["sh", "-c", "echo second >&2"], log)
    assert log.read_text() == "before\nfirst\nsecond\n"


def test_stdin_is_empty(scheduler: ImmediateRun, log: Path) -> None:
    assert scheduler.exit_code(scheduler.submit(["cat"], log)) == 0
    assert log.read_text() == ""


def test_program_that_does_not_exist_fails_like_in_a_shell(
    scheduler: ImmediateRun, log: Path, tmp_path: Path
) -> None:
    job = scheduler.submit(["no-such-program", "x"], log)
    assert scheduler.exit_code(job) == 127
    assert log.read_text() == "no-such-program cannot be started: No such file or directory\n"
    plain = tmp_path / "plain.txt"
    plain.touch(mode=0o600)
    assert scheduler.exit_code(scheduler.submit([plain], log)) == 126


def test_log_that_cannot_be_written_is_an_error(scheduler: ImmediateRun, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="cannot be written: Is a directory"):
        scheduler.submit(["true"], tmp_path)
    assert scheduler.get_jobs() == []


def test_dependents_of_a_failed_job_are_not_run(
    scheduler: ImmediateRun, log: Path, tmp_path: Path
) -> None:
    failed = scheduler.submit(["false"], log)
    done = scheduler.submit(["true"], log)
    child = scheduler.submit(["touch", tmp_path / "made"], log, "child", [done, failed])
    grandchild = scheduler.submit(["touch", tmp_path / "made"], log, "grandchild", [child])
    array = scheduler.submit_array(2, ["touch", tmp_path / "made"], log, "array", [failed])
    assert not (tmp_path / "made").exists()
    for job in (child, grandchild, array):
        assert scheduler.get_statuses([job])[job].status == "C"
        assert scheduler.exit_code(job) is None


def test_dependents_of_done_and_of_foreign_jobs_are_run(
    scheduler: ImmediateRun, log: Path
) -> None:
    foreign = ImmediateRun().submit(["false"], log)
    done = scheduler.submit(["true"], log)
    for depends_on in ([done, foreign], done, (), None):
        job = scheduler.submit(["true"], log, "t", depends_on)
        assert scheduler.get_status(job) == (job, "D", "t")


def test_failed_member_stops_what_depends_on_the_array(
    scheduler: ImmediateRun, log: Path, tmp_path: Path
) -> None:
    array = scheduler.submit_array(3, ["sh", "-c", "echo %a; exit $((%a == 1))"], log, "a")
    assert log.read_text() == "0\n1\n2\n", "a failed member stopped those after it"
    assert [scheduler.exit_code(f"{array}_{i}") for i in range(3)] == [0, 1, 0]
    job = scheduler.submit(["true"], log, "merge", [array])
    assert scheduler.get_status(job) == (job, "C", "merge")


def test_array_needs_members(scheduler: ImmediateRun, log: Path) -> None:
    with pytest.raises(UsageError, match="at least one member, not 0"):
        scheduler.submit_array(0, ["true"], log)


def test_arguments_for_clusters_are_ignored(scheduler: ImmediateRun, log: Path) -> None:
    job = scheduler.submit(["true"], log, scheduler_args={"timelimit": "1h", "memory": None})
    assert scheduler.exit_code(job) == 0


def test_ids_of_two_instances_differ(log: Path) -> None:
    assert ImmediateRun().submit(["true"], log) != ImmediateRun().submit(["true"], log)


def test_waiting_costs_no_cpu_time(scheduler: ImmediateRun, log: Path) -> None:
    before = time.process_time()
    scheduler.submit(["sleep", "1.5"], log)
    assert time.process_time() - before < 0.4


def test_signal_handlers_are_as_they_were(scheduler: ImmediateRun, log: Path) -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(signum) for signum in signals]
    scheduler.submit(["true"], log)
    assert [signal.getsignal(signum) for signum in signals] == before


def test_job_of_another_thread_is_seen_and_killed(scheduler: ImmediateRun, log: Path) -> None:
    jobs: list[str] = []

    def work() -> None:
        jobs.append(scheduler.submit_array(3, ["sh", "-c", "echo %a; exec sleep 600"], log, "a"))

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: log.exists() and log.read_text(), "the first member runs", 180)
    (running,) = scheduler.get_jobs()
    assert scheduler.get_statuses([running])[running].status == "R"
    scheduler.kill(running.partition("_")[0])
    thread.join(120)
    assert not thread.is_alive()
    assert log.read_text() == "0\n", "members of a killed array were started"
    assert {scheduler.get_statuses([f"{jobs[0]}_{i}"]).popitem()[1].status for i in range(3)} == {
        "C"
    }


class Handled(Exception):
    pass


def test_exception_from_a_handler_ends_the_child(
    scheduler: ImmediateRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(*_: object) -> None:
        raise Handled

    waiting, wait = tmp_path / "waiting", subprocess.Popen.wait

    def wait_and_tell(process: Any, timeout: float | None = None) -> int:
        waiting.touch()
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_and_tell)
    begun = time.monotonic()
    previous = signal.signal(signal.SIGALRM, handler)
    until_waiting = f"until [ -e '{waiting}' ]; do sleep 0.05; done"
    child = f"echo $$; {until_waiting}; kill -ALRM $PPID; exec sleep 600"
    try:
        with pytest.raises(Handled):
            scheduler.submit(["sh", "-c", child], tmp_path / "log", "t")
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert time.monotonic() - begun < 300, "the child was not asked to end"
    assert not Path(f"/proc/{(tmp_path / 'log').read_text().strip()}").exists()
    assert scheduler.get_jobs() == []


def test_exception_before_anybody_waits_for_the_child_ends_it_too(
    scheduler: ImmediateRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a handler, just when the child has been started."""

    class Log:
        def __init__(self, path: str) -> None:
            self.file = Path(path).open("ab")  # noqa: SIM115
            self.fileno = self.file.fileno

        def close(self) -> None:
            self.file.close()
            raise Handled

    started = []

    def start(args: list[str], output: Any) -> Any:
        started.append(immediate.start_program(args, output))
        return started[0]

    monkeypatch.setattr(immediate, "_open_log", Log)
    monkeypatch.setattr(scheduler, "start", start)
    with pytest.raises(Handled):
        scheduler.submit(["sleep", "600"], tmp_path / "log", "t")
    assert started[0].returncode == -signal.SIGTERM


# Signals are tried on a process of their own that waits for a child in its own process group.

DRIVER = """
import sys
from psyflow.scheduler import ImmediateRun, immediate

on_signal = immediate._Child._on_signal

def on_signal_and_tell(*words):
    on_signal(*words)
    with open("signals", "a") as file:
        file.write(".")

immediate._Child._on_signal = on_signal_and_tell
scheduler = ImmediateRun()
try:
    scheduler.submit([sys.executable, "-c", sys.argv[1]], "log", "t")
    print("went on")
except KeyboardInterrupt:
    print("interrupted", scheduler.get_jobs(), open("log").read().split()[-1])
"""

CHILD = """
import signal, sys, time
def stop(signum, frame):
    print("stopping", flush=True)
    time.sleep(0.3)
    print(signal.Signals(signum).name, flush=True)
    sys.exit(0)
for signum in {signals}:
    signal.signal(signum, {action})
print("ready", flush=True)
for _ in range(60000):
    time.sleep(0.01)
    with open("beats", "a") as file:
        file.write(".")
"""


class Driver:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, signals: str, action: str = "stop") -> None:
        child = CHILD.format(signals=signals, action=action)
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(DRIVER), child],
            cwd=self.folder,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        until(lambda: "ready" in self.log(), "the child is ready", 180)

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def interrupt(self) -> None:
        """Interrupt psyflow alone, and wait until it has done what it does then."""
        before = self.size_of("signals")
        self.process.send_signal(signal.SIGINT)
        until(lambda: self.size_of("signals") > before, "it has noticed", 120)

    def size_of(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def end(self) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out

    def group_is_alive(self) -> bool:
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(tmp_path)
    yield driver
    if driver.group_is_alive():
        os.killpg(driver.process.pid, signal.SIGKILL)
    driver.process.communicate()


def test_interrupt_from_the_terminal_waits_for_the_child(driver: Driver) -> None:
    driver.start("[signal.SIGINT]")
    os.killpg(driver.process.pid, signal.SIGINT)
    assert driver.end() == (0, "interrupted [] SIGINT\n")
    assert not driver.group_is_alive()


def test_first_interrupt_of_psyflow_alone_leaves_the_child_at_work(driver: Driver) -> None:
    driver.start("[signal.SIGINT, signal.SIGTERM]")
    driver.interrupt()
    beats = driver.size_of("beats")
    until(lambda: driver.size_of("beats") > beats + 3, "the child goes on", 120)
    assert driver.process.poll() is None
    assert driver.log() == "ready\n"
    driver.process.send_signal(signal.SIGINT)
    assert driver.end() == (0, "interrupted [] SIGTERM\n")


def test_third_interrupt_kills_a_child_that_does_not_listen(driver: Driver) -> None:
    driver.start("[signal.SIGINT, signal.SIGTERM]", "signal.SIG_IGN")
    for _ in range(3):
        assert driver.process.poll() is None
        driver.interrupt()
    assert driver.end() == (0, "interrupted [] ready\n")
    assert not driver.group_is_alive()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_request_to_end_is_passed_on_and_obeyed(driver: Driver, signum: signal.Signals) -> None:
    driver.start("[signal.SIGTERM, signal.SIGHUP]")
    driver.process.send_signal(signum)
    code, out = driver.end()
    assert (code, out) == (-signum, "")
    assert driver.log().split()[-1] == signum.name, "it did not wait for the child"
    assert not driver.group_is_alive()


def test_ignored_interrupt_stays_ignored(
    scheduler: ImmediateRun, log: Path, tmp_path: Path
) -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = scheduler.submit(["sh", "-c", "kill -INT $PPID $$; exit 5"], log)
        assert scheduler.exit_code(job) == 5
    finally:
        signal.signal(signal.SIGINT, previous)
