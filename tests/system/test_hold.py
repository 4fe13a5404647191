from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from psyflow.exceptions import PsyflowWarning, RunHeldError
from psyflow.system.hold import Hold
from psyflow.system.owner import Owner
from tests.support.processes import eventually, script

HERE = Owner.here()


def test_a_hold_is_exclusive_and_says_who_has_it(tmp_path: Path) -> None:
    first, second = Hold(tmp_path / "hold", "Task x"), Hold(tmp_path / "hold", "Task x")
    before = time.time()
    first.acquire()
    owner, since = second.holder()
    assert owner == HERE
    assert before <= since <= time.time()
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    with pytest.raises(RunHeldError, match=f"Task x is held by {HERE} since {when}"):
        second.acquire()
    second.release()  # has nothing to release
    assert first.holder() is not None
    first.release()
    first.release()
    assert second.holder() is None
    second.acquire()
    with pytest.raises(RunHeldError):
        first.acquire()
    second.release()


def test_looking_at_a_hold_that_was_never_taken_makes_nothing(tmp_path: Path) -> None:
    assert Hold(tmp_path / "hold", "x").holder() is None
    assert list(tmp_path.iterdir()) == []


def test_old_holds_are_tidied_up(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold", "x")
    for _ in range(20):
        hold.acquire()
        hold.release()
    assert len(list(hold.folder.iterdir())) == 2


def test_release_after_the_folder_is_gone(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold", "x")
    hold.acquire()
    for path in hold.folder.iterdir():
        path.unlink()
    hold.folder.rmdir()
    hold.release()
    hold.acquire()
    hold.release()


def test_leaving_while_another_removes_the_folder(tmp_path: Path, monkeypatch: Any) -> None:
    """Who is refused at the same time removes the folder too, whatever is read of it just then."""
    hold = Hold(tmp_path / "hold", "Task x")
    hold.acquire()

    def removing(list_names: Any) -> Any:
        def list_after_removal(folder: Any = ".") -> Any:
            if Path(folder) == hold.folder and hold.folder.is_dir():
                hold.folder.rmdir()
            return list_names(folder)

        return list_after_removal

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, removing(getattr(os, name)))
    hold.leave()
    assert not hold.folder.exists()


@pytest.mark.parametrize("content", [b"", b'{"owner'])
def test_a_hold_that_a_power_loss_emptied_is_free(tmp_path: Path, content: bytes) -> None:
    hold = Hold(tmp_path / "hold", "x")
    hold.folder.mkdir()
    (hold.folder / "00000004").write_bytes(content)
    assert hold.holder() is None
    hold.acquire()
    assert hold.holder() is not None
    hold.release()


def test_a_release_whose_number_a_crash_has_lost_is_not_that_of_the_next(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold", "x")
    hold.folder.mkdir()
    (hold.folder / "00000000.released").touch()
    hold.acquire()
    hold.check()
    assert hold.holder() is not None
    hold.release()
    assert len(list(hold.folder.iterdir())) == 2


def test_who_was_taken_for_dead_holds_on_if_the_next_one_died_at_once(tmp_path: Path) -> None:
    first = Hold(tmp_path / "hold", "x")
    first.acquire()
    (first.folder / "00000001").touch()  # emptied, and of nobody alive
    with pytest.raises(RunHeldError, match=f"x is held by {HERE}"):
        Hold(first.folder, "x").acquire()
    first.release()


HOLDER = """
    import sys, time
    from pathlib import Path
    from psyflow.system.hold import Hold
    Hold(Path(sys.argv[1]), "x").acquire()
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_hold_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold", "x")
    process = script(HOLDER, hold.folder, stdout=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunHeldError, match=f"process {process.pid} on"):
        hold.acquire()
    process.kill()
    process.wait()
    process.stdout.close()
    assert hold.holder() is None
    hold.acquire()
    hold.release()


def test_the_hold_of_another_host_is_respected(tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold", "x")
    hold.acquire()
    (path,) = hold.folder.iterdir()
    mark = json.loads(path.read_text())
    mark["owner"]["host"] = "elsewhere"
    path.write_text(json.dumps(mark))
    with pytest.raises(RunHeldError, match="on elsewhere"):
        Hold(hold.folder, "x").acquire()


def test_a_hold_is_renewed_though_a_renewal_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("psyflow.system.lease", "psyflow.system.hold"):
        monkeypatch.setattr(f"{module}.RENEW_SECONDS", 0.0, raising=False)
        monkeypatch.setattr(f"{module}.RETRY_SECONDS", 0.01, raising=False)
    errors, utime = [errno.EIO, errno.ESTALE], os.utime

    def fails_at_first(*args: Any) -> None:
        if errors:
            raise OSError(errors.pop(0), "the file server is away")
        utime(*args)

    monkeypatch.setattr(os, "utime", fails_at_first)
    hold = Hold(tmp_path / "hold", "x")
    hold.acquire()
    (mark,) = hold.folder.iterdir()
    eventually(lambda: not errors)
    utime(mark, (1, 1))
    eventually(lambda: mark.stat().st_mtime > 1)
    hold.release()


def test_who_was_taken_for_dead_learns_who_holds_now(tmp_path: Path) -> None:
    first, second = Hold(tmp_path / "hold", "Task x"), Hold(tmp_path / "hold", "Task x")
    first.check()  # holds nothing, and so has lost nothing
    first.acquire()
    first.check()
    (mark,) = first.folder.iterdir()
    mark.write_text(mark.read_text().replace("pid:[", "pid:[9"))
    os.utime(mark, (1, 1))
    second.acquire()
    with pytest.raises(RunHeldError, match=f"held by {HERE} since .*took this process for dead"):
        first.check()
    second.check()
    second.release()
    with pytest.raises(RunHeldError, match="Task x is held by nobody any more"):
        first.check()


def test_the_same_number_is_not_the_same_hold(tmp_path: Path) -> None:
    first, second = Hold(tmp_path / "hold", "x"), Hold(tmp_path / "hold", "x")
    first.acquire()
    shutil.rmtree(first.folder)
    second.acquire()
    with pytest.raises(RunHeldError):
        first.check()
    second.release()


def test_giving_a_hold_back_hides_no_other_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object, **options: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    hold = Hold(tmp_path / "hold", "Task x")
    hold.acquire()
    monkeypatch.setattr("psyflow.system.hold.link_new", fails)
    with pytest.warns(PsyflowWarning, match=r"Task x is held until .* has ended: \[Errno 28\]"):
        hold.release()


# A lock of the kernel tells, independently, whether two hold at once; dying gives it back, too.
RIVAL = """
    import fcntl, os, random, signal, sys, time
    from pathlib import Path
    from psyflow.system.hold import Hold
    from psyflow.exceptions import RunHeldError
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    rng, won = random.Random(seed), 0
    while won < 80:
        hold = Hold(folder / "hold", "x")
        try:
            hold.acquire()
        except RunHeldError:
            time.sleep(rng.uniform(0, 0.002))
            continue
        witness = os.open(folder / "witness", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(witness, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("two hold at once")
        won += 1
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, 0.002))
        if seed % 2 and won > 20 and rng.random() < 0.1:
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(witness)
        hold.release()
"""


@pytest.mark.parametrize("n_rivals", [2, 8])
def test_never_two_hold_at_once(tmp_path: Path, n_rivals: int) -> None:
    rivals = [script(RIVAL, tmp_path, k, stdout=-1, stderr=-1) for k in range(n_rivals)]
    errors = [rival.communicate(timeout=600)[1] for rival in rivals]
    assert {rival.returncode for rival in rivals[::2]} == {0}, errors
    assert {rival.returncode for rival in rivals[1::2]} <= {0, -signal.SIGKILL}, errors
    Hold(tmp_path / "hold", "x").acquire()


@pytest.mark.parametrize("end", [Hold.leave, Hold.release])
def test_a_copy_in_the_place_of_a_hold_that_was_moved_is_left_alone(
    tmp_path: Path, monkeypatch: Any, end: Any
) -> None:
    monkeypatch.setattr("psyflow.system.hold.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("psyflow.system.lease.RENEW_SECONDS", 0.0)
    hold, others = Hold(tmp_path / "hold", "It"), {*threading.enumerate()}
    hold.acquire()
    (keeper,) = {*threading.enumerate()} - others
    (tmp_path / "hold").rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "hold")
    (mark,) = (tmp_path / "hold").iterdir()
    os.utime(mark, (1, 1))
    keeper.join(60)  # it renews, and sees that it is not its own
    end(hold)
    assert [file.stat().st_mtime for file in (tmp_path / "hold").iterdir()] == [1]
