"""The folders of psets, `ctx.dir`: no two evaluations are ever at work in one at once."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from psyflow import Param
from psyflow.work.context import Contexts, StopNow
from psyflow.work.psetfolders import Lock, enter
from tests.support.processes import script
from tests.support.study import Study

TOGETHER = """
pspace = Param(x=[1, 2, 1, 1])
pool_size = 4

def execute(x, ctx):
    calls = len(list(ctx.dir.glob("call-*")))
    (ctx.dir / f"call-{os.getpid()}").touch()
    note(x=x)
    while len(LOG.read_text().splitlines()) < 4:
        time.sleep(0.01)
    return {"folder": ctx.dir.name, "calls": calls}
"""


def test_repeated_psets_that_run_at_once_have_a_folder_each(study: Study) -> None:
    study.task(TOGETHER)
    study.psy("run")
    columns = study.load()
    assert list(columns["calls"]) == [0, 0, 0, 0]
    first, other, *repeated = columns["folder"]
    assert repeated == [f"{first}-1", f"{first}-2"]
    assert "-" not in other
    folders = sorted(path.name for path in (study.folder / "psy-work/t/psets").iterdir())
    assert folders == sorted([first, other, *repeated]), "no lock is left"


def test_folders_of_repetitions_stay_theirs(tmp_path: Path) -> None:
    space = Param(x=[1, 2, 1]) + Param(x=[2, 1])
    contexts = Contexts(tmp_path / "psets", "process:0")
    names = [contexts.folder(space, item).name for item in range(5)]
    one, two = names[:2]
    assert names == [one, two, f"{one}-1", f"{two}-1", f"{one}-2"]
    # Whatever batch they come in; and what is added to the space changes nothing.
    batch = [context.dir.name for context in contexts(space, np.array([4, 0]))]
    assert batch == [f"{one}-2", one]
    longer = space + Param(x=[1])
    assert [contexts.folder(longer, item).name for item in range(6)] == [*names, f"{one}-3"]


def test_keys_of_a_whole_space_are_computed_only_for_who_asks_for_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[object] = []
    repetitions = "psyflow.work.context.Repetitions.__init__"
    monkeypatch.setattr(repetitions, lambda self, space, defaults: computed.append(space))
    monkeypatch.setattr("psyflow.work.context.Repetitions.of", lambda self, item: 0)
    contexts, space = Contexts(tmp_path / "psets", "process:0"), Param(x=range(100))
    assert len(list(contexts(space, np.arange(100)))) == 100
    assert computed == [] and list(tmp_path.iterdir()) == []
    for context in contexts(space, np.arange(100)):
        assert context.dir.is_dir()
    assert computed == [space], "once"


# -- locks ----------------------------------------------------------------------------------------

HOLDER = """
    import sys, time
    from pathlib import Path
    from psyflow.work.psetfolders import enter
    folder, lock = enter(Path(sys.argv[1]), "key")
    print(folder.name, flush=True)
    time.sleep(600)
"""


def test_folder_is_free_when_the_process_that_had_it_is_killed(tmp_path: Path) -> None:
    process = script(HOLDER, tmp_path, stdout=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == "key\n"
    second, lock = enter(tmp_path, "key")
    assert second.name == "key.1"
    third = script(HOLDER, tmp_path, stdout=-1)
    assert third.stdout is not None
    assert third.stdout.readline() == "key.2\n"
    for holder in (process, third):
        holder.kill()
        holder.communicate()
    lock.leave()
    again, lock = enter(tmp_path, "key")
    assert again.name == "key"
    lock.leave()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".key.2.lock"], "of the killed"


def test_clean_knows_all_that_is_made_in_the_folder_of_psets(study: Study) -> None:
    study.task("pspace = Param(x=[1, 1])\ndef execute(x, ctx):\n    return {'y': ctx.dir.name}\n")
    study.psy("run")
    psets = study.folder / "psy-work/t/psets"
    first, second = sorted(path.name for path in psets.iterdir())
    assert second == f"{first}-1"
    for name in (f"{first}.1", f"{second}.12"):
        (psets / name).mkdir()
        (psets / f".{name}.lock").touch()
    study.psy("clean", "-y", "t")
    assert not psets.exists()


def test_lock_that_was_just_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, removed = tmp_path / "lock", []
    lockf = fcntl.lockf

    def removes_first(fd: int, how: int) -> None:
        if not removed:
            path.unlink()
            removed.append(path)
        lockf(fd, how)

    monkeypatch.setattr(fcntl, "lockf", removes_first)
    lock = Lock.take(path)
    assert lock is not None and path.exists()
    lock.leave()
    assert not path.exists()


def test_where_there_are_no_locks_there_are_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has_none(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", has_none)
    folder, lock = enter(tmp_path, "key")
    assert folder.name == "key"
    lock.leave()
    assert list(tmp_path.iterdir()) == []


def test_lock_whose_descriptor_somebody_closed_closes_nothing_else(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path / "lock")
    assert lock is not None
    os.close(lock._fd)
    taken = os.open(tmp_path / "another", os.O_CREAT | os.O_WRONLY)
    assert taken == lock._fd
    lock.leave()
    os.close(taken)


def test_context_of_a_run_that_is_gone_stops_the_evaluation(tmp_path: Path) -> None:
    space = Param(x=range(2))
    contexts = Contexts(tmp_path / "gone/psets", "process:0")
    for context in contexts(space, np.arange(2)):
        with pytest.raises(StopNow):
            _ = context.dir
    assert list(tmp_path.iterdir()) == []
