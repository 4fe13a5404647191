"""The claim log of keys: entries, packs, and who is behind."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from psyflow.work.keyclaims import NOBODY, PACKED, KeyClaims, Packer, Transfers, transfers


def entry(n: int) -> Transfers:
    return transfers(NOBODY, n + 1, np.array([[n, 7 * n]], dtype=np.uint64))


def add(log: KeyClaims, begin: int, end: int) -> None:
    for n in range(begin, end):
        assert log.add(entry(n))


def numbers(records: Transfers) -> list[int]:
    return records[:, 2].tolist()


@pytest.mark.parametrize("n_read", [0, 5, PACKED - 1, PACKED, PACKED + 3])
def test_packs_hold_what_the_entries_held(tmp_path: Path, n_read: int) -> None:
    writer, reader, n = KeyClaims(tmp_path), KeyClaims(tmp_path), 2 * PACKED + 10
    add(writer, 0, n_read)
    assert numbers(reader.news()) == list(range(n_read))
    add(writer, n_read, n)
    Packer(tmp_path).pack()
    assert len(list(tmp_path.iterdir())) == 2 + 10
    assert numbers(reader.news()) == list(range(n_read, n))
    assert numbers(KeyClaims(tmp_path).news()) == list(range(n))
    assert reader.add(entry(n))


def test_who_is_behind_adds_nothing_that_counts(tmp_path: Path) -> None:
    writer, behind = KeyClaims(tmp_path), KeyClaims(tmp_path)
    add(writer, 0, 3)
    behind.news()
    add(writer, 3, PACKED)
    Packer(tmp_path).pack()
    # Its number is free again, since the files were packed.
    assert not behind.add(entry(999))
    assert numbers(behind.news()) == list(range(3, PACKED))
    assert [path.name for path in tmp_path.iterdir()] == ["pack-000000"]


def test_a_packer_that_died_is_made_up_for(tmp_path: Path) -> None:
    writer = KeyClaims(tmp_path)
    add(writer, 0, PACKED)
    left = sorted(tmp_path.iterdir())[PACKED // 2 :]
    contents = [path.read_bytes() for path in left]
    Packer(tmp_path).pack()
    for path, content in zip(left, contents, strict=True):
        path.write_bytes(content)
    Packer(tmp_path).pack()
    assert numbers(KeyClaims(tmp_path).news()) == list(range(PACKED))
    assert [path.name for path in tmp_path.iterdir()] == ["pack-000000"]


def test_damage_costs_single_entries(tmp_path: Path) -> None:
    writer = KeyClaims(tmp_path)
    add(writer, 0, PACKED + 5)
    for n in (3, PACKED + 2):
        (tmp_path / f"{n:08d}").write_bytes(b"")  # a power loss
    (tmp_path / "00000005").write_bytes(b"cut off")
    for _ in range(2):
        found = numbers(KeyClaims(tmp_path).news())
        assert found == [n for n in range(PACKED + 5) if n not in (3, 5, PACKED + 2)]
        Packer(tmp_path).pack()


def test_logs_that_take_turns_with_packers_agree(tmp_path: Path) -> None:
    draw, logs = random.Random(1), [KeyClaims(tmp_path) for _ in range(3)]
    seen: list[list[int]] = [[], [], []]
    packer, added = Packer(tmp_path), 0
    while added < 3 * PACKED:
        who = draw.randrange(3)
        if logs[who].add(entry(added)):
            seen[who].append(added)
            added += 1
        else:
            seen[who] += numbers(logs[who].news())
        if draw.random() < 0.02:
            packer.pack()
    for log, known in zip(logs, seen, strict=True):
        assert known + numbers(log.news()) == list(range(added))
