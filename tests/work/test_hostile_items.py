"""Items that break what they share with others, their process: each costs itself alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from psyflow.outcomes.shard import FAILURE, ShardReader
from psyflow.system.exits import SETUP_FAILED
from tests.support.job import Job

MakeJob = Callable[..., Job]

IMPORTS = """
import builtins, fcntl, gc, importlib, json, locale, mmap, pickle, resource, shutil, tempfile
import threading, zlib

def shards():
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").endswith(".rows"):
                found.append(fd)
        except OSError:
            pass
    return found

def scribble():
    for fd in range(3, 64):
        try:
            os.write(fd, b"x" * 5000)
        except OSError:
            pass

class Loud:
    def __del__(self):
        raise SystemExit("from __del__")

def broken(*args, **kwargs):
    raise RuntimeError("broken by an item")
"""


def hostile(*actions: str) -> str:
    """Return a job whose items 7 and, if there is a second action, 11 do something hostile."""
    cases = "\n".join(
        f"    if i == {item}:\n        {action}"
        for item, action in zip((7, 11), actions, strict=False)
    )
    return f'{IMPORTS}\ndef execute(i):\n    note(i)\n{cases}\n    return {{"y": 2 * i}}\n'


def no_more(name: str) -> str:
    return f"the builtin `{name}` is not Python's own any more"


GONE = "its worker could not go on"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights up")

COSTLY = [
    # What it replaces.
    ("builtins.len = broken", no_more("len")),
    ("builtins.len = lambda value: 0", no_more("len")),
    ("builtins.isinstance = lambda value, kind: False", no_more("isinstance")),
    ("builtins.dict = lambda *args: {}", no_more("dict")),
    ("builtins.zip = lambda *args, strict=False: iter(())", no_more("zip")),
    ("builtins.type = lambda value: list", no_more("type")),
    ("builtins.BaseException = RuntimeError", no_more("BaseException")),
    ("del builtins.map", no_more("map")),
    ("vars(builtins).clear()", ""),
    ("np.array = broken", "broken by an item"),
    ("sys.modules.pop('numpy')", "the module `numpy` is not in `sys.modules`"),
    (
        "[sys.modules.pop(n) for n in [*sys.modules] if n.startswith(('psyflow', 'json'))]",
        "the module `psyflow.columns` is not in `sys.modules`",
    ),
    # What it gives up.
    pytest.param("os.setuid(65534)", "it runs as user 65534, not as 0", marks=ROOT),
    pytest.param("os.chroot(folder)", "its root directory is another one", marks=ROOT),
    # How it ends, while the process would go on.
    ("os._exit(5)", "Its process exited with code 5."),
    ("os._exit(133)", "Its process exited with code 133."),
    ("os.abort()", "Its process was killed by SIGABRT."),
    ("if os.fork(): os._exit(0)", "Its process exited with code 0."),
    ("os.kill(os.getpid(), 9)", "Its process was killed by SIGKILL."),
]


@pytest.mark.parametrize(("action", "reason"), COSTLY)
def test_what_breaks_the_process_costs_its_item_and_the_reason_names_it(
    job: MakeJob, action: str, reason: str
) -> None:
    run = job(40, hostile(action), pool_size=1)
    assert run.run() == 0
    failure = run.check_all_done({7: "crash"})[7]
    assert reason in failure.exception
    # It may be looked for once, and others again that were on the way with it.
    assert max(run.calls().values()) <= 3


# The one shard that is open may be none, if it is the first item of its worker.
CHANCY = [
    ("os.closerange(0, 65536)", "Bad file descriptor"),
    ("[os.close(fd) for fd in shards()]", "Bad file descriptor"),
    ("[os.dup2(os.open(folder / 'mine', 66), fd) for fd in shards()]", "Bad file descriptor"),
    ("os.closerange(3, 99); [os.open(folder / f'f{k}', 66) for k in range(50)]", "descriptor"),
    ("resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))", "limit"),
    ("resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))", "limit"),
    ("resource.setrlimit(resource.RLIMIT_AS, (1, 1))", ""),
    ("sys.settrace(broken)", "broken by an item"),
]


@pytest.mark.parametrize(("action", "reason"), CHANCY)
def test_what_breaks_the_process_costs_its_item_at_most(
    job: MakeJob, action: str, reason: str
) -> None:
    run = job(40, hostile(action), pool_size=1)
    assert run.run() == 0
    outcome = run.outcomes()[7]
    if outcome != {"y": 14}:
        run.check_all_done({7: "crash"})
        assert reason in outcome.exception
    else:
        run.check_all_done()


FREE = [
    "builtins.open = builtins.print = broken",
    "os.write = os.pwrite = os.fsync = os.fstat = os.close = os.lseek = os.ftruncate = broken",
    "json.dumps = pickle.dumps = zlib.crc32 = broken",
    "os.getpid = lambda: 1",
    "os._exit = lambda code: None",
    "time.monotonic = time.time = time.sleep = broken",
    "threading.Thread = threading.Lock = threading.Event = threading.current_thread = broken",
    "import traceback; traceback.print_exc = traceback.TracebackException = broken",
    "Loud()",
    "globals().__setitem__('kept', Loud())",
    "threading.Thread(target=threading.Event().wait).start()",
    "subprocess.Popen(['sleep', '600'], start_new_session=False)",
    "here = tempfile.mkdtemp(dir=folder); os.chdir(here); os.rmdir(here)",
    "os.umask(0o777)",
    "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "signal.setitimer(signal.ITIMER_REAL, 0.3)",
    "[signal.signal(number, broken) for number in (1, 2, 10, 12, 15, 17, 28)]",
    "sys.setrecursionlimit(80)",
    "gc.disable(); gc.set_debug(gc.DEBUG_UNCOLLECTABLE)",
    "os.environ.update(TZ='Asia/Kathmandu', LC_ALL='C'); time.tzset(); locale.setlocale(0, 'C')",
    "sys.stdout.close(); sys.stderr = None",
    "sys.stdout = sys.stderr = Loud()",
    "sys.excepthook = sys.unraisablehook = threading.excepthook = broken",
    "sys.path.clear(); sys.meta_path.clear(); importlib.invalidate_caches()",
    "os.fork()",
    "os.fork() or sys.exit(0)",
    "[os.lseek(fd, 0, 0) for fd in shards()]",
    "[os.lseek(fd, 10**6, 1) for fd in shards()]",
    "[os.write(fd, b'garbage' * 1000) for fd in shards()]",
    "[fcntl.flock(fd, fcntl.LOCK_EX) for fd in shards()]",
    "[os.set_inheritable(fd, True) for fd in shards()]; subprocess.Popen(['sleep', '600'])",
]


@pytest.mark.parametrize("action", FREE)
def test_what_others_need_not_suffer_from_costs_nothing(job: MakeJob, action: str) -> None:
    run = job(40, hostile(action), pool_size=1)
    assert run.run() == 0
    run.check_all_done()


def test_garbage_in_every_file_costs_no_more_than_what_it_covers(job: MakeJob) -> None:
    run = job(60, hostile("scribble()", "scribble()"), pool_size=2)
    assert run.run() == 0
    run.check_all_done()


def test_an_alarm_that_an_item_has_left_ends_no_other(job: MakeJob) -> None:
    source = """
    def execute(i):
        if i == 3:
            signal.alarm(1)
        if i > 3:
            time.sleep(0.4)
        return {"y": 2 * i}
    """
    run = job(7, source, pool_size=1)
    assert run.run() == 0
    run.check_all_done()


def test_many_hostile_items_of_several_kinds(job: MakeJob) -> None:
    source = f"""{IMPORTS}
def execute(i):
    if i % 10 == 3:
        sys.modules.clear()
    if i % 10 == 5:
        builtins.len = broken
    if i % 10 == 7:
        os._exit(1)
    if i % 10 == 9:
        raise ValueError("own fault")
    return {{"y": 2 * i}}
"""
    run = job(100, source, pool_size=3)
    assert run.run() == 0
    kinds = {3: "crash", 5: "crash", 7: "crash", 9: "error"}
    failures = run.check_all_done({i: kinds[i % 10] for i in range(100) if i % 10 in kinds})
    assert all("own fault" in failures[i].exception for i in failures if i % 10 == 9)
    assert all(no_more("len") in failures[i].exception for i in failures if i % 10 == 5)


def test_all_items_hostile(job: MakeJob) -> None:
    source = "import builtins\ndef execute(i):\n    builtins.len = max\n    return {'y': 2 * i}"
    run = job(12, source)
    assert run.run() == 0
    run.check_all_done(dict.fromkeys(range(12), "crash"))


def test_an_item_that_fails_for_what_another_has_done_gets_its_row(job: MakeJob) -> None:
    source = """
    import builtins
    def execute(i):
        if i == 5:
            builtins.open = None
        elif i > 5:
            open(os.devnull).close()
        return {"y": 2 * i}
    """
    run = job(40, source, pool_size=1)
    assert run.run() == 0
    run.check_all_done()


def test_hostile_items_are_tried_again_if_crashes_are(job: MakeJob) -> None:
    source = hostile("builtins.len = broken") + "\nfrom psyflow.work.prepared import Retries\n"
    run = job(20, source, pool_size=1)
    script = run.folder / "job.py"
    text = script.read_text()
    script.write_text(text.replace("prefix=", "retries=Retries(1, ['crash']),\n    prefix="))
    assert run.run() == 0
    attempts = [
        failure.attempt
        for reader in map(ShardReader, run.shards())
        for frame in reader.new_frames()
        if frame.kind == FAILURE
        for failure in reader.failures(frame)
    ]
    assert sorted(attempts) == [1, 2]


def test_a_folder_that_nobody_can_write_is_no_items_fault(job: MakeJob) -> None:
    source = """
    def execute(i):
        if i == 7:
            # The folder of the shards, for all.
            (folder / "out").rename(folder / "away")
            (folder / "out").write_text("no folder")
            os.closerange(0, 65536)
        return {"y": 2 * i}
    """
    run = job(20, source, pool_size=1)
    assert run.run() == SETUP_FAILED
    (run.folder / "out").unlink()
    (run.folder / "away").rename(run.folder / "out")
    outcomes = run.outcomes()
    assert all(outcomes[i] == {"y": 2 * i} for i in outcomes)


def test_a_child_that_comes_back_says_so(job: MakeJob) -> None:
    run = job(20, hostile("os.fork()"), pool_size=1)
    assert run.run() == 0
    assert "A process that an item has forked came back from it" in run.log.read_text()
    # Neither does it go on to the next items, or speak for the worker.
    assert [run.calls()[i] for i in range(20) if i != 7] == [1] * 19


def test_another_file_of_the_same_number_is_left_alone(job: MakeJob, tmp_path: Path) -> None:
    mine = "open(folder / 'mine', 'w').write('precious')"
    action = f"{mine}; [os.dup2(os.open(folder / 'mine', os.O_RDWR), fd) for fd in shards()]"
    # Each item is written by itself, so that item 7 is never the first one of a new worker, which
    # has no shard yet.
    one_by_one = "import psyflow.work.pacer\npsyflow.work.pacer.MAX_CLAIM = 1\n"
    run = job(40, one_by_one + hostile(action), pool_size=1)
    assert run.run() == 0
    run.check_all_done({7: "crash"})
    assert (run.folder / "mine").read_text() == "precious"
    assert re.search("Item 7 failed: After it, .*Bad file descriptor", run.log.read_text())
