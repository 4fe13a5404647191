"""Folders that somebody else has made, or added something to: nothing of them is executed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import psyflow
from psyflow.exceptions import UntrustedFileError
from psyflow.store import store_for
from tests.support.place import Place
from tests.trust.conftest import Strangers
from tests.trust.users import NOBODY, as_root, run_as_second_user

SQUARES = {"x": [0, 1, 2, 3], "y": [0, 1, 4, 9]}
WITHOUT_TWO = {"x": [0, 1, 3], "y": [0, 1, 9]}
COMMANDS = [
    "status t",
    "status -v t",
    "status --json t",
    "watch t",
    "why t",
    "why --json t",
    "failures t",
    "failures --json t",
    "log t",
    "log t 1",
    "log t 2",
    "log t first-failed",
    "debug t 1",
    "debug t first-failed",
    "test t",
    "list",
    "accept -n t",
    "accept t",
    "clean -n t",
    "kill -y t",
    "run -n t",
    "run t",
    "run -c t",
    "run -c --failed t",
    "merge psy-work/t all.npz",
    "merge psy-work/t all.pkl",
    "merge psy-work/t/out out.npz",
]


def load(place: Place, *, trust: bool = False) -> dict[str, list[object]]:
    columns = psyflow.load("t", place.folder / "psy-tasks", place.work, trust=trust)
    return {name: list(column) for name, column in columns.items()}


@pytest.mark.parametrize("ext", ["npz", "h5", "pkl"])
def test_plain_results_of_a_stranger_are_loaded(tmp_path: Path, ext: str) -> None:
    study = Strangers(tmp_path, ext)
    assert load(study) == SQUARES
    study.psy("merge", "psy-work/t", f"all.{ext}")
    merged = store_for(f"all.{ext}").load(tmp_path / f"all.{ext}")
    assert {name: list(column) for name, column in merged.items()} == SQUARES


def test_plain_results_so_far_of_a_stranger_are_loaded(tmp_path: Path) -> None:
    study = Strangers(tmp_path, fails=True)
    assert load(study) == WITHOUT_TWO
    assert study.psy("merge", "psy-work/t", "all.npz").returncode == 0
    study.extend()
    assert "3 out of 6" in study.psy("status", "t").stdout


@pytest.mark.parametrize("ext", ["npz", "h5"])
def test_complete_results_are_loaded_though_the_space_does_harm(tmp_path: Path, ext: str) -> None:
    study = Strangers(tmp_path, ext)
    study.plant_space()
    study.rewrite_about(space_digest=study.plan["space_digest"])
    assert load(study) == SQUARES
    assert not study.harm_is_done()


PLANTED = ["space", "shard", "result"]


def planted(folder: Path, what: str) -> Strangers:
    study = Strangers(folder, "pkl" if what == "result" else "npz", fails=what != "result")
    getattr(study, f"plant_{what}")()
    return study


@pytest.mark.parametrize("what", PLANTED)
@pytest.mark.parametrize("change", ["as it is", "extended"])
def test_no_command_executes_what_is_planted(tmp_path: Path, what: str, change: str) -> None:
    study = planted(tmp_path, what)
    if change == "extended":
        study.extend()
    kept = tmp_path / "kept"
    shutil.copytree(study.work, kept)
    for command in COMMANDS:
        done = study.psy(*command.split())
        assert not study.harm_is_done(), command
        assert "Traceback" not in done.stderr or "ValueError: two" in done.stderr, command
        assert done.returncode != 3 or "--trust" in done.stderr, (command, done.stderr)
        # The same for each: as the stranger left it.
        shutil.rmtree(study.work)
        shutil.copytree(kept, study.work)


@pytest.mark.parametrize("what", PLANTED)
def test_load_executes_nothing_unless_asked(tmp_path: Path, what: str) -> None:
    study = planted(tmp_path, what)
    with pytest.raises(UntrustedFileError, match=r"wants os\.makedirs") as info:
        load(study)
    assert not study.harm_is_done()
    assert "trust=True" in str(info.value)
    assert str(study.run) in str(info.value)
    with contextlib.suppress(psyflow.exceptions.PsyflowError):
        load(study, trust=True)
    assert study.harm_is_done(), "the planted file does no harm, so this test shows nothing"


@pytest.mark.parametrize("what", PLANTED)
def test_merge_executes_nothing_unless_asked(tmp_path: Path, what: str) -> None:
    study = planted(tmp_path, what)
    done = study.psy("merge", "psy-work/t", "all.pkl")
    assert (done.returncode, study.harm_is_done()) == (3, False)
    assert "--trust" in done.stderr
    study.psy("merge", "--trust", "psy-work/t", "all.pkl")
    assert study.harm_is_done()


def test_result_files_of_a_folder_are_named_by_nobody(tmp_path: Path) -> None:
    study = planted(tmp_path, "result")
    (tmp_path / "old").mkdir()
    shutil.move(study.run / "result.pkl", tmp_path / "old")
    done = study.psy("merge", "old", "all.pkl")
    assert (done.returncode, study.harm_is_done()) == (3, False)
    psyflow.load(tmp_path / "old" / "result.pkl")
    assert study.harm_is_done()


def test_frozen_code_of_a_stranger_is_not_run_for_its_store(tmp_path: Path) -> None:
    study = Strangers(tmp_path)
    text = (study.run / "plan.json").read_text()
    (study.run / "plan.json").write_text(text.replace("result.npz", "result.odd"))
    (study.run / "result.npz").rename(study.run / "result.odd")
    code = next((study.run / "plans").glob("*/code/**/task_t.py"))
    code.write_text(f"import os; os.mkdir({str(study.mark)!r})\n" + code.read_text())
    with pytest.raises(UntrustedFileError, match="code"):
        load(study)
    assert not study.harm_is_done()


def test_a_stranger_points_to_a_run_of_the_users_own(tmp_path: Path) -> None:
    own = Place(tmp_path / "own")
    own.folder.mkdir()
    own.task("t")
    own.psy("run", "t")
    (tmp_path / "foreign").mkdir()
    study = planted(tmp_path / "foreign", "result")
    (run_id,) = (path.name for path in (own.work / "t/plans").iterdir())
    far = os.path.relpath(own.work / "t/plans" / run_id, study.run / "plans")
    for path in [study.run / "plan.json", *study.run.glob("plans/*/plan.json")]:
        path.write_text(path.read_text().replace(study.run_id, far))
    shutil.rmtree(study.run / "plans")
    (study.run / "plans").symlink_to(own.work / "t/plans")
    for written in (far, run_id):
        study.rewrite_about(run_id=written)
        with contextlib.suppress(psyflow.exceptions.PsyflowError):
            load(study)
        assert not study.harm_is_done()


def test_a_map_executes_nothing_of_a_folder_beside_its_file(strangers: Strangers) -> None:
    strangers.plant_space()
    folder = strangers.folder / "all.npz.run"
    folder.mkdir()
    shutil.copy(next(strangers.run.glob("plans/*/pspace.pkl")), folder)
    with pytest.raises(UntrustedFileError):
        psyflow.map_pspace_hdd_backed(
            lambda x: {"y": x}, psyflow.Param(x=[1]), strangers.folder / "all.npz"
        )
    assert not strangers.harm_is_done()


@as_root
def test_a_real_second_user_executes_nothing_of_the_first() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        study = planted(Path(folder), "result")
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        Path(folder).chmod(0o777)
        program = "import psyflow, sys; print(psyflow.load(sys.argv[2], workdir=sys.argv[1]))"
        ran = run_as_second_user("-c", program, str(study.work), "t")
        assert "UntrustedFileError" in ran.stderr
        assert not study.harm_is_done()
        merge = ["-m", "psyflow", "merge", str(study.run), f"{folder}/all.pkl"]
        assert "--trust" in run_as_second_user(*merge).stderr
        assert not study.harm_is_done()
        assert run_as_second_user(*merge, "--trust").returncode in (0, 3)
        assert study.harm_is_done()


@as_root
def test_what_another_user_puts_into_a_run_of_ones_own_is_not_executed(tmp_path: Path) -> None:
    own = Strangers(tmp_path, fails=True)
    shutil.rmtree(own.work)
    own.psy("run", "t")  # now it is of this user
    shard = own.plant_shard()
    os.chown(shard, NOBODY, -1)
    with pytest.raises(UntrustedFileError):
        load(own)
    os.chown(shard, 0, -1)
    shard.chmod(0o666)
    with pytest.raises(UntrustedFileError):
        load(own)
    assert not own.harm_is_done()
    shard.chmod(0o644)
    with contextlib.suppress(psyflow.exceptions.PsyflowError):
        load(own)
    assert own.harm_is_done()
