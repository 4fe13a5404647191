"""What this user's own `psy` wrote: it is loaded whatever it holds, as long as it is known."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace as Thing

import pytest

import psyflow
from psyflow import Param
from psyflow.exceptions import DamagedFileError, UnmakeableValuesError, UntrustedFileError
from psyflow.record.frozen import FrozenSpace
from psyflow.record.plan import Plan
from psyflow.system.trust import seal, trusting, unsealed
from tests.support.place import Place

# A class that everybody can import, and whose values are not plain.
THINGS = """
from types import SimpleNamespace as Thing
from psyflow import Param
pspace = Param(x=[Thing(n=n) for n in range({n})])

def execute(x):
    if x.n == {failing}:
        raise ValueError
    return {{"y": Thing(m=x.n ** 2)}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path / "study")
    made.folder.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return made


def load(place: Place, *, trust: bool = False) -> list[int]:
    columns = psyflow.load("t", place.folder / "psy-tasks", place.work, trust=trust)
    assert all(type(value) is Thing for column in columns.values() for value in column)
    return [value.m for value in columns["y"]]


@pytest.mark.parametrize(("failing", "rows"), [(None, [0, 1, 4]), (1, [0, 4])])
def test_values_of_any_class_are_loaded_from_a_run_of_ones_own(
    place: Place, failing: int | None, rows: list[int]
) -> None:
    place.task("t", THINGS.format(n=3, failing=failing))
    assert place.program("run", "t").returncode == (failing is not None)
    assert load(place) == rows
    merged = place.program("merge", "psy-work/t", "all.pkl")
    assert merged.stderr == f"all.pkl has {len(rows)} rows.\n"
    assert len(psyflow.load(place.folder / "all.pkl")["y"]) == len(rows)
    # Extended: the space of before is needed to tell what is done.
    place.task("t", THINGS.format(n=4, failing=None))
    assert place.program("run", "-c", "t").returncode == 0
    assert load(place) == [0, 1, 4, 9]


@pytest.mark.parametrize("failing", [None, 1])
def test_a_copy_is_not_known_and_a_word_makes_up_for_it(place: Place, failing: int | None) -> None:
    place.task("t", THINGS.format(n=3, failing=failing))
    place.program("run", "t")
    copy = Place(place.folder.with_name("copy"))
    shutil.copytree(place.folder, copy.folder)
    moved = place.folder.rename(place.folder.with_name("moved"))
    for path in copy.work.rglob("plan.json"):
        path.write_text(path.read_text().replace(str(place.folder), str(copy.folder)))
    with pytest.raises(UntrustedFileError, match=r"types\.SimpleNamespace.*trust=True"):
        load(copy)
    done = copy.psy("merge", "psy-work/t", "all.pkl")
    assert (done.returncode, "--trust" in done.stderr) == (3, True)
    assert copy.psy("merge", "--trust", "psy-work/t", "all.pkl").returncode == 0
    assert load(copy, trust=True) == ([0, 1, 4] if failing is None else [0, 4])
    for path in moved.rglob("plan.json"):
        path.write_text(path.read_text().replace(str(place.folder), str(moved)))
    assert len(load(Place(moved))) > 1


def test_without_a_place_for_the_key_everything_runs_and_later_has_to_be_trusted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/none")
    place.task("t", THINGS.format(n=3, failing=None))
    ran = place.program("run", "t")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert place.program("status", "t").returncode == 0
    with pytest.raises(UntrustedFileError):
        load(place)
    assert load(place, trust=True) == [0, 1, 4]


def test_items_of_a_run_that_is_not_known_do_not_run_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.task("t", THINGS.format(n=3, failing=1))
    place.program("run", "t")
    monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "another"))
    place.task("t", THINGS.format(n=4, failing=1))
    shards = sorted((place.work / "t/out").iterdir())
    refused = place.program("run", "-c", "t")
    assert (refused.returncode, "--trust" in refused.stderr) == (3, True)
    assert sorted((place.work / "t/out").iterdir()) == shards
    assert place.program("status", "--trust", "t").stdout.startswith("t:\n  2 out of 4")
    place.task("t", THINGS.format(n=4, failing=None))
    assert place.program("run", "-c", "--trust", "t").returncode == 0
    log = (place.work / "t/t:split.log").read_text()
    assert "2 items in" in log.splitlines()[-1]


def test_a_job_trusts_the_folder_that_its_code_is_from(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.task("t", THINGS.format(n=3, failing=1))
    place.program("run", "t")
    monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "of another host"))
    (plan,) = (place.work / "t/plans").glob("*/plan.json")
    job = [sys.executable, "-m", "psyflow.job", "merge", str(plan)]
    merged = subprocess.run(job, capture_output=True, text=True, check=False)
    assert "2 of 3 rows" in merged.stdout, merged.stderr


def test_a_task_file_loads_the_files_that_it_names(place: Place) -> None:
    psyflow.PickleStore().save(place.folder / "given.pkl", {"x": [Thing(n=1)]})
    given = str(place.folder / "given.pkl")
    place.task(
        "t",
        "import psyflow\n"
        f"first = psyflow.load({given!r})['x'][0]\n"
        f"second = psyflow.PickleStore().load({given!r})['x'][0]\n"
        "pspace = psyflow.Param(x=[first.n, second.n + 1])\n"
        "def execute(x):\n    return {'y': x}\n",
    )
    assert place.program("run", "t").returncode == 0
    assert place.result("t")["y"] == [1, 2]


def test_every_command_that_reads_a_run_can_be_told_to_trust(place: Place) -> None:
    from psyflow.cli.grammar import COMMANDS
    from psyflow.cli.parser import parse

    words = {"merge": ["d", "f.npz"], "debug": ["t", "1"], "export": ["t", "f.csv"]}
    without = {"list", "test", "clean", "kill", "doctor", "new-task", "exec", "push", "pull"}
    for name in set(COMMANDS) - without:
        assert parse([name, *words.get(name, ["t"]), "--trust"]).trust is True
        assert parse([name, *words.get(name, ["t"])]).trust is False


# ------------------------------------------------------------------ the key


def test_key_is_made_once_by_whoever_comes_first(place: Place, tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    sealed = []

    def make() -> None:
        barrier.wait()
        sealed.append(seal(b"data", tmp_path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(sealed)) == 1
    key = tmp_path / "state/psyflow/key"
    assert [path.name for path in key.parent.iterdir()] == ["key"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert key.stat().st_size == 32


@pytest.mark.parametrize("spoil", ["open to others", "cut short", "a folder"])
def test_key_that_is_no_secret_is_not_used(place: Place, tmp_path: Path, spoil: str) -> None:
    sealed = seal(b"data", tmp_path)
    key = tmp_path / "state/psyflow/key"
    if spoil == "open to others":
        key.chmod(0o640)
    elif spoil == "cut short":
        os.truncate(key, 0)
    else:
        key.unlink()
        key.mkdir()
    assert unsealed(sealed) == (b"data", False)
    # Within this process all goes on.
    assert unsealed(seal(b"data", tmp_path)) == (b"data", True)


def test_looking_makes_no_key(place: Place, tmp_path: Path) -> None:
    place.task("t")
    place.psy("status", "t")
    place.psy("run", "-n", "t")
    assert not (tmp_path / "state").exists()


# ------------------------------------------------------------------ what cannot be made


def save(path: Path, pickled: bytes) -> str:
    """Write a frozen space as another psyflow, or another study, would have; return its digest."""
    path.write_bytes(pickled)
    return FrozenSpace(Param(), {}, pickled).digest


GONE = {
    "a module": (b"cno_such_module\nThing\n.", "no_such_module.Thing", "ModuleNotFoundError"),
    "a class": (b"ctypes\nNoSuchThing\n.", "types.NoSuchThing", "AttributeError"),
    "an argument": (b"ctypes\nSimpleNamespace\n(I1\ntR.", "types.SimpleNamespace", "TypeError"),
}


@pytest.mark.parametrize(("pickled", "wanted", "reason"), GONE.values(), ids=GONE)
def test_space_that_cannot_be_made_here_names_file_class_and_reason(
    tmp_path: Path, pickled: bytes, wanted: str, reason: str
) -> None:
    path = tmp_path / "pspace.pkl"
    digest = save(path, pickled)
    with pytest.raises(UntrustedFileError, match=wanted):
        FrozenSpace.load(path, digest)
    with trusting(), pytest.raises(UnmakeableValuesError) as info:
        FrozenSpace.load(path, digest)
    for part in (str(path), wanted, reason):
        assert part in str(info.value)


@pytest.mark.parametrize("value", [[1], (1, 2), (Param(a=1), 3), (Param(a=1), {}, 1)])
def test_space_that_is_none_is_damaged(tmp_path: Path, value: object) -> None:
    path = tmp_path / "pspace.pkl"
    with pytest.raises(DamagedFileError, match="holds no space"):
        FrozenSpace.load(path, save(path, pickle.dumps(value)))


def test_space_that_was_altered_is_damaged_whoever_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "pspace.pkl"
    frozen = FrozenSpace.of(Param(a=[1]))
    frozen.save(path, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    with pytest.raises(DamagedFileError):
        FrozenSpace.load(path, frozen.digest)


def test_results_whose_class_is_gone_are_an_error_and_no_traceback(place: Place) -> None:
    (place.folder / "psy-tasks").mkdir()
    module = place.folder / "psy-tasks/things.py"
    module.write_text("class Thing:\n    pass\n")
    place.task(
        "t",
        "from psyflow import Param\nfrom things import Thing\npspace = Param(x=[1, 2])\n"
        "def execute(x):\n    return {'y': Thing() if x > 1 else 1 / 0}\n",
    )
    place.program("run", "t")
    for file in (module, *place.work.glob("t/plans/*/code/things.py")):
        file.unlink()
    done = place.program("merge", "psy-work/t", "all.pkl")
    assert done.returncode == 3
    assert "things.Thing cannot be made here (ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
    assert str(next((place.work / "t/out").iterdir())) in done.stderr


def test_a_folder_of_an_earlier_psyflow_goes_on(place: Place) -> None:
    place.task(
        "t",
        "from psyflow import Param\npspace = Param(x=range(3))\n"
        "def execute(x):\n    return {'y': 1 / x}\n",
    )
    place.program("run", "t")
    plan = Plan.read(place.work / "t/plan.json")
    assert plan is not None
    plan.frozen.space.write_bytes(plan.load_space().pickled)
    place.task(
        "t",
        "from psyflow import Param\npspace = Param(x=range(4))\n"
        "def execute(x):\n    return {'y': 1 / x}\n",
    )
    assert place.program("run", "t").returncode == 1
    assert place.result("t")["x"] == [1, 2, 3]
