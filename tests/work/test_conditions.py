"""What an item does to the conditions under which items run ends with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import psyflow
from psyflow.outcomes.shard import ROWS, ShardReader
from tests.support.job import Job
from tests.support.processes import eventually

MakeJob = Callable[..., Job]

SOURCE = """
import ctypes, decimal, gc, io, locale, logging, resource, socket, tempfile, time, warnings

small, large, smallest = 2.0**-54, 3 * 2.0**-54, 5e-310
libm = ctypes.CDLL(None)
# How fenv.h calls rounding down, up and to 0, by which machine it is.
directions = {"x86_64": (0x400, 0x800, 0xC00), "aarch64": (0x800000, 0x400000, 0xC00000)}

def rounded(direction):
    for name, numbers in directions.items():
        if os.uname().machine == name:
            assert libm.fesetround(numbers[direction]) == 0

def smallest_are_0():
    # As a library does when it is loaded that was compiled with -ffast-math.
    if os.uname().machine == "x86_64":
        environment = ctypes.create_string_buffer(512)
        libm.fegetenv(environment)
        place = ctypes.c_uint32.from_buffer(environment, 28)
        place.value |= 0x8040
        libm.fesetenv(environment)

def all_there_is():
    return {
        "folder": os.getcwd(),
        "environ": sorted(os.environ.items()),
        "handlers": [str(signal.getsignal(n)) for n in (1, 2, 10, 12, 14, 15, 28, 40)],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "umask": [os.umask(0o22), os.umask(0o22)],
        "limit": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "path": [sys.path[:], sys.argv[:], len(sys.meta_path), len(sys.path_hooks)],
        "filters": warnings.filters[:],
        "numbers": [np.geterr(), np.geterrcall(), str(np.get_printoptions())],
        "floats": [1.0 + small, 1.0 + large, -1.0 - small, smallest * 1.0],
        "decimal": str(1 / decimal.Decimal(7)) + str(decimal.getcontext().traps),
        "locale": [locale.setlocale(locale.LC_ALL), time.tzname],
        "gc": [gc.isenabled(), gc.get_threshold()],
        "others": [socket.getdefaulttimeout(), sys.getswitchinterval()],
        "streams": [str(s) for s in (sys.stdin, sys.stdout, sys.stderr)],
        "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
        "hooks": [str(sys.excepthook), str(sys.displayhook), str(sys.gettrace())],
        "loggers": [
            (str(log), str(log.handlers), log.propagate, log.isEnabledFor(logging.WARNING))
            for log in map(logging.getLogger, (None, "mine", "others"))
        ],
        "limits": [resource.getrlimit(n) for n in range(9)],
        "alarms": [signal.getitimer(n) for n in range(3)],
        "processors": os.sched_getaffinity(0),
    }

def step_aside():
    here = tempfile.mkdtemp(dir=folder)
    os.chdir(here)
    os.rmdir(here)

def close_and_step_aside():
    os.chdir("/")
    for fd in os.listdir("/proc/self/fd"):
        if os.path.islink(path := f"/proc/self/fd/{fd}") and os.readlink(path) == str(folder):
            os.dup2(os.open("/usr", os.O_RDONLY), int(fd))

def no_environ():
    os.environ = {"only": "this"}

def dirty_decimal():
    decimal.getcontext().prec = 5
    decimal.getcontext().traps[decimal.Inexact] = False

def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])

def closed():
    for fd in range(3):
        os.close(fd)
    open(folder / "instead", "w")

def redirected():
    fd = os.open(folder / "instead", os.O_WRONLY | os.O_CREAT)
    for place in (0, 1, 2):
        os.dup2(fd, place)

def own_streams():
    sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), None

def loggers():
    logging.basicConfig(level="DEBUG", filename=folder / "logged")
    mine = logging.getLogger("mine")
    mine.addHandler(logging.StreamHandler())
    mine.propagate = False

def alarms():
    for number in range(3):
        signal.setitimer(number, 100)

def limit(number, soft):
    resource.setrlimit(number, (soft, resource.getrlimit(number)[1]))

def filters():
    warnings.filters = [("error", None, Warning, None, 0)]

actions = [
    lambda: os.chdir("/"),
    step_aside,
    close_and_step_aside,
    lambda: os.environ.update(FOO="bar", HOME="/nowhere"),
    lambda: os.environ.pop("PATH"),
    lambda: os.environ.clear(),
    no_environ,
    lambda: (os.environ.update(TZ="Asia/Kathmandu"), time.tzset()),
    lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    lambda: [signal.signal(n, print) for n in (1, 2, 10, 12, 14, 15, 28, 40)],
    blocked,
    lambda: os.umask(0o77),
    lambda: sys.setrecursionlimit(5000),
    lambda: sys.set_int_max_str_digits(0),
    lambda: sys.path.append("/nowhere"),
    lambda: setattr(sys, "path", ["/nowhere"]),
    lambda: (sys.meta_path.clear(), sys.path_hooks.clear(), sys.argv.clear()),
    lambda: warnings.simplefilter("error"),
    lambda: warnings.resetwarnings(),
    filters,
    lambda: np.seterr(all="raise"),
    lambda: np.seterrcall(print),
    lambda: np.set_printoptions(precision=2),
    lambda: rounded(0),
    lambda: rounded(1),
    lambda: rounded(2),
    smallest_are_0,
    dirty_decimal,
    lambda: decimal.setcontext(decimal.Context(prec=3)),
    lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    lambda: (gc.disable(), gc.set_threshold(5)),
    lambda: (socket.setdefaulttimeout(3), sys.setswitchinterval(0.5)),
    closed,
    redirected,
    own_streams,
    loggers,
    lambda: logging.disable(),
    lambda: logging.getLogger("others").setLevel("ERROR"),
    lambda: (setattr(sys, "excepthook", print), setattr(sys, "displayhook", print)),
    lambda: sys.settrace(lambda *args: None),
    lambda: limit(resource.RLIMIT_NOFILE, 77),
    lambda: limit(resource.RLIMIT_STACK, 1 << 22),
    lambda: signal.alarm(100),
    alarms,
    lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1]),
]
os.chdir(folder)
os.umask(0o22)
"""


def seen_by(run: Job) -> list[tuple[int, str]]:
    """Return what each item has seen, at its last attempt."""
    seen = {}
    for reader in map(ShardReader, run.shards()):
        for frame in reader.new_frames():
            if frame.kind == ROWS:
                rows = reader.rows(frame)
                seen |= dict(zip(rows.items.tolist(), rows.columns["seen"], strict=True))
            else:
                for failure in reader.failures(frame):
                    seen[failure.item] = failure.exception.partition("SEEN ")[2].strip()
    assert sorted(seen) == list(range(run.n_items)), run.log.read_text()[-2000:]
    return sorted(seen.items())


@pytest.mark.parametrize("end", ["returns", "raises", "skips", "returns slowly", "raises slowly"])
def test_the_next_item_finds_each_condition_as_it_was(job: MakeJob, end: str) -> None:
    source = f"""{SOURCE}
from psyflow import Skip
def execute(i):
    # The item before has changed something, if this one is even.
    seen = repr(all_there_is())
    if i % 2:
        actions[i // 2]()
        if {"slowly" in end}:
            time.sleep(0.002)
        if {"raises" in end}:
            raise ValueError("SEEN " + seen)
        if {"skips" in end}:
            raise Skip("SEEN " + seen)
    return {{"seen": seen}}
"""
    run = job(2 * 45 + 1, source, pool_size=1)
    assert run.run() == 0
    (_, first), *others = seen_by(run)
    for item, seen in others:
        assert seen == first, item


def test_an_item_that_is_tried_again_finds_them_too(job: MakeJob) -> None:
    source = f"""{SOURCE}
from psyflow.work.prepared import Retries
def execute(i):
    seen = repr(all_there_is())
    note(i)
    if i % 2 and Path(folder, "notes").read_text().splitlines().count(str(i)) == 1:
        actions[i // 2]()
        raise ValueError("SEEN " + seen)
    return {{"seen": seen}}
"""
    run = job(9, source, pool_size=1)
    script = run.folder / "job.py"
    text = script.read_text()
    script.write_text(text.replace("prefix=", "retries=Retries(1, ['error']),\n    prefix="))
    assert run.run() == 0
    assert len({seen for _, seen in seen_by(run)}) == 1
    assert run.calls() == {i: 1 + i % 2 for i in range(9)}


def test_what_imports_set_once_stays(job: MakeJob) -> None:
    source = """
    import warnings
    (folder / "lazy.py").write_text('''if True:
        import os, signal, warnings
        os.environ["LAZY"] = "1"
        signal.signal(signal.SIGUSR2, print)
        warnings.simplefilter("ignore")
    ''')
    def execute(i):
        before = os.getcwd()
        if i == 4:
            os.chdir("/")
        if i > 3:
            import lazy
            import json
        handler = signal.getsignal(signal.SIGUSR2) is print
        if i == 9:
            os.environ["OWN"] = "1"
        filters = warnings.filters[0][0]
        names = [os.environ.get(name) for name in ("LAZY", "OWN")]
        return {"seen": repr((before, handler, filters, *names))}
    """
    run = job(40, source, pool_size=1)
    assert run.run() == 0
    seen = [eval(text) for _, text in seen_by(run)]
    assert len({before for before, *_ in seen}) == 1
    assert all(rest == [True, "ignore", "1", None] for _, *rest in seen[4:9] + seen[10:])


def test_what_took_no_time_is_written_while_another_item_takes_long(job: MakeJob) -> None:
    # Many enough that they are looked after together.
    n_quick = 5000
    run = job(
        n_quick + 1,
        f"""
    def execute(i):
        if i == {n_quick}:
            time.sleep(600)
        return {{"y": 2 * i}}
    """,
        pool_size=1,
    )
    run.start()
    eventually(lambda: len(run.outcomes()) == n_quick)
    run.clean_up()
    assert run.outcomes() == {i: {"y": 2 * i} for i in range(n_quick)}


@pytest.mark.parametrize("pool_size", [1, 3])
def test_an_alarm_of_one_item_does_not_end_another(job: MakeJob, pool_size: int) -> None:
    source = """
    def execute(i):
        if i % 2:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        else:
            time.sleep(0.2)
        return {"y": 2 * i}
    """
    run = job(9, source, pool_size=pool_size)
    assert run.run() == 0
    run.check_all_done()


def test_what_cannot_be_put_back_has_the_worker_replaced(job: MakeJob) -> None:
    source = """
    def execute(i):
        note(i)
        print("hello")
        if i == 3:
            sys.stdout.close()
        return {"y": 2 * i}
    """
    run = job(9, source, pool_size=1)
    assert run.run() == 0
    run.check_all_done()
    assert run.calls() == dict.fromkeys(range(9), 1)
    assert "is replaced. An item has changed a standard stream for good." in run.log.read_text()


def _close_stdout(x: int) -> dict[str, int]:
    print("hello")
    if x == 3:
        sys.stdout.close()
    return {"pid": os.getpid()}


def test_a_map_goes_on_in_another_process_where_something_cannot_be_put_back() -> None:
    psets = [{"x": x} for x in range(9)]
    table = psyflow.map(_close_stdout, psets, backend="processes", pool_size=1, progress=False)
    pids = [*table["pid"]]
    assert pids == [pids[0]] * 4 + [pids[4]] * 5
    assert pids[0] != pids[4]


def _step_aside(x: int) -> dict[str, str]:
    seen = str(Path.cwd())
    os.chdir("/")
    return {"seen": seen}


@pytest.mark.parametrize(("engine", "is_here"), [("processes", False), ("serial", True)])
def test_a_map_leaves_the_process_of_the_script_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, is_here: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    table = psyflow.map(
        _step_aside, [{"x": x} for x in range(9)], backend=engine, pool_size=1, progress=False
    )
    assert {*table["seen"]} == {str(tmp_path), "/"} if is_here else {str(tmp_path)}
    assert Path.cwd() == (Path("/") if is_here else tmp_path)
