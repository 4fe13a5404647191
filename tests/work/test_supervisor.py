from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import FAILURE, ShardReader
from psyflow.system.exits import DISK_FULL, SETUP_FAILED, STOPPED
from tests.support.job import Job
from tests.support.processes import eventually, marked

MakeJob = Callable[..., Job]

GOOD = """
def execute(i):
    note(i)
    return {"y": 2 * i}
"""


def special(action: str, item: int = 7) -> str:
    """Return a job in which `item` does something special, once for each time it is called."""
    return f"""
def execute(i):
    note(i)
    if i == {item}:
        {action}
    return {{"y": 2 * i}}
"""


# --------------------------------------------------------------------------- the good case


@pytest.mark.parametrize(("n_items", "pool_size"), [(3000, 3), (1, 4), (2, 2)])
def test_every_item_once(job: MakeJob, n_items: int, pool_size: int) -> None:
    run = job(n_items, GOOD, pool_size=pool_size)
    assert run.run() == 0
    run.check_all_done()
    assert set(run.calls().values()) == {1}
    assert len(run.shards()) <= pool_size
    assert run.log.read_text() == ""


def test_no_items(job: MakeJob) -> None:
    run = job(0, GOOD)
    assert run.run() == 0
    assert run.shards() == []


def test_each_worker_knows_its_number(job: MakeJob) -> None:
    run = job(
        40,
        """
        def prepare(worker):
            return Prepared(execute, extra={"worker": worker})

        def execute(i, worker):
            meet(3)
            return {"y": worker}
        """,
        pool_size=3,
    )
    assert run.run() == 0
    assert {row["y"] for row in run.outcomes().values()} == {0, 1, 2}


def test_workers_draw_different_random_numbers(job: MakeJob) -> None:
    run = job(
        200,
        """
        import random

        def execute(i):
            meet(3)
            return {"y": (np.random.random(), random.random()), "pid": os.getpid()}

        np.random.seed(1)
        """,
        pool_size=3,
    )
    assert run.run() == 0
    rows = run.outcomes().values()
    assert len({row["pid"] for row in rows}) == 3
    for k in range(2):
        assert len({row["y"][k] for row in rows}) == 200


def test_a_job_can_be_started_again(job: MakeJob) -> None:
    run = job(50, GOOD)
    assert run.run() == 0
    # As a scheduler does after a node failed: same claims, same names.
    for number in (3, 4):
        for path in sorted((run.folder / "claims").iterdir())[number:]:
            path.unlink()
    for shard in run.shards()[1:]:
        shard.unlink()
    assert run.run() == 0
    assert run.log.read_text() == ""


# --------------------------------------------------------------------------- bad items


@pytest.mark.parametrize(
    ("action", "kind", "text"),
    [
        ("raise ValueError('no luck')", "error", "ValueError: no luck"),
        ("sys.exit(0)", "error", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
        ("return 4", "result", "execute returned 4"),
        ("return {'y': lambda: 1}", "result", "cannot be kept"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crash", "killed by SIGKILL"),
        ("ctypes.string_at(0)", "crash", "killed by SIGSEGV"),
        ("os.abort()", "crash", "killed by SIGABRT"),
        ("os._exit(0)", "crash", "exited with code 0"),
        ("os._exit(3)", "crash", "exited with code 3"),
        ("os._exit(130)", "crash", "exited with code 130"),
        (
            "signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), 15)",
            "crash",
            "TERM",
        ),
    ],
)
def test_a_bad_item_costs_itself_alone(job: MakeJob, action: str, kind: str, text: str) -> None:
    run = job(60, special(action))
    assert run.run() == 0
    failure = run.check_all_done({7: kind})[7]
    assert text in failure.exception
    assert failure.pset == {"i": "7"}
    assert abs(failure.start - time.time()) < 120
    assert 0 <= failure.duration < 120
    assert failure.pid > 0
    assert "Item 7 failed" in run.log.read_text()
    # A crash may cost the others a fraction of a second of work, and this item nothing.
    assert run.calls()[7] == 1
    assert max(run.calls().values()) <= 2


def test_many_crashes_amid_many_good_items(job: MakeJob) -> None:
    run = job(
        400,
        """
        # Each death is noticed as it happens: if one is not, this takes too long.
        psyflow.work.supervisor.POLL_SECONDS = 600.0

        def execute(i):
            note(i)
            if i % 40 == 13:
                ctypes.string_at(0)
            if i % 40 == 33:
                os._exit(1)
            return {"y": 2 * i}
        """,
    )
    assert run.run() == 0
    run.check_all_done({i: "crash" for i in range(400) if i % 20 == 13})
    assert all(n == 1 for i, n in run.calls().items() if i % 20 == 13)


def test_items_that_all_crash(job: MakeJob) -> None:
    run = job(20, "def execute(i): os._exit(1)")
    assert run.run() == 0
    run.check_all_done(dict.fromkeys(range(20), "crash"))


def test_an_item_that_takes_too_long(job: MakeJob) -> None:
    run = job(60, special("time.sleep(600)"), timeout=2.5)
    assert run.run() == 0
    failure = run.check_all_done({7: "timeout"})[7]
    assert "2.5 s" in failure.exception
    assert 2.5 <= failure.duration < 120


def test_an_item_that_takes_too_long_and_cannot_be_interrupted(job: MakeJob) -> None:
    action = "[signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; ctypes.PyDLL(None).sleep(600)"
    run = job(20, special(action), timeout=2)
    assert run.run() == 0
    run.check_all_done({7: "timeout"})


def test_what_an_item_started_ends_with_it(job: MakeJob) -> None:
    run = job(10, special("subprocess.run(['sleep', '600'])", item=3), timeout=2)
    assert run.run() == 0  # and nothing is left, which `run` checks
    run.check_all_done({3: "timeout"})


def test_what_an_item_left_running_ends_with_the_worker(job: MakeJob) -> None:
    run = job(4, special("subprocess.Popen(['sleep', '600'])", item=3))
    assert run.run() == 0
    run.check_all_done()


def test_timeouts_spare_items_that_come_to_their_end_just_then(job: MakeJob) -> None:
    run = job(
        60,
        """
        def execute(i):
            note(i)
            # Around the timeout: some make it, some do not; none that is quick may pay for it.
            if i % 3 == 0:
                time.sleep(0.18 + 0.001 * i if i < 51 else 600)
            return {"y": 2 * i}
        """,
        timeout=0.2,
    )
    assert run.run() == 0
    outcomes = run.outcomes()
    assert sorted(outcomes) == list(range(60))
    failed = {i for i, o in outcomes.items() if isinstance(o, Failure)}
    # On a busy machine, any item may take too long; then it really did.
    assert all(outcomes[i].kind == "timeout" and outcomes[i].duration > 0.2 for i in failed)
    assert failed >= {51, 54, 57}


def test_an_item_that_began_while_another_was_to_be_ended_is_innocent(job: MakeJob) -> None:
    source = """
    from psyflow.work.pacer import Pacer

    def execute(i):
        note(i)
        if i == 1:
            wait_for((folder / "condemned").exists)
        if i == 2 and notes().count("2") == 1:
            time.sleep(600)
        return {"y": 2 * i}

    def notes():
        return (folder / "notes").read_text().split()

    kill = os.kill
    # All in one deal, however long the first one takes.
    Pacer.wish = lambda pacer: (8, 8, 1e6)

    def kill_late(pid, number):
        (folder / "condemned").touch()
        wait_for(lambda: "2" in notes())
        kill(pid, number)

    os.kill = kill_late
    """
    # Item 1 ends when it was found to take too long, and the kill finds item 2, of the same deal.
    run = job(5, source, pool_size=1, timeout=2)
    assert run.run() == 0
    run.check_all_done()
    assert run.calls() == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


@pytest.mark.parametrize(
    "action",
    [
        "print('x' * 100_000, flush=True)",
        "os.chdir('/')",
        "sys.stdout.close()",
        "sys.stdout.close(); sys.stderr.close(); sys.stdin.close()",
        "[os.close(fd) for fd in (0, 1, 2)]",
        "sys.stdout = sys.stderr = None",
        "[signal.signal(s, signal.SIG_IGN) for s in (2, 15, 17)]",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "signal.setitimer(signal.ITIMER_REAL, 0.01); signal.signal(14, lambda *a: None)",
        "import threading; threading.Thread(target=time.sleep, args=(600,)).start()",
        "import atexit; atexit.register(time.sleep, 600)",
        "sys.setrecursionlimit(50)",
        "import warnings; warnings.simplefilter('error')",
        "os.environ.clear(); os.umask(0o777)",
        "import gc; gc.disable(); sys.settrace(lambda *a: None)",
    ],
)
def test_an_item_that_makes_a_mess_of_its_process(job: MakeJob, action: str) -> None:
    source = special(action, item=2) + "\nos.chdir(folder)"
    run = job(12, source.replace("if i == 2:", "if i == 5: raise ValueError\n    if i == 2:"))
    # Relative paths, so that a change of folder matters.
    script = run.folder / "job.py"
    script.write_text(script.read_text().replace('folder / "', 'Path() / "'))
    script.write_text(script.read_text().replace('open(Path() / "notes"', 'open(folder / "notes"'))
    assert run.run() == 0
    run.check_all_done({5: "error"})


def test_items_may_use_processes_of_their_own(job: MakeJob) -> None:
    run = job(
        12,
        """
        import multiprocessing

        def execute(i):
            # Leaving the block terminates the processes with SIGTERM.
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return {"y": sum(pool.map(int, [i, i]))}
        """,
    )
    assert run.run() == 0
    run.check_all_done()


def test_standard_input_is_empty(job: MakeJob) -> None:
    run = job(3, special("input()", item=1)).start(stdin=subprocess.PIPE)
    assert run.process is not None
    assert run.process.stdin is not None
    run.process.stdin.write(b"not for items\n")
    run.process.stdin.flush()
    assert run.wait() == 0
    run.process.stdin.close()
    assert "EOFError" in run.check_all_done({1: "error"})[1].exception


def retrying(limit: int, source: str) -> str:
    """Return a job that tries again `limit` times, whatever happened, and without a pause."""
    return f"""
import functools
from psyflow.work.prepared import Retries
Retries.pause = staticmethod(lambda attempt: 0.0)
kinds = {{"error", "crash", "timeout", "oom"}}
Work = functools.partial(Work, retries=Retries({limit}, kinds))

def nth_call(i):
    note(i)
    return (folder / "notes").read_text().split().count(str(i))
""" + textwrap.dedent(source)


def last_failures(run: Job) -> dict[int, list[tuple[str, int]]]:
    """Return kind and attempt of every failure of each item."""
    found: dict[int, list[tuple[str, int]]] = {}
    for shard in run.shards():
        reader = ShardReader(shard)
        for frame in reader.new_frames():
            for failure in reader.failures(frame) if frame.kind == FAILURE else ():
                found.setdefault(failure.item, []).append((failure.kind, failure.attempt))
    return {item: sorted(failures, key=lambda f: f[1]) for item, failures in found.items()}


def test_an_item_that_crashes_however_often_it_is_tried(job: MakeJob) -> None:
    run = job(1, retrying(6, "def execute(i): note(i); os._exit(1)"))
    assert run.run() == 0
    assert run.calls() == {0: 7}
    assert last_failures(run) == {0: [("crash", attempt) for attempt in range(1, 8)]}


def test_attempts_are_counted_through_errors_and_crashes(job: MakeJob) -> None:
    source = """
    def execute(i):
        n = nth_call(i)
        if i == 3 and n % 2:
            raise ValueError
        if i == 3:
            os._exit(1)
        return {"y": 2 * i}
    """
    run = job(8, retrying(3, source), pool_size=1)
    assert run.run() == 0
    assert run.calls()[3] == 4
    kinds = ["error", "crash", "error", "crash"]
    assert last_failures(run) == {3: list(zip(kinds, [1, 2, 3, 4], strict=True))}


def test_a_worker_killed_while_an_item_waits_for_its_next_attempt(job: MakeJob) -> None:
    source = """
    PAUSED = __file__ + ".paused"

    def pause(attempt):
        if os.path.exists(PAUSED):
            return 0.0
        open(PAUSED, "w").close()
        return 600.0

    Retries.pause = staticmethod(pause)

    def execute(i):
        if i == 3 and nth_call(i) == 1:
            raise ValueError
        return {"y": 2 * i}
    """
    run = job(8, retrying(1, source), pool_size=1).start()
    eventually(lambda: run.notes() == ["3"])
    eventually(lambda: "tried again" in run.log.read_text())
    os.kill(run.workers()[0], signal.SIGKILL)
    assert run.wait() == 0
    assert run.notes() == ["3", "3"]
    assert last_failures(run) == {3: [("error", 1)]}


# --------------------------------------------------------------------------- setup


@pytest.mark.parametrize(
    "action",
    [
        "raise ValueError('no GPU')",
        "sys.exit(0)",
        "raise KeyboardInterrupt",
        "ctypes.string_at(0)",
    ],
)
def test_a_setup_that_fails_ends_the_job(job: MakeJob, action: str) -> None:
    run = job(1000, GOOD + f"\ndef prepare(worker):\n    {action}\n", pool_size=3)
    assert run.run() == SETUP_FAILED
    assert run.outcomes() == {}
    assert run.calls() == {}


def test_a_setup_that_fails_in_one_worker_stops_the_others(job: MakeJob) -> None:
    source = """
    def prepare(worker):
        if worker == 1:
            wait_for((folder / "notes").exists)
            raise ValueError("no second GPU")
        return Prepared(execute)

    def execute(i):
        note(i)
        time.sleep(0.02)
        return {"y": 2 * i}
    """
    run = job(10_000, source)
    assert run.run() == SETUP_FAILED
    assert "no second GPU" in run.log.read_text()
    outcomes = run.outcomes()
    assert 1 <= len(outcomes) < 5000
    assert all(row == {"y": 2 * i} for i, row in outcomes.items())


def test_a_full_disk_ends_the_job_and_keeps_what_is_done(job: MakeJob) -> None:
    run = job(
        500,
        """
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # Each row at once: what is not yet written does not fit, however much it is.
        psyflow.work.kept.WRITE_SECONDS = 0.0

        def prepare(worker):
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            return Prepared(execute)

        def execute(i):
            if i % 50 == 49:
                raise ValueError("x" * 5000)
            return {"y": np.full(1000, i)}
        """,
    )
    assert run.run() == DISK_FULL
    outcomes = run.outcomes()
    assert 5 < len(outcomes) < 100
    for i, outcome in outcomes.items():
        assert isinstance(outcome, Failure) or np.array_equal(outcome["y"], np.full(1000, i))
        assert isinstance(outcome, Failure) == (i % 50 == 49)
    assert "File too large" in run.log.read_text()


# --------------------------------------------------------------------------- deaths


def at_work(run: Job, n_items: int) -> list[int]:
    """Return the workers that have begun so many items, each of which they mark in a file."""
    marks = ((pid, run.folder / f"items of {pid}") for pid in run.workers())
    return [pid for pid, path in marks if path.exists() and path.stat().st_size >= n_items]


@pytest.mark.parametrize("seed", [0, 1])
def test_workers_killed_at_random_cost_little(job: MakeJob, seed: int) -> None:
    source = """
    def execute(i):
        note(i)
        with open(folder / f"items of {os.getpid()}", "a") as file:
            file.write(".")
        if not (folder / "hurry").exists():
            time.sleep(0.001)
        return {"y": 2 * i}
    """
    n_items, n_killed = 20_000, 8
    run = job(n_items, source).start()
    rng = random.Random(seed)
    killed: list[int] = []
    while len(killed) < n_killed:
        # One that has not begun has nothing to lose, and too many of these look like a bad setup.
        n_begun = rng.randint(60, 120)
        able = eventually(lambda n=n_begun: [p for p in at_work(run, n) if p not in killed])
        killed.append(rng.choice(able))
        os.kill(killed[-1], signal.SIGKILL)
    (run.folder / "hurry").touch()
    assert run.wait() == 0
    outcomes = run.outcomes()
    assert sorted(outcomes) == list(range(n_items))
    failed = [o for o in outcomes.values() if isinstance(o, Failure)]
    assert len(failed) <= n_killed
    assert all(o.kind == "crash" and "SIGKILL" in o.exception for o in failed)
    assert all(o == {"y": 2 * i} for i, o in outcomes.items() if not isinstance(o, Failure))
    # Rows are written every 50 ms: that is what a kill can cost.
    assert sum(run.calls().values()) < n_items + 80 * n_killed
    eventually(lambda: not marked(run.mark))


SLOW = """
def execute(i):
    note(i)
    time.sleep(0.4)
    return {"y": 2 * i}
"""


def check_finished_items_are_there(run: Job, n_begun: int) -> None:
    outcomes = run.outcomes()
    assert all(row == {"y": 2 * i} for i, row in outcomes.items())
    assert len(outcomes) == n_begun
    assert sum(run.calls().values()) == n_begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_first_signal_lets_running_items_finish(job: MakeJob, number: int) -> None:
    run = job(1000, SLOW).start()
    eventually(lambda: len(run.notes()) >= 4)
    os.kill(run.pid, number)
    assert run.wait() == STOPPED
    check_finished_items_are_there(run, len(run.notes()))
    assert not marked(run.mark)


def test_a_terminal_s_interrupt_reaches_the_supervisor_alone(job: MakeJob) -> None:
    source = """
    def execute(i):
        note(i)
        return {"y": 2 * i + subprocess.call(["sleep", "0.5"])}
    """
    run = job(1000, source).start(start_new_session=True)
    eventually(lambda: len(run.notes()) >= 3)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait() == STOPPED
    check_finished_items_are_there(run, len(run.notes()))


def test_a_signal_to_every_process_lets_running_items_finish(job: MakeJob) -> None:
    run = job(1000, SLOW).start()
    eventually(lambda: len(run.notes()) >= 4)
    # In this order workers get it twice, and end before the supervisor knows why.
    for pid in (*run.workers(), run.pid):
        os.kill(pid, signal.SIGTERM)
    assert run.wait() == STOPPED
    check_finished_items_are_there(run, len(run.notes()))


def test_a_worker_that_somebody_else_ends_is_replaced(job: MakeJob) -> None:
    source = """
    def execute(i):
        note(i)
        time.sleep(0.02)
        if i >= 60:
            wait_for((folder / "go").exists)
        return {"y": 2 * i}
    """
    run = job(100, source).start()
    for number in (10, 30, 50):
        eventually(lambda number=number: len(run.notes()) > number)
        os.kill(run.workers()[0], signal.SIGTERM)
    (run.folder / "go").touch()
    assert run.wait() == 0
    run.check_all_done()
    assert set(run.calls().values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once_and_loses_nothing(job: MakeJob, number: int) -> None:
    source = """
    tell_of_stops()

    def execute(i):
        note(i)
        while i > 100:
            time.sleep(0.01)
            with open(folder / f"beats of {i}", "a") as file:
                file.write(".")
        return {"y": 2 * i}
    """
    run = job(1000, source).start()
    # Both workers have done what they have claimed before that.
    eventually(lambda: len(list(run.folder.glob("beats of *"))) == 2)
    os.kill(run.pid, number)
    run.wait_for_stop(1)
    for path in run.folder.glob("beats of *"):
        before = path.stat().st_size
        eventually(lambda path=path, before=before: path.stat().st_size > before + 3)
    os.kill(run.pid, number)
    assert run.wait() == STOPPED
    outcomes = run.outcomes()
    assert sorted(outcomes) == sorted(int(n) for n in run.notes() if int(n) <= 100)
    assert not any(isinstance(o, Failure) for o in outcomes.values())
    assert not marked(run.mark)


HOSTILE = """
psyflow.work.supervisor.GRACE_SECONDS = 1.0
tell_of_stops()

def execute(i):
    note(i)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600 if i == 30 else 0.05)
    if i >= n_free:
        wait_for((folder / "go").exists)
    return {"y": 2 * i}
"""


def test_stopping_works_although_items_ignore_signals(job: MakeJob) -> None:
    run = job(30, "n_free = 12" + HOSTILE).start()
    eventually(lambda: len(run.notes()) >= 6)
    os.kill(run.pid, signal.SIGTERM)
    run.wait_for_stop(1)
    (run.folder / "go").touch()
    assert run.wait() == STOPPED
    check_finished_items_are_there(run, len(run.notes()))
    assert len(run.notes()) < 20


def test_an_item_that_ignores_the_second_signal_is_killed_but_did_not_fail(job: MakeJob) -> None:
    run = job(31, "n_free = 31" + HOSTILE, pool_size=1).start()
    eventually(lambda: len(run.notes()) == 31)
    for level in (1, 2):
        os.kill(run.pid, signal.SIGTERM)
        run.wait_for_stop(level)
    assert run.wait() == STOPPED
    assert sorted(run.outcomes()) == list(range(30))
    assert not any(isinstance(o, Failure) for o in run.outcomes().values())


def test_workers_end_with_a_supervisor_that_is_killed(job: MakeJob) -> None:
    run = job(1000, SLOW).start()
    eventually(lambda: len(run.notes()) >= 4)
    assert len(run.workers()) == 2
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    eventually(lambda: not marked(run.mark))
    # Each item was written when it was done, a worker loses the one it was at.
    assert len(run.outcomes()) >= len(run.notes()) - 2


def test_a_supervisor_notices_that_its_parent_is_gone(job: MakeJob, tmp_path: Path) -> None:
    run = job(1000, SLOW)
    run.command = ["sh", "-c", '"$@" & wait', "sh", *run.command]
    run.start()
    eventually(lambda: len(run.notes()) >= 2)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    eventually(lambda: not marked(run.mark))
    assert "gone: stopping" in run.log.read_text()
    check_finished_items_are_there(run, len(run.notes()))


def test_a_broken_pipe_for_output_harms_nobody(job: MakeJob) -> None:
    run = job(40, special("raise ValueError", item=5))
    process = subprocess.Popen(run.command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(120) in (0, 120)  # 120: Python's own last flush fails
    run.check_all_done({5: "error"})


def test_clocks_may_jump(job: MakeJob) -> None:
    # Whoever can see a clock jump only in the wall clock must not end items for it.
    source = """
    def execute(i):
        time.sleep(0.01)
        if i == 50:
            jumped.touch()
        return {"y": 2 * i}

    wall = time.time
    time.time = lambda: wall() + 3600 * jumped.exists()
    jumped = folder / "jumped"
    """
    run = job(100, source, timeout=5)
    assert run.run() == 0
    run.check_all_done()


def test_other_children_of_the_process_are_left_alone(job: MakeJob) -> None:
    source = (
        GOOD
        + """
import atexit
other = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(9)"])
atexit.register(lambda: note(other.wait()))
os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
"""
    )
    run = job(5, source)
    assert run.run() == 0
    assert run.notes()[-1] == "9"


def test_a_worker_that_exits_between_items_is_replaced(job: MakeJob) -> None:
    source = """
    import threading

    done = []

    def execute(i):
        note(i)
        done.append(i)
        return {"y": 2 * i}

    ask = psyflow.work.asking.Asking.ask

    def ask_or_exit(*arguments):
        if 5 in done:
            # Not while an item runs: while the worker is about to ask, and with success.
            threading.Thread(target=os._exit, args=(0,)).start()
            time.sleep(600)
        return ask(*arguments)

    psyflow.work.asking.Asking.ask = ask_or_exit
    """
    run = job(12, source, pool_size=1)
    assert run.run() == 0
    run.check_all_done()
    assert set(run.calls().values()) == {1}


WAITS_OR_HANGS = """
    def execute(i):
        note(i)
        while i or not (folder / "go").exists():
            time.sleep(0.01)
        return {"y": 2 * i}
"""


def test_time_in_which_all_processes_were_stopped_counts_for_no_timeout(job: MakeJob) -> None:
    begin = time.monotonic()
    run = job(2, WAITS_OR_HANGS, timeout=6.0).start()
    eventually(lambda: len(run.notes()) == 2)
    stopped = [*run.workers(), run.pid]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(7.5)  # longer than the timeout: this is what is tested
    for pid in reversed(stopped):
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: "stood still for" in run.log.read_text())
    (run.folder / "go").touch()
    seconds = time.monotonic() - begin
    assert run.wait() == 0
    run.check_all_done(failed={1: "timeout"})
    (text,) = [line for line in run.log.read_text().splitlines() if line.startswith("This job")]
    told = re.fullmatch(r"This job stood still for (\d+) s, which count for no timeout\.", text)
    assert told is not None
    assert 7 <= int(told[1]) <= seconds + 1
