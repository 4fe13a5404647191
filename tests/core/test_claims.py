from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from psyflow.claims import Claim, ClaimLog, Hold, Owner
from psyflow.exceptions import RunHeldError
from psyflow.owner import _birth_mark_by_ps

from .helpers import eventually, script

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


# --------------------------------------------------------------------------- claim log


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
    assert ClaimLog(tmp_path / "none", 5).latest_of("a") is None


def test_a_claim_says_who_where_and_which(tmp_path: Path) -> None:
    claim = ClaimLog(tmp_path / "log", 5).claim(HERE, "a.rows", lambda n: 3)
    assert claim == Claim(0, 0, 3, HERE, "a.rows")
    assert Claim.from_bytes(claim.to_bytes()) == claim
    assert ClaimLog(tmp_path / "log", 5).read(0) == claim


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
        fresh = ClaimLog(tmp_path / "log", 300)
        assert fresh.latest_of(str(who)) == claims[-1]


def test_a_claimant_that_was_away_reads_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, busy = ClaimLog(tmp_path / "log", 10_000), ClaimLog(tmp_path / "log", 10_000)
    away.claim(HERE, "away", lambda n: 1)
    begin = time.process_time()
    for _ in range(2000):
        busy.claim(HERE, "busy", lambda n: 1)
    assert time.process_time() - begin < 2
    counted = []
    read, taken = ClaimLog.read, ClaimLog._taken
    monkeypatch.setattr(ClaimLog, "read", lambda log, n: counted.append(n) or read(log, n))
    monkeypatch.setattr(ClaimLog, "_taken", lambda log, n: counted.append(n) or taken(log, n))
    claim = away.claim(HERE, "away", lambda n: 1)
    assert claim is not None
    assert claim.number == 2001
    assert len(counted) < 40
    counted.clear()
    assert away.latest_of("busy").number == 2000
    assert len(counted) < 10


CLAIMANT = """
    import random, sys
    from pathlib import Path
    from psyflow.claims import ClaimLog, Owner
    log, owner = ClaimLog(Path(sys.argv[1]), int(sys.argv[2])), Owner.here()
    rng = random.Random(int(sys.argv[3]))
    while log.claim(owner, sys.argv[3], lambda remaining: rng.randrange(1, 5)):
        pass
"""


def test_concurrent_claimants_with_random_deaths(tmp_path: Path) -> None:
    total, rng = 6000, random.Random(1)
    log = ClaimLog(tmp_path / "log", total)
    processes = [script(CLAIMANT, log.folder, total, k) for k in range(8)]
    eventually(log.folder.exists)
    for process in rng.sample(processes, 5):
        time.sleep(rng.uniform(0, 0.06))
        process.kill()
    for process in processes:
        process.wait(60)
    claims = check_log(log)
    assert claims[-1].stop == total
    owners = {c.shard: c.owner for c in claims}
    assert len(owners) > 2
    assert all(owner.is_dead() for owner in owners.values())
    for shard in owners:
        assert log.latest_of(shard) == [c for c in claims if c.shard == shard][-1]


# --------------------------------------------------------------------------- owners


def test_the_living_and_the_dead() -> None:
    assert HERE.pid == os.getpid()
    assert HERE.is_dead() is False
    # Another process had this number before, or has it now.
    assert dataclasses.replace(HERE, birth="0:1").is_dead() is True
    assert dataclasses.replace(HERE, host="elsewhere").is_dead() is None
    assert str(HERE) == f"process {os.getpid()} on {HERE.host}"


OWNER = """
    import dataclasses, json, sys, time
    from psyflow.claims import Owner
    print(json.dumps(dataclasses.asdict(Owner.here())), flush=True)
    time.sleep(60)
"""


def test_a_zombie_is_dead() -> None:
    process = script(OWNER, stdout=-1)
    assert process.stdout is not None
    owner = Owner(**json.loads(process.stdout.readline()))
    assert owner.is_dead() is False
    os.kill(process.pid, signal.SIGSTOP)
    assert owner.is_dead() is False
    process.kill()
    eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().split()[2] == "Z")
    assert owner.is_dead() is True
    process.wait()
    process.stdout.close()
    assert owner.is_dead() is True


def test_any_name_of_a_process_is_understood() -> None:
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z (\\xff\\n')\n"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            rename + "".join(line.strip() + "\n" for line in OWNER.split("\n")),
        ],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert Owner(**json.loads(process.stdout.readline())).is_dead() is False
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_birth_by_ps_depends_on_neither_locale_nor_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        subprocess.run(["ps", "-V"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no ps")
    first = _birth_mark_by_ps(os.getpid())
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert first
    assert _birth_mark_by_ps(os.getpid()) == first
    assert _birth_mark_by_ps(2**22 + 1) is None


# --------------------------------------------------------------------------- hold


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


@pytest.mark.parametrize("content", [b"", b'{"owner'])
def test_a_hold_that_a_power_loss_emptied_is_free(tmp_path: Path, content: bytes) -> None:
    hold = Hold(tmp_path / "hold", "x")
    hold.folder.mkdir()
    (hold.folder / "00000004").write_bytes(content)
    assert hold.holder() is None
    hold.acquire()
    assert hold.holder() is not None
    hold.release()


HOLDER = """
    import sys, time
    from pathlib import Path
    from psyflow.claims import Hold
    Hold(Path(sys.argv[1]), "x").acquire()
    print("held", flush=True)
    time.sleep(60)
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


# A lock of the kernel tells, independently, whether two hold at once; dying gives it back, too.
RIVAL = """
    import fcntl, os, random, signal, sys, time
    from pathlib import Path
    from psyflow.claims import Hold
    from psyflow.exceptions import RunHeldError
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    rng, won = random.Random(seed), 0
    end = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < end:
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
        if seed % 2 and won > 20 and rng.random() < 0.01:
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(witness)
        hold.release()
    print(won)
"""


@pytest.mark.parametrize("n_rivals", [2, 8])
def test_never_two_hold_at_once(tmp_path: Path, n_rivals: int) -> None:
    rivals = [script(RIVAL, tmp_path, k, 2.5, stdout=-1, stderr=-1) for k in range(n_rivals)]
    won = 0
    for rival in rivals:
        out, err = rival.communicate(timeout=30)
        assert rival.returncode in (0, -signal.SIGKILL), err
        won += int(out or 0)
    assert won > 100
    Hold(tmp_path / "hold", "x").acquire()
