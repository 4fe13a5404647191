"""Several processes with one file: maps that go into it, and appends to it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow import Param, map_pspace_hdd_backed
from psyflow.exceptions import RunHeldError
from psyflow.store import store_for
from psyflow.system.files import TEMPORARY_MARK
from psyflow.utils.example import square
from tests.durability.images import mounted
from tests.durability.requirements import need_tmpfs
from tests.support.processes import eventually, script

EXTENSIONS = [".pkl", ".npz", ".h5"]


def names(folder: Path) -> set[str]:
    """Return what is in a folder, but for the new files of writers that were killed."""
    # What says which code has made a file is there for good.
    paths = [path for path in folder.iterdir() if not path.name.endswith(".code.json")]
    return {path.name for path in paths if not path.name.startswith(TEMPORARY_MARK)}


def rows(path: Path) -> list[tuple[int, int]]:
    columns = store_for(path).load(path)
    return sorted(zip(map(int, columns["x"]), map(int, columns["y"]), strict=True))


# --- maps ----------------------------------------------------------------------------------

MAPS = """
    import json, sys, time
    from pathlib import Path
    from psyflow import Param, map_pspace_hdd_backed
    from psyflow.exceptions import RunHeldError

    closed = Path(sys.argv[1])

    def execute(x):
        time.sleep(0.001)
        while closed.exists():
            time.sleep(0.01)
        return {"y": x * x}

    for line in sys.stdin:
        file, psets = json.loads(line)
        try:
            found = map_pspace_hdd_backed(execute, Param(x=psets), file, pool_size=2)
        except RunHeldError as error:
            print(json.dumps(str(error)), flush=True)
        else:
            print(json.dumps(len(found["x"])), flush=True)
"""


class Mapper:
    """A process that maps what it is told to."""

    def __init__(self, closed: Path) -> None:
        # While there is a file `closed`, no item comes to its end.
        self.process = script(MAPS, closed, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, file: Path, psets: range) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(file), list(psets)]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> int | str:
        assert self.process.stdout is not None
        told: int | str = json.loads(self.process.stdout.readline())
        return told


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    return tmp_path / "closed"


@pytest.fixture
def mappers(closed: Path) -> Iterator[list[Mapper]]:
    mappers = [Mapper(closed), Mapper(closed)]
    yield mappers
    for mapper in mappers:
        mapper.process.kill()
        mapper.process.communicate()


def test_two_maps_into_one_file_many_times(
    tmp_path: Path, mappers: list[Mapper], closed: Path
) -> None:
    n_refused = 0
    for number in range(12):
        file = tmp_path / f"{number}{EXTENSIONS[number % 3]}"
        spaces = [range(30), range(10, 40)]
        is_first_slow = number % 6 == 0
        if is_first_slow:
            closed.touch()
        mappers[0].tell(file, spaces[0])
        if is_first_slow:
            eventually((tmp_path / f"{file.name}.run" / "hold" / "00000000").exists)
        mappers[1].tell(file, spaces[1])
        answers = [mappers[1].answer()] if is_first_slow else []
        closed.unlink(missing_ok=True)
        answers = [mappers[0].answer(), *(answers or [mappers[1].answer()])]
        for answer, mapper, other, space in zip(
            answers, mappers, mappers[::-1], spaces, strict=True
        ):
            if isinstance(answer, str):
                n_refused += 1
                assert str(file) in answer and f"process {other.process.pid} on " in answer
                mapper.tell(file, space)
                assert mapper.answer() == 40
        assert not all(isinstance(answer, str) for answer in answers)
        assert rows(file) == [(x, x * x) for x in range(40)]
        assert not [name for name in names(tmp_path) if name.endswith((".run", ".appending"))]
    assert n_refused >= 2


def test_a_map_within_a_map_into_one_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "squares.pkl"

    def nested(x: int) -> dict[str, int]:
        with pytest.raises(RunHeldError, match=rf"{file} is held by process {os.getppid()} on "):
            map_pspace_hdd_backed(square, Param(x=[x]), file)
        return square(x)

    map_pspace_hdd_backed(nested, Param(x=[1, 2]), file)
    assert rows(file) == [(1, 1), (2, 4)]
    assert names(tmp_path) == {"squares.pkl"}


KILLED_AT = """
    import os, signal, sys
    from pathlib import Path

    def die_at(number, folder, pid):
        events = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link"}
        counted = iter(range(10**9))

        def hook(event, arguments):
            if event not in events or os.getpid() != pid:
                return
            # A whole folder is removed by names that are relative to it.
            if str(arguments[0]).startswith(folder) or event in ("os.remove", "os.rmdir"):
                if next(counted) == number:
                    os.kill(pid, signal.SIGKILL)

        sys.addaudithook(hook)

    def in_a_child(work, number=-1):
        # None if it was killed
        if (child := os.fork()) == 0:
            try:
                if number >= 0:
                    die_at(number, str(folder), os.getpid())
                work()
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), status
        return status == 0

    folder, file = Path(sys.argv[1]), Path(sys.argv[1], "file" + sys.argv[2])
    from psyflow.store import store_for
    store = store_for(file)
    store.warm_up()
    record = file.name + ".code.json"
    names = lambda: [p.name for p in folder.iterdir()
                     if not p.name.startswith(".psytmp-") and p.name != record]

    def each_moment(first, second, check):
        for number in range(10**9):
            is_over = in_a_child(first, number)
            in_a_child(second)
            in_a_child(check)
            assert names() == [file.name], (number, names())
            if is_over:
                print(number)
                return
            file.unlink()
"""

KILLED_MAP = """
    from psyflow import Param, map_pspace_hdd_backed

    def map_(psets):
        map_pspace_hdd_backed(lambda x: {"y": x * x}, Param(x=psets), file, return_data=False)

    def check():
        found = store.load(file)
        pairs = sorted(zip(map(int, found["x"]), map(int, found["y"])))
        missing = {(x, x * x) for x in range(3, 9)} - set(pairs)
        assert not missing and all(y == x * x for x, y in pairs), pairs
        assert len(pairs) == len(set(pairs)), pairs

    each_moment(lambda: map_(range(6)), lambda: map_(range(3, 9)), check)
"""


def test_a_map_killed_at_any_moment_is_gone_on_with(tmp_path: Path) -> None:
    # The next call asks for another space, whose items have other numbers.
    assert killed_at_each_moment(KILLED_MAP, tmp_path, ".npz") > 20


def killed_at_each_moment(source: str, folder: Path, ext: str) -> int:
    process = script(
        KILLED_AT + source, folder, ext, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return int(out)


ORPHAN = """
    import os, pickle, sys
    from pathlib import Path
    import numpy as np
    from psyflow import Param
    from psyflow.work.claims import ClaimLog
    from psyflow.system.owner import Owner
    from psyflow.outcomes.records import Rows
    from psyflow.outcomes.shard import ShardWriter

    work = Path(sys.argv[1])
    work.mkdir(parents=True)
    (work / "pspace.pkl").write_bytes(pickle.dumps(Param(x=[1, 2])))
    ClaimLog(work / "claims", 2).claim(Owner.here(), "map.0-0.rows", lambda remaining: 1)
    print("claimed", flush=True)
    sys.stdin.read()
    one = np.ones(1)
    rows = Rows(np.zeros(1, np.int64), {"y": [-1]}, one, one, one.astype(np.int16), "here", 7)
    with ShardWriter(work / "map.0-0.rows") as writer:
        writer.write_rows(rows)
"""


@pytest.mark.parametrize("where", ["0a1b2c3d", "."], ids=["now", "first versions"])
def test_workers_that_outlive_their_call_are_waited_for(
    tmp_path: Path, mappers: list[Mapper], where: str
) -> None:
    file = tmp_path / "all.pkl"
    work = tmp_path / "all.pkl.run" / where
    orphan = script(ORPHAN, work, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    assert orphan.stdout.readline() == "claimed\n"
    mappers[0].tell(file, range(1, 3))
    eventually((tmp_path / "all.pkl.run" / "hold" / "00000000").exists)
    orphan.communicate("")
    assert mappers[0].answer() == 2
    assert rows(file) == [(1, -1), (2, 4)]
    assert names(tmp_path) == {"all.pkl"}


BLOCKED = """
    import sys
    from psyflow import Param, map_pspace_hdd_backed

    def execute(x):
        open(sys.argv[2]).read()
        return {"y": x * x}

    map_pspace_hdd_backed(execute, Param(x=[1]), sys.argv[1])
"""


def test_a_map_in_a_copy_does_not_wait_for_that_in_the_original(tmp_path: Path) -> None:
    original, copy, fifo = tmp_path / "original", tmp_path / "copy", tmp_path / "fifo"
    original.mkdir()
    os.mkfifo(fifo)
    process = script(BLOCKED, original / "all.pkl", fifo)
    try:
        eventually(lambda: list(original.glob("all.pkl.run/*/claims/00000000")))
        shutil.copytree(original, copy)
        map_pspace_hdd_backed(square, Param(x=[1, 2]), copy / "all.pkl")
        assert rows(copy / "all.pkl") == [(1, 1), (2, 4)]
        assert names(copy) == {"all.pkl"}
        fifo.write_text("")
        assert process.wait(180) == 0
    finally:
        process.kill()
    assert rows(original / "all.pkl") == [(1, 1)]
    assert names(original) == {"all.pkl"}


def test_a_map_of_nothing_new_needs_no_right_to_write(tmp_path: Path) -> None:
    need_tmpfs(tmp_path)
    file = tmp_path / "all.npz"
    with mounted("-t", "tmpfs", "tmpfs", at=tmp_path):
        map_pspace_hdd_backed(square, Param(x=[1, 2]), file)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        found = map_pspace_hdd_backed(square, Param(x=[1, 2]), file)
        assert found is not None and list(found["y"]) == [1, 4]
        with pytest.raises(OSError, match="Read-only"):
            map_pspace_hdd_backed(square, Param(x=[1, 2, 3]), file)


# --- appends -------------------------------------------------------------------------------

APPENDS = """
    import sys
    from psyflow.store import NpzStore, Store, store_for

    class Plugin(Store):
        ext = ".npz"

        def save(self, filename, data):
            NpzStore().save(filename, data)

        def load(self, filename, row=None):
            return NpzStore().load(filename, row)

    file, who, times, as_plugin = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    store = Plugin() if as_plugin == "True" else store_for(file)
    for number in range(times):
        store.append(file, {"who": [who], "number": [number]})
        print(number, flush=True)
"""
KINDS = [*((ext, False) for ext in EXTENSIONS), (".npz", True)]


def appender(file: Path, who: int, times: int, as_plugin: bool) -> subprocess.Popen[str]:
    return script(APPENDS, file, who, times, as_plugin, stdout=subprocess.PIPE)


def appended(file: Path) -> list[tuple[int, int]]:
    columns = store_for(file).load(file)
    return sorted(zip(map(int, columns["who"]), map(int, columns["number"]), strict=True))


@pytest.mark.parametrize(("ext", "as_plugin"), KINDS)
def test_no_append_of_several_processes_is_lost(tmp_path: Path, ext: str, as_plugin: bool) -> None:
    file = tmp_path / f"all{ext}"
    processes = [appender(file, who, 25, as_plugin) for who in range(3)]
    for process in processes:
        process.communicate(timeout=600)
        assert process.returncode == 0
    assert appended(file) == [(who, number) for who in range(3) for number in range(25)]
    assert names(tmp_path) == {file.name}


@pytest.mark.parametrize(("ext", "as_plugin"), KINDS)
def test_appends_go_on_when_others_are_killed(tmp_path: Path, ext: str, as_plugin: bool) -> None:
    file, chance = tmp_path / f"all{ext}", random.Random(7)
    steady = appender(file, 0, 60, as_plugin)
    done = {}
    for who in range(1, 7):
        process = appender(file, who, 10**6, as_plugin)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 12)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        done[who] = len(process.communicate()[0].splitlines())
    steady.communicate(timeout=600)
    assert steady.returncode == 0
    found = appended(file)
    assert found == sorted(set(found))
    assert [number for who, number in found if who == 0] == list(range(60))
    for who in done:
        numbers = [number for one, number in found if one == who]
        assert numbers == list(range(len(numbers))) and len(numbers) >= done[who]
    store_for(file).append(file, {"who": [9], "number": [0]})
    assert names(tmp_path) == {file.name}


KILLED_APPEND = """
    def append(x):
        store.append(file, {"x": [x]})

    def check():
        assert list(map(int, store.load(file)["x"])) in ([0, 2], [0, 1, 2])

    def first():
        if not file.exists():
            append(0)
        append(1)

    def both():
        if not file.exists():
            append(0)
        append(2)

    each_moment(first, both, check)
"""


@pytest.mark.parametrize("ext", EXTENSIONS)
def test_an_append_killed_at_any_moment_stops_nobody(tmp_path: Path, ext: str) -> None:
    assert killed_at_each_moment(KILLED_APPEND, tmp_path, ext) > 10
