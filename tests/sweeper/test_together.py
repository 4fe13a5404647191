"""Sweepers that threads and processes share, some of which are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from psyflow.sweeper import ParamSweeper, sweep
from psyflow.system.owner import Owner
from psyflow.work.keyclaims import PACKED
from tests.support.processes import eventually, script

# What it takes, holds and does is in its log, a line written at once for each step.
WORKER = """
    import os, random, sys
    from psyflow.sweeper import ParamSweeper

    folder, log, seed, n = sys.argv[1:]
    log = os.open(log, os.O_WRONLY | os.O_APPEND)
    draw = random.Random(int(seed))
    sweeper = ParamSweeper(folder, range(int(n)), takeover=True)

    def say(what, elements):
        os.write(log, "".join(f"{what} {os.getpid()} {e}\\n" for e in elements).encode())

    while taken := sweeper.get_next_batch(draw.choice([1, 1, 3])):
        say("took", taken)
        if draw.random() < 0.1:
            say("gives", taken)
            sweeper.cancel_batch(taken)
            continue
        for element in taken:
            sweeper.done(element)
            say("did", [element])
"""


def test_every_element_is_done_and_none_held_by_two_that_live(tmp_path: Path) -> None:  # E7 E14
    n, seed = 600, random.randrange(10**6)
    draw = random.Random(seed)
    folder, log = tmp_path / "sweeper", tmp_path / "log"
    log.touch()

    def start() -> subprocess.Popen[str]:
        return script(WORKER, folder, log, draw.randrange(10**6), n)

    workers, killed = [start() for _ in range(4)], set[int]()
    for part in (60, 150, 250, 350, 450):
        eventually(lambda part=part: log.read_bytes().count(b"did") > part)
        victim = workers.pop(draw.randrange(len(workers)))
        victim.kill()
        victim.wait()
        killed.add(victim.pid)
        workers.append(start())
    assert [worker.wait() for worker in workers] == [0] * 4, f"seed {seed}"
    check_log(log.read_text().splitlines(), n, killed, seed)
    sweeper = ParamSweeper(folder, range(n))
    sweeper.reset_inprogress(ended=True)
    assert sweeper.get_done() == set(range(n)) - set(sweeper.get_remaining())
    assert len(sweeper.get_done()) == n, f"seed {seed}"


def check_log(lines: list[str], n: int, killed: set[int], seed: int) -> None:
    """Check that an element was taken from nobody but who gave it back or was killed."""
    holders: dict[str, str] = {}
    for line in lines:
        what, pid, element = line.split()
        before = holders.get(element)
        if what == "took":
            assert before is None or int(before) in killed, f"{line}, held by {before}; {seed}"
            holders[element] = pid
        elif what == "gives":
            holders.pop(element)
    assert {int(element) for element in holders} == set(range(n))


def test_four_processes_share_elements(tmp_path: Path) -> None:  # E7
    taken = """
        import sys
        from psyflow.sweeper import ParamSweeper
        for element in ParamSweeper(sys.argv[1], range(int(sys.argv[2]))):
            print(element)
    """
    n = 4 * PACKED
    processes = [script(taken, tmp_path, n, stdout=subprocess.PIPE) for _ in range(4)]
    printed = [process.communicate()[0].split() for process in processes]
    assert sorted(int(e) for some in printed for e in some) == list(range(n))
    # What many small files would be is packed when a process ends.
    assert len(list((tmp_path / "claims").glob("*/0*"))) < 2 * PACKED


def test_threads_share_one_sweeper(tmp_path: Path) -> None:  # E7
    sweeper, taken = ParamSweeper(tmp_path, range(200)), Counter[int]()

    def work() -> None:
        for element in sweeper:
            taken[element] += 1
            sweeper.done(element)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == Counter(range(200))
    assert len(sweeper.get_done()) == 200


def test_a_fork_has_a_sweeper_of_its_own(tmp_path: Path) -> None:
    sweeper = ParamSweeper(tmp_path, range(5))
    mine = sweeper.get_next()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, in Python 3.12
        pid = os.fork()
    if pid == 0:
        theirs = sweeper.get_next()
        sweeper.done(mine)
        os._exit(theirs)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert list(sweeper.get_done()) == [0]
    (held,) = sweeper.get_holders()
    assert (held.owner.pid, held.has_ended, held.elements) == (pid, True, [1])
    assert sweeper.get_next() == 2


HOLDING = """
    import sys
    from psyflow.sweeper import ParamSweeper, sweep
    sweeper = ParamSweeper(sys.argv[1], sweep({"a": [1, 2, 3]}))
    print(sweeper.get_next()["a"], flush=True)
    sys.stdin.read()
"""


def test_elements_of_a_dead_process_are_seen_and_come_back(tmp_path: Path) -> None:
    process = script(HOLDING, tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    sweeper = ParamSweeper(tmp_path, sweep({"a": [1, 2, 3]}), takeover=True)
    (held,) = sweeper.get_holders()
    assert (held.owner.pid, held.has_ended, held.elements) == (process.pid, False, [{"a": 1}])
    assert str(held).endswith("which is alive, holds 1 elements")
    assert sweeper.reset_inprogress(ended=True) == []
    assert sweeper.get_next_batch(5) == [{"a": 2}, {"a": 3}]
    assert sweeper.get_next() is None

    process.kill()
    process.communicate()
    held = next(held for held in sweeper.get_holders() if held.owner != Owner.here())
    assert held.has_ended
    assert sweeper.get_next() == {"a": 1}
    assert len(list((tmp_path / "holders").iterdir())) == 1


@pytest.mark.parametrize("give_back", [ParamSweeper.cancel, ParamSweeper.skip])
def test_who_was_taken_for_dead_gives_back_nothing_of_others(
    tmp_path: Path, give_back: Callable[[ParamSweeper, int], None]
) -> None:
    sweepers = [ParamSweeper(tmp_path, range(2)) for _ in range(2)]
    mine = sweepers[0].get_next()
    sweepers[1].reset_inprogress()
    assert sweepers[1].get_next() == mine
    give_back(sweepers[0], mine)
    assert list(sweepers[1].get_inprogress()) == [mine]
    # Who never held it, may: a parent for its children, for example.
    ParamSweeper(tmp_path, range(2)).cancel(mine)
    assert list(sweepers[1].get_remaining()) == [0, 1]


SCRIPT = """\
import json, os, sys
from psyflow.sweeper import ParamSweeper, sweep

sweeper = ParamSweeper("state", sweep({"n": list(range(6))}))
sweeper.reset(reset_inprogress=True)
while comb := sweeper.get_next():
    with open("out.jsonl", "a") as file:
        print(json.dumps(comb), file=file)
    sweeper.done(comb)
    if comb["n"] == 3 and not os.path.exists("crashed"):
        open("crashed", "w").close()
        os.kill(os.getpid(), 9)
"""


def test_a_script_that_was_killed_goes_on_where_it_left_off(tmp_path: Path) -> None:  # E14
    (tmp_path / "study.py").write_text(SCRIPT)
    codes = [
        subprocess.run([sys.executable, "study.py"], cwd=tmp_path).returncode for _ in range(2)
    ]
    assert codes == [-signal.SIGKILL, 0]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [0, 1, 2, 3, 4, 5]
