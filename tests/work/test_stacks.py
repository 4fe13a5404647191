"""Where a process is: asked for by a signal, or left by a crash; it must notice nothing."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from psyflow.work.stacks import StackFile, answer_here, in_words
from tests.support.processes import eventually


def answer(is_ready: threading.Event) -> None:
    answer_here()
    is_ready.set()
    time.sleep(600)


@contextmanager
def process(stack: StackFile, be: Callable[[int], object]) -> Iterator[tuple[int, int]]:
    """Yield the number of a process that does something, and where it writes its results."""
    results, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            stack.serve()
            is_ready = threading.Event()
            threading.Thread(target=answer, args=[is_ready], daemon=True).start()
            is_ready.wait()
            os.write(writer, b"begun;")
            be(writer)
            os.write(writer, b"done")
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(results, 6) == b"begun;"
    try:
        yield pid, results
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(results)


@pytest.fixture
def stack() -> Iterator[StackFile]:
    file = StackFile()
    yield file
    file.close()


def loop_for_ever(writer: int) -> None:
    os.write(writer, b"ready;")
    while True:
        pass


def test_an_endless_loop_is_found_again_and_again(stack: StackFile) -> None:
    with process(stack, loop_for_ever) as (pid, results):
        assert os.read(results, 6) == b"ready;"
        for _ in range(3):
            assert "in loop_for_ever" in stack.ask(pid)


def test_what_waits_goes_on_waiting(stack: StackFile) -> None:
    gate, opener = socket.socketpair()

    def waits(writer: int) -> None:
        begin = time.monotonic()
        time.sleep(0.5)
        os.write(writer, b"slept;" if time.monotonic() - begin >= 0.5 else b"woken;")
        os.write(writer, gate.recv(5))

    with process(stack, waits) as (pid, results):
        eventually(lambda: "in waits" in stack.ask(pid))
        assert os.read(results, 6) == b"slept;"
        assert "in waits" in stack.ask(pid)
        assert not select.select([results], [], [], 0)[0]
        opener.send(b"open;")
        assert os.read(results, 5) == b"open;"
    gate.close()
    opener.close()


def sleep_in_native_code(writer: int) -> None:
    os.write(writer, b"ready;")
    os.write(writer, b"%d;" % ctypes.PyDLL(None).sleep(3))


def test_native_code_is_not_interrupted(stack: StackFile) -> None:
    with process(stack, sleep_in_native_code) as (pid, results):
        assert os.read(results, 6) == b"ready;"
        assert "in sleep_in_native_code" in stack.ask(pid)
        assert os.read(results, 2) == b"0;"  # nothing was left to sleep


def test_who_is_asked_for_the_last_time_goes_nowhere(stack: StackFile) -> None:
    with process(stack, sleep_in_native_code) as (pid, results):
        assert os.read(results, 6) == b"ready;"
        assert "in sleep_in_native_code" in stack.ask_for_the_last_time(pid)
        assert os.read(results, 2) == b""


def without_handlers(writer: int) -> None:
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_DFL)
    os.write(writer, b"ready;")
    time.sleep(600)


def without_files(writer: int) -> None:
    os.closerange(writer + 1, 4096)
    own = os.open(os.devnull, os.O_WRONLY)
    for number in range(writer + 1, 300):
        os.dup2(own, number)
    os.write(writer, b"ready;")
    time.sleep(600)


@pytest.mark.parametrize("be", [without_handlers, without_files])
def test_who_does_not_listen_is_not_asked(stack: StackFile, be: Callable[[int], object]) -> None:
    with process(stack, be) as (pid, results):
        assert os.read(results, 6) == b"ready;"
        assert stack.ask(pid) == ""
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)


def crash(writer: int) -> None:
    signal.raise_signal(signal.SIGSEGV)  # as a fault does: in this thread


def test_a_crash_leaves_its_stack_until_it_is_cleared(stack: StackFile) -> None:
    with process(stack, crash):
        eventually(lambda: "in crash" in stack.of_crash())
    stack.clear()
    assert stack.of_crash() == ""


def test_a_crash_leaves_its_stack_though_a_library_has_handlers_of_its_own(
    stack: StackFile,
) -> None:
    def restart(writer: int) -> None:
        signal.signal(signal.SIGSEGV, lambda number, frame: None)
        stack.serve()
        crash(writer)

    with process(stack, restart):
        eventually(lambda: "in crash" in stack.of_crash())


def test_a_stack_that_was_asked_for_is_none_of_a_crash(stack: StackFile) -> None:
    with process(stack, loop_for_ever) as (pid, _):
        assert stack.ask(pid)
    assert stack.of_crash() == ""


@pytest.mark.parametrize("dump", [b"", b"\xff\xfe", b"Fatal Python error: Aborted\n\n"])
def test_a_dump_without_frames_says_nothing(dump: bytes) -> None:
    assert in_words(dump) == ""
