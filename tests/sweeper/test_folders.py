"""A sweeper's folder that was copied or moved, is damaged, newer, somebody else's, or of execo."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from psyflow.exceptions import DamagedFileError, LaterFormatError, UntrustedFileError
from psyflow.sweeper import HashableDict, ParamSweeper, sweep
from tests.support.processes import script
from tests.trust.users import as_root, run_as_second_user

OF_EXECO = Path(__file__).parent / "execo-2.8.2"
COMBINATIONS = sweep({"a": [1, 2, 3], "b": ["x", "y"]})
HOLDING = """
    import sys
    from psyflow.sweeper import ParamSweeper
    sweeper = ParamSweeper(sys.argv[1], range(4))
    sweeper.done(sweeper.get_next())
    print(sweeper.get_next(), flush=True)
    sys.stdin.readline()
    print(sweeper.get_next())
"""


def test_in_a_copy_nothing_is_in_progress_and_a_moved_folder_is_what_it_was(
    tmp_path: Path,
) -> None:
    original = tmp_path / "original"
    process = script(HOLDING, original, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    shutil.copytree(original, tmp_path / "copy")
    copy = ParamSweeper(tmp_path / "copy", range(4))
    assert [list(part) for part in copy.stats()] == [[0, 1, 2, 3], [1, 2, 3], [], [], [0]]
    copy.done_batch(copy.get_next_batch(5))
    # The original knows nothing of its copy, whoever works in that.
    assert process.communicate("\n")[0] == "2\n"
    moved = ParamSweeper(original.rename(tmp_path / "moved"), range(4))
    assert [list(part) for part in moved.stats()] == [[0, 1, 2, 3], [3], [], [1, 2], [0]]


def test_a_folder_that_is_moved_away_is_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    sweeper = ParamSweeper(folder, range(4))
    element = sweeper.get_next()
    folder.rename(tmp_path / "there")
    for use in (sweeper.get_next, lambda: sweeper.done(element), sweeper.stats):
        with pytest.raises(FileNotFoundError, match="here"):
            use()
    assert not folder.exists()


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    sweeper = ParamSweeper(tmp_path, range(4))
    for name in ("done", "inprogress"):
        path = tmp_path / name
        fields = json.loads(path.read_bytes())
        path.write_text(json.dumps({**fields, "format": 99}))
        for use in (sweeper.stats, lambda: ParamSweeper(tmp_path, range(4))):
            with pytest.raises(LaterFormatError, match=f"{name} was written in format 99"):
                use()
        path.write_text(json.dumps(fields))
    assert len(sweeper.get_remaining()) == 4


@pytest.mark.parametrize("content", ["{", "{}", '{"format": 1, "folder": "../.."}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    ParamSweeper(tmp_path, range(4)).done(0)
    (tmp_path / "inprogress").write_text(content)
    with pytest.raises(DamagedFileError, match=r"inprogress is damaged\. Remove it"):
        ParamSweeper(tmp_path, range(4))
    (tmp_path / "inprogress").unlink()
    assert list(ParamSweeper(tmp_path, range(4))) == [1, 2, 3]


def test_damage_costs_single_elements(tmp_path: Path) -> None:
    sweeper = ParamSweeper(tmp_path, range(5))
    sweeper.done_batch(sweeper.get_next_batch(5))
    (file,) = (tmp_path / "keys").glob("*/*")
    data = bytearray(file.read_bytes())
    data[2 * 24 + 3] ^= 1  # in the second element, behind the header and the first
    file.write_bytes(data[:-5])  # and the last one is cut off
    again = ParamSweeper(tmp_path, range(5))
    assert list(again.get_inprogress()) == [1, 4]
    assert again.get_done() == {0, 2, 3}


class Own(str):
    """What no plain pickle holds."""


def test_saved_sweeps_of_somebody_else_run_no_code(tmp_path: Path) -> None:
    ParamSweeper(tmp_path / "mine", [Own("a")], save_sweeps=True)
    assert list(ParamSweeper(tmp_path / "mine").get_sweeps()) == [Own("a")]
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "sweeps").write_bytes(pickle.dumps({"format": 1, "elements": [eval]}))
    with pytest.raises(UntrustedFileError, match=r"sweeps.* wants builtins\.eval"):
        ParamSweeper(tmp_path / "theirs")


@as_root
def test_who_may_not_write_is_told_where() -> None:
    code = "import sys; from psyflow.sweeper import *; p = ParamSweeper(sys.argv[1], range(4))"
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        folder = Path(top, "mine")
        ParamSweeper(folder, range(4)).get_next()
        seen = run_as_second_user("-c", f"{code}; print(p)", str(folder))
        refused = run_as_second_user("-c", f"{code}; p.get_next()", str(folder))
    assert seen.stdout == "mine <4 total, 0 done, 0 skipped, 1 in progress, 3 remaining>\n"
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert "PermissionError" in last and str(folder) in last


def of_execo(folder: Path) -> Path:
    shutil.copytree(OF_EXECO, folder)
    return folder


@pytest.mark.parametrize("sweeps", [COMBINATIONS, None])
def test_a_folder_of_execo_is_taken_over(tmp_path: Path, sweeps: list[HashableDict]) -> None:
    folder = of_execo(tmp_path / "sweeps")
    for _ in range(2):
        sweeper = ParamSweeper(folder, sweeps)
        assert sweeper.get_sweeps() == set(COMBINATIONS)
        assert sweeper.get_done() == {*COMBINATIONS[:2]}
        assert list(sweeper.get_inprogress()) == [COMBINATIONS[2]]
    (held,) = sweeper.get_holders()
    assert (held.owner, held.has_ended) == (None, True)
    assert sweeper.reset_inprogress(ended=True) == [COMBINATIONS[2]]
    # What execo wrote is still there, in a folder of its own.
    for name in ("done", "inprogress"):
        assert (folder / "execo" / name).read_bytes() == (OF_EXECO / name).read_bytes()


def test_a_folder_of_execo_of_which_the_end_is_cut_off(tmp_path: Path) -> None:
    folder = of_execo(tmp_path / "sweeps")
    (folder / "done").write_bytes((folder / "done").read_bytes()[:-5])
    assert ParamSweeper(folder, COMBINATIONS).get_done() == {COMBINATIONS[0]}


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"whatever this is", DamagedFileError, "neither of psyflow nor of execo"),
        (
            pickle.dumps(Own("a")),
            UntrustedFileError,
            "is of execo, and not read, because it wants",
        ),
        (pickle.dumps(os.system), UntrustedFileError, r"wants posix\.system"),
    ],
)
def test_what_execo_cannot_have_written_is_refused_and_left_alone(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    (tmp_path / "done").write_bytes(content)
    with pytest.raises(error, match=message):
        ParamSweeper(tmp_path, COMBINATIONS)
    assert (tmp_path / "done").read_bytes() == content
