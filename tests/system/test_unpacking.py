"""Archives, on each Python that there is for psyflow: the first ones of 3.11 look at no names."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from psyflow.system.unpacking import extract


@pytest.fixture(params=["as it is", "3.11.2"])
def python(request, monkeypatch):
    if request.param == "3.11.2":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def archive_of(member: tarfile.TarInfo, content: bytes = b"") -> tarfile.TarFile:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    file.seek(0)
    return tarfile.open(fileobj=file)


def test_files_are_laid_out(python: None, tmp_path: Path) -> None:
    with archive_of(tarfile.TarInfo("a/b c"), b"text") as archive:
        extract(archive, tmp_path)
    assert (tmp_path / "a" / "b c").read_text() == "text"


def test_a_file_may_have_two_names_and_is_ones_own(python: None, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a").write_text("text")
    os.link(tmp_path / "from" / "a", tmp_path / "from" / "b")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path / "from", ".", filter=somebodys)
    with tarfile.open(tmp_path / "all.tar") as archive:
        extract(archive, tmp_path / "to")
    assert (tmp_path / "to" / "b").read_text() == "text"
    assert (tmp_path / "to" / "b").stat().st_uid == os.geteuid()


def somebodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid, entry.uname = 12345, ""
    return entry


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "a"])
def test_nothing_comes_to_lie_outside(python: None, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    member = tarfile.TarInfo(name)
    if name == "a":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with archive_of(member) as archive, pytest.raises(tarfile.TarError):
        extract(archive, folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]
