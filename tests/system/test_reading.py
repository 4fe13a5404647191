from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from psyflow.system.reading import ask_again, checksum_of, is_there, names_in, no_pipe, read_whole


def test_names_of_a_folder_that_cannot_be_read_are_no_empty_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    assert names_in(tmp_path) == ["a"]
    assert names_in(tmp_path / "none") == names_in(tmp_path / "none" / "either") == []

    def failing(folder: Path) -> list[str]:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    monkeypatch.setattr(os, "listdir", failing)
    with pytest.raises(OSError, match="Input/output error"):
        names_in(tmp_path)


def test_what_is_not_there_is_looked_for_twice(tmp_path: Path) -> None:
    looks: list[bool] = []

    def look() -> str:
        looks.append(True)
        return (tmp_path / "a" / "b").read_text()

    with pytest.raises(FileNotFoundError):
        ask_again(look, tmp_path / "a" / "b")
    assert len(looks) == 2
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("there")
    assert ask_again(look, tmp_path / "a" / "b") == "there"
    assert len(looks) == 3
    assert is_there(tmp_path / "a" / "b")
    assert not is_there(tmp_path / "a" / "b" / "c")


@pytest.mark.parametrize("size", [0, 1, 1 << 16, 3 << 16, (1 << 17) + 1])
def test_a_file_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    assert read_whole(tmp_path / "a") == data


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, listen])
@pytest.mark.parametrize("read", [read_whole, no_pipe, checksum_of, is_there])
def test_what_is_no_file_is_named_at_once(
    tmp_path: Path,
    make: Callable[[Path], None],
    read: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    make(Path("a"))
    with pytest.raises(OSError, match=r"not a file\. Remove it: 'a'"):
        read(Path("a"))


def test_a_pipe_that_somebody_writes_to_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    end = os.open(tmp_path / "a", os.O_RDWR)
    os.write(end, b"{}")
    with pytest.raises(OSError, match="a pipe or a device"):
        read_whole(tmp_path / "a")
    assert os.read(end, 2) == b"{}"
    os.close(end)


def test_an_error_of_reading_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        read_whole(tmp_path)
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "a"))):
        read_whole(tmp_path / "a")
