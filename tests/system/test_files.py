from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from psyflow.system import files
from psyflow.system.files import (
    append_line,
    atomic_path,
    link_new,
    make_folder,
    move,
    remove_temporaries,
    synced_together,
    write_atomic,
)
from tests.support.processes import eventually, script


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_write_atomic_replaces_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "long text")
    write_atomic(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


def test_the_temporary_name_keeps_the_suffix_and_the_folder(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.npz") as temporary:
        assert (temporary.suffix, temporary.parent) == (".npz", tmp_path)
        temporary.touch()


def test_a_reader_never_sees_half_a_file_though_writers_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, "0" * 100_000)
    source = """
        import sys
        from psyflow.system.files import write_atomic
        n = 0
        while True:
            n += 1
            write_atomic(sys.argv[1], str(n % 10) * 100_000)
    """

    def read() -> str:
        text = path.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1
        return text[0]

    for _ in range(3):
        writer = script(source, path)
        for _ in range(30):
            before = read()
            eventually(lambda before=before: read() != before)
        writer.kill()
        writer.wait()
    remove_temporaries(tmp_path)
    assert names(tmp_path) == ["a.txt"]


def test_link_new_creates_once(tmp_path: Path) -> None:
    path = tmp_path / "0"
    assert link_new(path, b"first")
    assert not link_new(path, b"second", durable=False)
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["0"]


def test_link_new_with_two_answers_lost_is_known_by_the_link_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link
    # An NFS server that was asked twice because its first answer was lost. None is at hand.
    for lost in (FileExistsError, TimeoutError):

        def link_and_fail(source: Path, target: Path, lost: type[OSError] = lost) -> None:
            link(source, target)
            raise lost

        monkeypatch.setattr(os, "link", link_and_fail)
        assert link_new(tmp_path / lost.__name__, b"mine")


def test_link_new_never_links_half_a_file(tmp_path: Path) -> None:
    source = """
        import resource, signal, sys
        from pathlib import Path
        from psyflow.system.files import link_new
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        try:
            link_new(Path(sys.argv[1]), b"x" * 11)
        except OSError:
            sys.exit(7)
    """
    assert script(source, tmp_path / "0").wait(20) == 7
    assert names(tmp_path) == []


def test_append_line_closes_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, "one")
    with path.open("a") as file:
        file.write("tw")
    append_line(path, "three\n")
    assert path.read_text() == "one\ntw\nthree\n"


def append_some(path: Path, who: int) -> None:
    for n in range(50):
        append_line(path, f"{who} {n} {'x' * 200}")


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=append_some, args=(path, who)) for who in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    expected = {f"{who} {n} {'x' * 200}" for who in range(4) for n in range(50)}
    # Who sees a line of another half written puts an empty one after it, which does no harm.
    assert sorted(filter(None, path.read_text().splitlines())) == sorted(expected)


def test_make_folder_makes_parents_and_accepts_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    assert make_folder(folder) == folder
    assert make_folder(folder).is_dir()


def test_move_within_and_across_file_systems(tmp_path: Path) -> None:
    near = tmp_path / "near"
    write_atomic(near, "text")
    move(near, tmp_path / "moved")
    assert names(tmp_path) == ["moved"]
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    far = memory / f"psyflow-test-{os.getpid()}"
    try:
        move(tmp_path / "moved", far)
        assert names(tmp_path) == []
        assert far.read_text() == "text"
        move(far, tmp_path / "back")
        assert not far.exists()
        assert (tmp_path / "back").read_text() == "text"
    finally:
        far.unlink(missing_ok=True)


def test_move_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move(tmp_path / "none", tmp_path / "target")
    assert names(tmp_path) == []


# -- when a disk fails ----------------------------------------------------------------------------


def fails_with(number: int) -> Callable[..., None]:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_cleaning_that_fails_does_not_hide_what_failed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", fails_with(errno.ESTALE))
    with pytest.raises(ValueError, match="first"), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.touch()
        raise ValueError("first")
    monkeypatch.setattr(os, "link", fails_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        link_new(tmp_path / "b", b"")


def test_a_claim_is_none_the_worse_for_a_temporary_name_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", fails_with(errno.EIO))
    assert link_new(tmp_path / "a", b"mine")
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_errors_name_the_file_that_was_to_be_and_not_its_temporary_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="No space left") as full:
        append_line(Path("/dev/full"), "a line")
    assert full.value.filename == "/dev/full"
    monkeypatch.setattr("psyflow.system.files.fsync", fails_with(errno.EIO))
    for write in (write_atomic, link_new):
        with pytest.raises(OSError, match="Input/output error") as failed:
            write(tmp_path / "a.txt", b"")
        assert failed.value.filename == str(tmp_path / "a.txt")


def test_a_rename_that_fails_is_no_reason_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("whole")
    monkeypatch.setattr(Path, "rename", fails_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        move(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["a"]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What has been brought to the disk so far."""
    found: list[Path] = []
    monkeypatch.setattr(
        files, "fsync", lambda fd: found.append(Path(f"/proc/self/fd/{fd}").readlink())
    )
    return found


def test_folders_are_synced_once_at_the_end(tmp_path: Path, synced: list[Path]) -> None:
    with synced_together():
        folder = make_folder(tmp_path / "a" / "b")
        for name in "xyz":
            write_atomic(folder / name, name)
        # What is in a file is on the disk before the file has its name.
        assert [path.parent for path in synced] == [folder] * 3
    assert synced[3:] == [tmp_path, tmp_path / "a", folder]
    write_atomic(folder / "w", "w")
    assert synced[-1] == folder


def test_what_fails_is_not_synced(tmp_path: Path, synced: list[Path]) -> None:
    with pytest.raises(KeyError), synced_together():
        make_folder(tmp_path / "a")
        raise KeyError
    assert synced == []
    make_folder(tmp_path / "b")
    assert synced == [tmp_path]
