"""The file beside a result: how large it is, and that what an older psyflow wrote is read."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

import psyflow
from psyflow.record import merged
from tests.support.study import SQUARE

N_ROWS = 50_000


@pytest.fixture
def done(study):
    study.write("square", SQUARE.replace("range(4)", f"range({N_ROWS})"))
    study.psy("run")
    return study


def test_what_repeats_takes_no_room(done):
    file = done.folder / "psy-work" / "square" / "items.npz"
    # 16 of them are the key, which is a hash.
    assert file.stat().st_size / N_ROWS < 24
    with np.load(file) as arrays:
        kinds = {name: arrays[name].dtype.str for name in ("start", "duration", "attempt", "key")}
    assert kinds == {"start": "<f8", "duration": "<f8", "attempt": "<i2", "key": "<u8"}


def test_what_an_older_psyflow_wrote_is_read(done):
    file = done.folder / "psy-work" / "square" / "items.npz"
    with np.load(file) as arrays:
        written = {name: arrays[name] for name in arrays}
    before = file.stat().st_size
    np.savez(file, **written)
    with zipfile.ZipFile(file) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert file.stat().st_size > 1.5 * before
    assert ".  square" not in done.psy("run").stdout
    bookkeeping = psyflow.load("square", done.tasks, done.work).bookkeeping
    assert bookkeeping["start"].tolist() == written["start"].tolist()


@pytest.mark.parametrize("cut", ["about", "start"])
def test_damaged_bookkeeping_loses_no_row(cut, done):
    file = done.folder / "psy-work" / "square" / "items.npz"
    data = bytearray(file.read_bytes())
    at = data.find(f"{cut}.npy".encode()) + 60
    data[at : at + 40] = bytes(40)
    file.write_bytes(data)
    done.psy("run")
    assert list(done.load("square")["y"]) == [x**2 for x in range(N_ROWS)]


def test_times_that_are_packed_until_they_are_written_are_the_same(done, monkeypatch):
    file = done.folder / "psy-work" / "square" / "items.npz"
    with np.load(file) as arrays:
        before = {name: arrays[name] for name in arrays if name != "about"}
    # Ten more items need another merge, which takes over the bookkeeping of all others.
    monkeypatch.setattr(merged, "_MANY", 20_000)
    done.write("square", SQUARE.replace("range(4)", f"range({N_ROWS + 10})"))
    done.psy("run")
    with np.load(file) as arrays:
        for name, column in before.items():
            assert np.array_equal(arrays[name][:N_ROWS], column), name
        assert len(arrays["start"]) == N_ROWS + 10
        assert (arrays["duration"] > 0).all()


def test_items_of_the_only_batch_are_on_the_disk_once(done):
    (plan,) = (done.folder / "psy-work" / "square" / "plans").iterdir()
    assert (plan / "in" / "0.npy").samefile(plan / "pending.npy")
    assert np.load(plan / "in" / "0.npy").tolist() == list(range(N_ROWS))


def test_batches_are_files_of_their_own_where_there_are_several(study):
    head = "from psyflow import DistributeBackend\n"
    settings = "backend = DistributeBackend\nmax_jobs = 2\nmin_items = 1\npool_size = 1\n"
    study.write("square", head + settings + SQUARE)
    study.psy("run")
    (plan,) = (study.folder / "psy-work" / "square" / "plans").iterdir()
    found = [np.load(file).tolist() for file in sorted((plan / "in").iterdir())]
    assert [item for items in found for item in items] == [0, 1, 2, 3]
