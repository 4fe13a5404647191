"""The user's code is loaded once for all workers of a job, unless what that leaves forbids it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import pytest

from psyflow.system.exits import SETUP_FAILED, STOPPED
from tests.support.job import Job
from tests.support.processes import eventually, marked
from tests.support.study import Study

MakeJob = Callable[..., Job]

LOADS = """
import logging, mmap, multiprocessing, random, secrets, tempfile, threading, uuid
is_loaded = False

def load():
    global is_loaded
    is_loaded = True
    with open(folder / "loads", "a") as file:
        # To ask for one's number is to ask for what no fork may have, too.
        file.write(f"{{os.readlink('/proc/self')}}\\n")
    {loading}
    return prepare

def prepare(worker):
    {preparing}
    return Prepared(execute)

def execute(i):
    {executing}
    note(i)
    return {{"y": 2 * i}}
"""


def source(loading: str = "pass", preparing: str = "pass", executing: str = "pass") -> str:
    return LOADS.format(loading=loading, preparing=preparing, executing=executing)


def loads(run: Job) -> list[int]:
    return list(map(int, (run.folder / "loads").read_text().split()))


def test_code_is_loaded_once_for_all_workers_and_for_those_that_take_their_place(
    job: MakeJob,
) -> None:
    executing = "assert is_loaded\n    if i in (3, 7): os.kill(os.getpid(), signal.SIGKILL)"
    run = job(40, source("print('loading')", executing=executing), pool_size=3)
    assert run.run() == 0
    run.check_all_done({3: "crash", 7: "crash"})
    assert len(loads(run)) == 1
    assert run.log.read_text().splitlines().count("loading") == 1


def test_workers_are_children_of_the_supervisor_and_draw_other_random_numbers(
    job: MakeJob,
) -> None:
    executing = (
        "assert is_loaded; meet(3); "
        "note(f'{os.getppid()} {np.random.random()}'); return {'y': 2 * i}"
    )
    run = job(3, source("np.random.seed(1)", executing=executing), pool_size=3)
    assert run.run() == 0
    parents, numbers = zip(*map(str.split, run.notes()), strict=True)
    assert set(parents) == {str(run.pid)}
    assert len(set(numbers)) == 3


@pytest.mark.parametrize(
    "loading",
    [
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        "globals()['kept'] = open(__file__)",
        "globals()['kept'] = subprocess.Popen(['sleep', '1000'])",
        "globals()['kept'] = [np.random.default_rng()]",
        "globals()['kept'] = random.Random()",
        "globals()['kept'] = mmap.mmap(-1, 8)",
        "globals()['kept'] = multiprocessing.Lock()",
        "globals()['kept'] = tempfile.mkdtemp(dir=folder)",
        "globals()['kept'] = f'/tmp/{os.getpid()}'",
        "globals()['kept'] = f'/tmp/{uuid.uuid4()}'",
        "globals()['kept'] = f'/tmp/{secrets.token_hex()}'",
        "globals()['kept'] = f'/tmp/{random.random()}'",
        "globals()['kept'] = f'/tmp/{np.random.random()}'",
    ],
)
def test_each_worker_loads_the_code_itself_if_a_fork_would_not_do(
    job: MakeJob, loading: str
) -> None:
    run = job(10, source(loading, executing="assert not is_loaded"))
    assert run.run() == 0
    run.check_all_done()


@pytest.mark.parametrize(
    "loading",
    [
        "random.seed(3); globals()['kept'] = random.random()",
        "np.random.seed(3); globals()['kept'] = np.random.random()",
        "import uuid, http.client, concurrent.futures, sqlite3",
        "logging.warning('loading'); globals()['kept'] = np.random.default_rng(3).random()",
    ],
)
def test_what_a_fork_may_have_keeps_no_code_from_being_loaded_once(
    job: MakeJob, loading: str
) -> None:
    run = job(10, source(loading, executing="assert is_loaded"))
    assert run.run() == 0
    run.check_all_done()


def test_functions_that_are_watched_while_code_is_loaded_are_theirs_again(study: Study) -> None:
    study.task(
        """
import os, pickle, random
from os import getpid, urandom
from random import seed as sow
pspace = Param(x=range(2))
pool_size = 2
def execute(x):
    pickle.dumps([getpid, urandom, sow])
    return {"y": (getpid, urandom, sow) == (os.getpid, os.urandom, random.seed)}
"""
    )
    study.psy("run")
    assert all(study.load()["y"])


def test_workers_name_no_file_alike(study: Study) -> None:
    study.task(
        """
import os, uuid
MINE = [Path(__file__).parent / f"{name}.scratch" for name in (os.getpid(), uuid.uuid4())]
pspace = Param(x=range(40))
pool_size = 2
def execute(x):
    for file in MINE:
        file.write_text(str(x))
    time.sleep(0.01)
    return {"y": {file.read_text() for file in MINE} == {str(x)}}
"""
    )
    study.psy("run")
    assert all(study.load()["y"])


def test_what_loading_raises_is_told_once(job: MakeJob) -> None:
    run = job(10, source("raise ValueError('no luck')"))
    assert run.run() == SETUP_FAILED
    told = run.log.read_text()
    assert told.count("ValueError: no luck") == 1
    assert told.endswith(f"Worker 0 gave up (exit code {SETUP_FAILED}).\n")


def test_a_death_while_loading_is_told_as_that_of_workers(job: MakeJob) -> None:
    dies = "os.kill(os.getpid(), signal.SIGSEGV)"
    run = job(10, source(dies, preparing=dies))
    assert run.run() == SETUP_FAILED
    assert re.search(r"Worker \d was killed by SIGSEGV between two items.", run.log.read_text())


def test_workers_load_the_code_themselves_when_the_loader_was_killed(job: MakeJob) -> None:
    executing = """if i == 0:
        wait_for((folder / "go").exists)
        os.kill(os.getpid(), signal.SIGKILL)"""
    run = job(10, source(executing=executing)).start()
    eventually(lambda: len(run.notes()) == 9)
    os.kill(loads(run)[0], signal.SIGKILL)
    (run.folder / "go").touch()
    assert run.wait() == 0
    run.check_all_done({0: "crash"})
    eventually(lambda: not marked(run.mark))


def test_workers_load_the_code_themselves_when_the_loader_does_not_answer(job: MakeJob) -> None:
    executing = """if i == 0:
        os.kill(loader, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)"""
    loading = "globals()['loader'] = int(os.readlink('/proc/self'))"
    patience = "import psyflow.work.loader\npsyflow.work.loader.ANSWER_SECONDS = 0.2\n"
    run = job(10, patience + source(loading, executing=executing))
    assert run.run() == 0
    run.check_all_done({0: "crash"})
    eventually(lambda: not marked(run.mark))


def test_a_job_can_be_stopped_while_its_code_is_loaded(job: MakeJob) -> None:
    run = job(10, source("time.sleep(1000)")).start()
    eventually((run.folder / "loads").exists)
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait() == STOPPED
    eventually(lambda: not marked(run.mark))


def test_nothing_is_left_of_a_supervisor_that_is_killed(job: MakeJob) -> None:
    executing = "subprocess.Popen(['sleep', '1000']); note(i); time.sleep(1000)"
    run = job(10, source(executing=executing)).start()
    eventually(lambda: len(run.notes()) == 2)
    os.kill(run.pid, signal.SIGKILL)
    eventually(lambda: not marked(run.mark))


def test_what_items_leave_to_nobody_is_let_go_of(job: MakeJob) -> None:
    executing = """subprocess.run(["sh", "-c", "true & true &"])
    def is_zombie(path):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            return False
        return state == "Z" and int(parent) == os.getppid()
    # Those of the last items are seen soon, as a child's end wakes the supervisor.
    if i == 19: wait_for(lambda: not any(map(is_zombie, Path("/proc").glob("[0-9]*/stat"))))"""
    run = job(20, source(executing=executing))
    assert run.run() == 0
    run.check_all_done()


def test_psy_run_imports_the_task_once_for_all_workers(study: Study) -> None:
    study.task(
        """
import os
note(loaded=os.readlink("/proc/self"))
pspace = Param(x=range(12))
pool_size = 3
max_tasks_per_child = 1
def execute(x):
    return {"y": x, "pid": os.getpid()}
"""
    )
    study.psy("run")
    table = study.load()
    assert len(set(table["pid"])) == 12
    # psy itself loads it, too.
    assert len(set(study.calls())) == 2
