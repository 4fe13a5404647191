from __future__ import annotations

import os
import signal
from pathlib import Path

from psyflow.system.turn import turn
from tests.support.processes import eventually, script

HOLDER = """
    import sys, time
    from pathlib import Path
    from psyflow.system.turn import turn
    folder = Path(sys.argv[1])
    with turn(folder) as is_ours:
        (folder / f"{sys.argv[2]} {is_ours}").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
    (folder / f"{sys.argv[2]} ended").touch()
"""


def test_one_at_a_time_as_long_as_that_is_short(tmp_path: Path) -> None:
    first = script(HOLDER, tmp_path, "first")
    eventually((tmp_path / "first True").exists)
    (tmp_path / "go").touch()
    with turn(tmp_path) as is_ours:
        assert is_ours
    assert first.wait(60) == 0


def test_nobody_waits_for_long_for_one_that_was_stopped(tmp_path: Path) -> None:
    first = script(HOLDER, tmp_path, "first")
    eventually((tmp_path / "first True").exists)
    os.kill(first.pid, signal.SIGSTOP)
    second = script(HOLDER, tmp_path, "second")
    eventually((tmp_path / "second False").exists)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(60)
    with turn(tmp_path) as is_ours:
        assert is_ours
    (tmp_path / "go").touch()
    assert second.wait(60) == 0


def test_who_waits_for_an_alarm_of_his_own_gets_it(tmp_path: Path) -> None:
    first = script(HOLDER, tmp_path, "first")
    eventually((tmp_path / "first True").exists)
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with turn(tmp_path) as is_ours:
            assert not is_ours
        eventually(lambda: bool(rung))
    finally:
        signal.signal(signal.SIGALRM, before)
        (tmp_path / "go").touch()
    assert first.wait(60) == 0
