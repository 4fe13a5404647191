"""The note in pickles of which columns are of numbers: it changes nothing that is loaded."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from psyflow.columns import Column, Numbers
from psyflow.exceptions import DamagedFileError
from psyflow.store import PickleStore

BLOCKS: list[dict[str, Column]] = [
    {
        "int": Numbers(np.array([1, 2])),
        "some": [1.5, 2],
        "bool": Numbers(np.array([True, False])),
        "text": ["a", "b"],
        "later": ["x", "y"],
        "array": np.array([1.0, 2.0]),
    },
    {
        "int": [3],
        "some": Numbers(np.array([2.5])),
        "bool": [3],
        "text": [None],
        "later": [3],
        "array": np.array([3.0]),
        "new": [3],
    },
]


def test_what_is_loaded_is_what_it_is_without_the_note(tmp_path: Path):
    path = tmp_path / "table.pkl"
    PickleStore().write(path, BLOCKS)
    data = path.read_bytes()
    assert b'["int", "some"]' in data and data.count(b"psycols") == 1
    loaded = PickleStore().load(path)
    with path.open("rb") as file:
        plain = pickle.load(file)
    PickleStore().save(tmp_path / "saved.pkl", plain)
    assert b"psycols" not in (tmp_path / "saved.pkl").read_bytes()
    saved = PickleStore().load(tmp_path / "saved.pkl")
    assert list(loaded) == list(saved) == list(plain)
    for name, column in loaded.items():
        assert type(column) is type(saved[name]), name
        assert list(map(repr, column)) == list(map(repr, saved[name])), name
    assert loaded["int"] == [1, 2, 3] and loaded["some"] == [1.5, 2, 2.5]
    assert list(loaded["text"] == "b") == [False, True, False]


@pytest.mark.parametrize("blocks", [[], [{}], [{"a": []}], [{"a": [1]}], [{"a": [2**70]}]])
def test_small_tables_are_whole(tmp_path: Path, blocks: list[dict[str, Column]]):
    path = tmp_path / "table.pkl"
    PickleStore().write(path, blocks)
    assert PickleStore().load(path) == (blocks[0] if blocks else {})


def test_every_byte_of_the_note_is_checked(tmp_path: Path):
    path = tmp_path / "table.pkl"
    PickleStore().write(path, BLOCKS)
    data = path.read_bytes()
    start = data.index(b'["int"')
    for at in range(start, len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(DamagedFileError):
            PickleStore().load(path)
