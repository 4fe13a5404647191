from __future__ import annotations

import random
from pathlib import Path

import pytest

from psyflow.system.owner import Owner
from psyflow.work.claims import Claim, ClaimLog
from psyflow.work.numbered import NumberedFiles
from tests.support.processes import eventually, script

HERE = Owner.here()


def claims_of(log: ClaimLog) -> list[Claim]:
    numbers = sorted(int(p.name) for p in log.folder.iterdir() if p.name.isdigit())
    assert numbers == list(range(len(numbers)))
    return [log.read(number) for number in numbers]


def check_log(log: ClaimLog) -> list[Claim]:
    """Check that the claims follow each other without gap or overlap."""
    claims = claims_of(log)
    starts, stops = [c.start for c in claims], [c.stop for c in claims]
    assert starts == [0, *stops[:-1]]
    assert all(start < stop for start, stop in zip(starts, stops, strict=True))
    return claims


def test_sizes_are_bounded_by_what_is_left_and_at_least_one(tmp_path: Path) -> None:
    log = ClaimLog(tmp_path / "log", total=10)
    seen = []

    def size_of(remaining: int) -> int:
        seen.append(remaining)
        return [0, -5, 4, 1000][len(seen) - 1]

    sizes = []
    while claim := log.claim(HERE, "a", size_of):
        sizes.append(claim.stop - claim.start)
    assert sizes == [1, 1, 4, 4]
    assert seen == [10, 9, 8, 4]


def test_nothing_to_claim(tmp_path: Path) -> None:
    assert ClaimLog(tmp_path / "log", 0).claim(HERE, "a", lambda n: n) is None
    assert list(ClaimLog(tmp_path / "none", 5).claims()) == []


def test_a_claim_says_who_where_and_which(tmp_path: Path) -> None:
    claim = ClaimLog(tmp_path / "log", 5).claim(HERE, "a.rows", lambda n: 3)
    assert claim == Claim(0, 0, 3, HERE, "a.rows")
    assert Claim.from_bytes(claim.to_bytes()) == claim
    assert ClaimLog(tmp_path / "log", 5).read(0) == claim


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"[]", b"{}", b'{"stop": 4}', b"\xff"])
def test_what_a_damaged_claim_took_is_claimed_once_more(tmp_path: Path, content: bytes) -> None:
    first = ClaimLog(tmp_path / "log", 9)
    for _ in range(3):
        first.claim(HERE, "a.rows", lambda n: 2)
    (first.folder / "00000002").write_bytes(content)
    log = ClaimLog(tmp_path / "log", 9)
    assert [claim.number for claim in log.claims()] == [0, 1]
    claim = log.claim(HERE, "b.rows", lambda n: n)
    assert claim == Claim(3, 4, 9, HERE, "b.rows")
    # Who knows of it goes on where it ended.
    assert first.claim(HERE, "a.rows", lambda n: 2) is None


def test_a_damaged_takeover_is_none(tmp_path: Path) -> None:
    log = ClaimLog(tmp_path / "log", 9)
    claim = log.claim(HERE, "a.rows", lambda n: 2)
    assert claim is not None
    taken = log.take_over(claim, HERE, "b.rows")
    assert taken is not None and log.before(taken) == claim
    (log.folder / taken.filename).write_bytes(b"")
    (log.folder / claim.filename).write_bytes(b"{")
    assert log.taken_over() == list(log.claims()) == []
    assert log.before(taken) is None


def test_logs_on_one_folder_take_turns(tmp_path: Path) -> None:
    logs = [ClaimLog(tmp_path / "log", 300) for _ in range(3)]
    rng = random.Random(0)
    mine: list[list[Claim]] = [[], [], []]
    while True:
        who = rng.randrange(3)
        claim = logs[who].claim(HERE, str(who), lambda remaining: rng.randrange(1, 4))
        if claim is None:
            break
        mine[who].append(claim)
    everything = check_log(logs[0])
    assert everything[-1].stop == 300
    for who, claims in enumerate(mine):
        assert claims == [c for c in everything if c.shard == str(who)]
    assert list(ClaimLog(tmp_path / "log", 300).claims()) == everything


def test_a_claimant_that_was_away_reads_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, busy = ClaimLog(tmp_path / "log", 10_000), ClaimLog(tmp_path / "log", 10_000)
    away.claim(HERE, "away", lambda n: 1)
    counted = []
    read, taken = ClaimLog.read, NumberedFiles._is_taken
    monkeypatch.setattr(ClaimLog, "read", lambda log, n: counted.append(n) or read(log, n))
    monkeypatch.setattr(
        NumberedFiles, "_is_taken", lambda log, n: counted.append(n) or taken(log, n)
    )
    for _ in range(2000):
        busy.claim(HERE, "busy", lambda n: 1)
    assert len(counted) < 2 * 2000
    counted.clear()
    claim = away.claim(HERE, "away", lambda n: 1)
    assert claim is not None
    assert claim.number == 2001
    assert len(counted) < 40
    counted.clear()
    assert away.n_taken() == 2002
    assert len(counted) < 10


CLAIMANT = """
    import random, sys, time
    from pathlib import Path
    from psyflow.work.claims import ClaimLog
    from psyflow.system.owner import Owner
    log, owner = ClaimLog(Path(sys.argv[1]), int(sys.argv[2])), Owner.here()
    rng = random.Random(int(sys.argv[3]))
    gate = log.folder.with_name("gate")
    Path(f"{gate} {sys.argv[3]}").touch()
    while not gate.exists():
        time.sleep(0.001)
    while log.claim(owner, sys.argv[3], lambda remaining: rng.randrange(1, 5)):
        pass
"""


def test_concurrent_claimants_with_random_deaths(tmp_path: Path) -> None:
    total, rng = 6000, random.Random(1)
    log = ClaimLog(tmp_path / "log", total)
    processes = [script(CLAIMANT, log.folder, total, k) for k in range(8)]
    eventually(lambda: len(list(tmp_path.glob("gate *"))) == 8)
    (tmp_path / "gate").touch()
    n_claims = 0
    for process in rng.sample(processes, 5):
        n_claims += rng.randrange(300)
        eventually(lambda n=n_claims: len(list(log.folder.glob("*"))) > n)
        process.kill()
    for process in processes:
        process.wait(120)
    claims = check_log(log)
    assert claims[-1].stop == total
    owners = {c.shard: c.owner for c in claims}
    assert len(owners) > 2
    assert all(owner.is_dead() for owner in owners.values())


def test_a_log_that_is_shortened_has_nothing_left_and_one_file(tmp_path: Path) -> None:
    log = ClaimLog(tmp_path / "log", 7)
    while log.claim(HERE, "a.rows", lambda remaining: 2):
        pass
    ClaimLog(log.folder, 7).shorten()
    assert [path.name for path in log.folder.iterdir()] == ["00000000"]
    for again in (log, ClaimLog(log.folder, 7)):
        assert again.claim(HERE, "b.rows", lambda remaining: 2) is None
        assert again.n_taken() == 7
    assert [claim.shard for claim in log.claims()] == [""]
