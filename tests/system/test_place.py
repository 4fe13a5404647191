"""Folders are told from their copies, whatever becomes of paths and device numbers."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from psyflow.exceptions import RunHeldError
from psyflow.record.paths import located, portable
from psyflow.system.hold import Hold
from psyflow.system.place import Place, is_same_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def test_a_folder_is_itself_after_a_move_and_through_a_link(folder: Path) -> None:
    place = Place.marked(folder)
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert place.is_here(folder) and place.is_here(link)
    assert place.is_here(folder.rename(folder.with_name("moved")))


def test_a_copy_is_another_folder_also_in_the_place_of_the_first(folder: Path) -> None:
    place = Place.marked(folder)
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    assert not place.is_here(copy)
    folder.rename(folder.with_name("moved"))
    assert not place.is_here(copy.rename(folder))


def test_other_device_numbers_are_no_other_folder(folder: Path) -> None:
    """As on another host, or after a network file system was mounted anew."""
    place = replace(Place.marked(folder), device=4711)
    assert place.is_here(folder)
    moved = folder.rename(folder.with_name("moved"))
    assert place.is_here(moved)


def test_an_equal_inode_of_another_device_is_no_proof(folder: Path) -> None:
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    Place.marked(folder)
    shutil.copy2(folder / "folder.id", copy / "folder.id")
    by_chance = replace(Place.marked(folder), device=4711, inode=copy.stat().st_ino)
    assert not by_chance.is_here(copy)


def test_a_folder_that_took_the_number_of_another_has_another_id(folder: Path) -> None:
    place = Place.marked(folder)
    (folder / "folder.id").write_text("0" * 32)
    assert not place.is_here(folder)


def test_a_folder_that_is_gone_is_nowhere(folder: Path) -> None:
    place = Place.marked(folder)
    shutil.rmtree(folder)
    assert not place.is_here(folder)
    assert Place.of(folder) is None


def test_records_may_say_more_or_nothing(folder: Path) -> None:
    place = Place.marked(folder)
    fields = json.loads(json.dumps(asdict(place)))
    assert Place.from_json({**fields, "later": 1}) == place
    assert Place.from_json(None) is None


def test_a_copied_hold_holds_nothing(folder: Path) -> None:
    hold = Hold(folder / "hold", "It")
    hold.acquire()
    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    with pytest.raises(RunHeldError):
        Hold(folder / "hold", "It").acquire()
    other = Hold(copy / "hold", "It")
    other.acquire()
    for taken in (hold, other):
        taken.release()


@pytest.mark.parametrize("path", ["psy-work/t/result.npz", "results/t.npz", "psy-tasks/task_t.py"])
def test_paths_in_a_study_move_along(path: str) -> None:
    study, other = Path("/home/me/study"), Path("/backup/copy")
    recorded = portable(study / path, study / "psy-work/t", study)
    assert located(recorded, study / "psy-work/t") == study / path
    assert located(recorded, other / "psy-work/t") == other / path


def test_paths_out_of_a_study_stay(tmp_path: Path) -> None:
    recorded = portable(Path("/data/t.npz"), Path("/home/me/psy-work/t"), Path("/home/me"))
    assert located(recorded, Path("/other/psy-work/t")) == Path("/data/t.npz")


def test_files_are_the_same_by_what_they_are(folder: Path) -> None:
    file = folder / "a"
    file.touch()
    os.link(file, folder / "b")
    (folder / "c").touch()
    folder.with_name("link").symlink_to(folder)
    assert is_same_file(file, folder / "b")
    assert not is_same_file(file, folder / "c")
    assert not is_same_file(file, folder / "none")
    assert is_same_file(folder / "none", folder.with_name("link") / "none")
    assert not is_same_file(folder / "none", folder / "nil")
