"""What psets keep in their folders where an engine evaluates them: it comes, and goes along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import psyflow
from psyflow.exceptions import PsyflowError
from psyflow.runs.afar.kept import PIECE_BYTES, lay_out, pieces_of, remove_left
from tests.runs.afar.studies import Pool, failures_of, write
from tests.support.engines import Engine
from tests.support.processes import eventually
from tests.support.study import Study

KEEPS = """
pspace = Param(x=range(6))

def execute(x, ctx):
    state = ctx.dir / "deep" / "state"
    before = len(state.read_text()) if state.exists() else 0
    state.parent.mkdir(exist_ok=True)
    state.write_text("." * (before + x + 1))
    if x == 2 and not before:
        (ctx.dir / "only once").touch()
        raise ValueError("odd")
    (ctx.dir / "only once").unlink(missing_ok=True)
    if x == 3 and not before:
        import os
        os.abort()
    return {"y": before}
"""


def test_what_psets_keep_comes_and_goes_along(study: Study, engine: Engine) -> None:
    write(study, engine.scheduler, KEEPS)
    study.psy("run", code=1)
    assert study.rows() == [(x, 0) for x in (0, 1, 4, 5)]
    folder = {x: psyflow.folder(str(study.work / "t"), x=x) for x in range(6)}
    assert (folder[2] / "only once").exists()
    for x, place in folder.items():
        assert place.parent == study.work / "t" / "psets"
        assert (place / "deep" / "state").read_text() == "." * (x + 1)
    study.psy("run")
    assert study.rows() == [(x, x + 1 if x in (2, 3) else 0) for x in range(6)]
    assert (folder[3] / "deep" / "state").stat().st_size == 8
    assert not (folder[2] / "only once").exists()
    left = [path.name for path in (study.work / "t" / "psets").iterdir() if path.name[0] == "."]
    assert not left


STOPS = """
pspace = Param(x=range(2))

def execute(x, ctx):
    state = ctx.dir / "state"
    if state.exists():
        return {{"y": state.read_text()}}
    state.write_text("far")
    open({begun!r} + str(x), "w").close()
    import time
    while not ctx.should_stop():
        time.sleep(0.01)
    ctx.stop()
"""


def test_what_is_stopped_goes_on_where_it_was(study: Study, trace: Path) -> None:
    write(study, Pool.scheduler, STOPS.format(begun=str(trace / "begun")))
    psy = study.start("run", "--wait")
    eventually(lambda: len(list(trace.iterdir())) == 2)
    study.psy("kill", "t", "--yes")
    psy.communicate()
    study.wait_until_gone()
    study.psy("run")
    assert study.rows() == [(0, "far"), (1, "far")]


PROGRAM = """#!/bin/sh
cat data.txt input
test $1 != 2
"""
COMMAND = """
from psyflow import Command
pspace = Param(x=range(4))
execute = Command(
    "./sim {x}", files_in=["data.txt", "of/{x}.txt"], templates={"t.in": "input"},
    parse={"d": r"d = (@int@)", "y": r"y = (@int@)"},
)
"""


def test_a_command_takes_its_files_along(study: Study) -> None:
    (study.tasks / "sim").write_text(PROGRAM)
    (study.tasks / "sim").chmod(0o755)
    (study.tasks / "data.txt").write_text("d = 7\n")
    (study.tasks / "t.in").write_text("y = $x\n")
    (study.tasks / "of").mkdir()
    for x in range(4):
        (study.tasks / "of" / f"{x}.txt").touch()
    write(study, Pool.scheduler, COMMAND)
    study.psy("run", code=1)
    assert study.rows() == [(7, x, x) for x in (0, 1, 3)]
    (failed,) = failures_of(study, "t")
    assert f"{study.tasks / 'sim'} 2" in failed.exception
    assert "y = 2" in study.psy("log", "t", "2").stdout
    folder = psyflow.folder(str(study.work / "t"), x=1)
    assert (folder / "data.txt").readlink() == study.tasks / "data.txt"
    assert (folder / "command.json").exists()


AWAY = """
pspace = Param(x=[1])

def away():
    import tempfile
    tempfile.tempdir = "/nonexistent"

def execute(x):
    return {}
"""


def test_a_worker_without_a_place_for_files_says_what_to_do(study: Study) -> None:
    scheduler = Pool.scheduler.replace("Executor(2)", "Executor(1, initializer=away)")
    write(study, scheduler, AWAY)
    said = study.psy("run", code=3).stderr
    assert "Set TMPDIR where the workers are" in said
    assert "/nonexistent" in said


NAME = "0" * 32


def test_a_folder_arrives_as_it_was_in_the_place_of_what_is_there(tmp_path: Path) -> None:
    there, root = tmp_path / NAME, tmp_path / "run" / "psets"
    (there / "a").mkdir(parents=True)
    (there / "a" / "large").write_bytes(os.urandom(PIECE_BYTES + 1))
    (there / "empty").mkdir()
    (there / "run").write_text("#!/bin/sh")
    (there / "run").chmod(0o755)
    (there / "link").symlink_to("/there/data")
    os.mkfifo(there / "pipe")
    root.mkdir(parents=True)
    for names in (["a", "empty", "link", "run"], ["a", "empty", "link", "run"]):
        pieces = [*pieces_of(there, NAME)]
        assert len(pieces) > 1
        for piece in pieces:
            lay_out(piece, root, lambda path: path.replace("/there", "/here"))
        place = root / NAME
        assert sorted(path.name for path in place.iterdir()) == names
        assert (place / "a" / "large").read_bytes() == (there / "a" / "large").read_bytes()
        assert (place / "run").stat().st_mode & 0o111
        assert str((place / "link").readlink()) == "/here/data"
        # What is of another kind than what comes, and what does not come.
        (place / "empty").rmdir()
        (place / "empty").write_text("a file")
        (place / "a" / "old").touch()
    for piece in pieces_of(tmp_path / "gone", NAME):
        lay_out(piece, root)
    assert not any(root.iterdir())


def test_what_was_on_its_way_is_removed_and_no_other_name_is_taken(tmp_path: Path) -> None:
    there, root = tmp_path / NAME, tmp_path / "run" / "psets"
    there.mkdir()
    (there / "large").write_bytes(bytes(PIECE_BYTES + 1))
    root.mkdir(parents=True)
    (root / ".mine.tar").touch()
    first, *_ = pieces_of(there, NAME)
    lay_out(first, root)
    assert len(list(root.iterdir())) == 2
    remove_left(root)
    assert [path.name for path in root.iterdir()] == [".mine.tar"]
    with pytest.raises(PsyflowError, match="as the folder of a pset"):
        lay_out(next(pieces_of(there, "../../t")), root)
