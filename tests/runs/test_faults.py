"""Whatever dies, finished evaluations are there, and only what is missing runs again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time

import pytest

from psyflow.exceptions import DamagedShardWarning
from psyflow.outcomes.beside import packed_file
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.jobs import Jobs
from psyflow.record.layout import Layout
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef
from tests.support.processes import PATIENCE, children_of, eventually, is_guard, jobs_of
from tests.support.study import Study

SLOW = """
{settings}
pspace = Param(x=range({n}))
def execute(x):
    time.sleep({seconds})
    note(x=x)
    return {{"y": x**2}}
"""

GATED = """
{settings}
pspace = Param(x=range({n}))
def execute(x):
    if x >= {free}:
        wait_at_gate()
    note(x=x)
    return {{"y": x**2}}
"""


UNTIL_TOLD = """
{settings}
pspace = Param(x=range({n}))
def execute(x, ctx):
    while x >= {free} and not (ctx.should_stop() or GATE.exists()):
        time.sleep(0.01)
    note(x=x)
    return {{"y": x**2}}
"""


@pytest.fixture
def study(study: Study) -> Study:
    # What it leaves behind can be told from other processes.
    study.is_apart = True
    return study


def supervisors(study: Study) -> list[int]:
    """Return the processes at work that the task's run has on record."""
    root = study.folder / "psy-work" / "t"
    return [owner.pid for owner in Jobs(Layout(root, "t", root / "result.npz")).processes()]


def n_done(study: Study) -> int:
    return int(study.psy("status").stdout.split("\n")[1].split()[0])


def workers(supervisor: int) -> list[int]:
    return [child for child in children_of(supervisor) if not is_guard(child)]


def check_complete(study: Study, n: int) -> None:
    assert study.rows() == [(x, x * x) for x in range(n)]
    study.wait_until_gone()
    left = [
        p for p in study.folder.rglob("*") if p.name.startswith(".psytmp") or ".new." in p.name
    ]
    assert left == []


# Each victim with each backend, and each backend with each store. `tests/chaos.py` draws the rest.
@pytest.mark.parametrize(
    ("victim", "backend", "store"),
    [
        ("psy", "DistributeBackend", "pkl"),
        ("psy", "LoadBalancingBackend", "npz"),
        ("server", "DistributeBackend", "h5"),
        ("server", "LoadBalancingBackend", "pkl"),
        ("supervisor", "DistributeBackend", "npz"),
        ("supervisor", "LoadBalancingBackend", "h5"),
        ("worker", "DistributeBackend", "pkl"),
        ("worker", "LoadBalancingBackend", "npz"),
        ("all", "DistributeBackend", "h5"),
        ("all", "LoadBalancingBackend", "pkl"),
    ],
)
def test_kill_at_a_random_moment(study: Study, victim: str, backend: str, store: str) -> None:
    settings = (
        f"from psyflow import {backend}\nbackend = {backend}\nstore = '.{store}'\npool_size = 2\n"
    )
    study.task(SLOW.format(settings=settings, n=150, seconds=0.004))
    chance = random.Random(f"{backend}{store}{victim}")
    for _ in range(3):
        psy = study.start("run")
        time.sleep(chance.uniform(0.3, 0.8))
        doomed = {"psy": [psy.pid], "supervisor": supervisors(study)}
        doomed["server"] = children_of(psy.pid)
        doomed["worker"] = [c for pid in supervisors(study) for c in workers(pid)][:1]
        doomed["all"] = [*doomed["psy"], *doomed["supervisor"], *doomed["worker"]]
        for pid in doomed[victim]:
            # It may have ended first: a random moment like any other.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        psy.communicate(timeout=PATIENCE)
    study.psy("run", code=0)
    check_complete(study, 150)


def test_kill_half_way_recomputes_little(study: Study) -> None:
    body = GATED.format(settings="pool_size = 2", n=1000, free=600)
    study.task(body.replace("    note", "    time.sleep(0.005)\n    note"))
    psy = study.start("run")
    study.wait_for_calls(500)
    for pid in [psy.pid, *supervisors(study)]:
        os.kill(pid, signal.SIGKILL)
    psy.communicate()
    study.wait_until_gone()
    first = len(study.calls())
    study.open_gate()
    study.psy("run")
    # At most a second of results of each of two workers, and what was running.
    assert first + len(study.calls()) <= 1000 + 2 * 200 + 2
    check_complete(study, 1000)


def test_done_in_status_stays_done(study: Study) -> None:
    study.task(GATED.format(settings="pool_size = 2", n=200, free=120))
    psy = study.start("run")
    study.wait_for_calls(120)
    counted = eventually(lambda: n_done(study))
    for pid in [psy.pid, *supervisors(study)]:
        os.kill(pid, signal.SIGKILL)
    psy.communicate()
    study.wait_until_gone()
    assert n_done(study) >= counted


def test_interrupt_lets_running_items_finish(study: Study) -> None:
    study.task(UNTIL_TOLD.format(settings="pool_size = 2", n=100, free=4))
    psy = study.start("run")
    study.wait_for_calls(4)
    os.killpg(psy.pid, signal.SIGINT)
    _, err = psy.communicate(timeout=PATIENCE)
    assert psy.returncode == 130
    assert "Continue with: psy run t" in err
    study.wait_until_gone()
    n_calls = len(study.calls())
    assert f"{n_calls} of 100 done" in err
    study.open_gate()
    study.psy("run")
    assert len(study.calls()) == 100 - n_calls
    check_complete(study, 100)


def test_sigterm_to_psy_alone_does_the_same(study: Study) -> None:
    study.task(UNTIL_TOLD.format(settings="", n=100, free=3))
    psy = study.start("run")
    study.wait_for_calls(3)
    psy.terminate()
    _, err = psy.communicate(timeout=PATIENCE)
    assert psy.returncode == 130, err
    n_calls = len(study.calls())
    study.open_gate()
    study.psy("run")
    assert len(study.calls()) == 100 - n_calls


def test_two_runs_at_once(study: Study) -> None:
    study.task(GATED.format(settings="", n=20, free=1))
    first = study.start("run")
    study.wait_for_calls(1)
    second = study.psy("run", code=3)
    study.open_gate()
    assert f"process {first.pid} on" in second.stderr
    assert first.wait(timeout=PATIENCE) == 0
    assert len(study.calls()) == 20


def test_many_runs_at_once(study: Study) -> None:
    study.task(SLOW.format(settings="", n=5, seconds=0.02))
    runs = [study.start("run") for _ in range(6)]
    codes = [run.wait(timeout=PATIENCE) for run in runs]
    assert 0 in codes and set(codes) <= {0, 3}
    assert len(study.calls()) == 5
    check_complete(study, 5)


def test_editing_the_task_while_it_runs_changes_nothing_of_this_run(study: Study) -> None:
    (study.tasks / "helper.py").write_text("def f(x):\n    return x**2\n")
    body = GATED.format(settings="", n=20, free=2).replace(
        "    return", "    from helper import f\n    return"
    )
    study.task(body.replace('"y": x**2', '"y": f(x)'))
    psy = study.start("run")
    study.wait_for_calls(2)
    study.task("1/0")
    (study.tasks / "helper.py").write_text("1/0")
    study.open_gate()
    assert psy.wait(timeout=PATIENCE) == 0
    check_complete(study, 20)


def test_load_and_status_while_it_runs(study: Study) -> None:
    body = GATED.format(settings="store = '.h5'\npool_size = 2", n=60, free=40)
    study.task(body.replace("    note", "    time.sleep(0.05)\n    note"))
    psy = study.start("run")
    study.wait_for_calls(20)
    seen = -1
    while psy.poll() is None:
        rows = study.rows()
        assert len(rows) >= seen
        assert all(y == x * x for x, y in rows)
        assert [x for x, _ in rows] == sorted(x for x, _ in rows)
        seen = len(rows)
        if seen >= 40:
            study.open_gate()
    assert psy.returncode == 0
    check_complete(study, 60)


def test_kill_command_ends_the_run_of_another_terminal(study: Study) -> None:
    study.task("pspace = Param(x=[1])\ndef execute(x):\n    note(x=x)\n    time.sleep(3600)\n")
    psy = study.start("run")
    study.wait_for_calls(1)
    stranger = subprocess.Popen(["sleep", "3600"])
    try:
        assert "process" in study.psy("kill", "t").stdout
        assert psy.wait(timeout=PATIENCE) == 130
        study.wait_until_gone()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("step", ["prepare", "move", "commit", "remove_shards"])
def test_death_while_results_are_replaced(
    study: Study, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Replace a merged result by an extended one, and die between any two of the renames."""
    study.task(SLOW.format(settings="", n=5, seconds=0))
    study.psy("run")
    study.task(SLOW.format(settings="", n=8, seconds=0).replace("range(8)", "[7, *range(7)]"))
    monkeypatch.chdir(study.folder)
    run = Run(TaskDef(study.tasks / "task_t.py"))
    plan = begin(run)
    assert plan is not None
    run.here.split(plan)
    assert run.here.process(plan) == 0

    class DiedError(Exception):
        pass

    def die(*args: object) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        if step in ("move", "remove_shards"):
            patch.setattr(f"psyflow.runs.merge.{step}", die)
        else:
            patch.setattr(ItemsFile, step, die)
        with pytest.raises(DiedError):
            run.here.merge(plan)
    run.release()
    study.calls()
    study.psy("run")
    assert study.calls() == []
    assert study.rows() == [(x, x * x) for x in [7, *range(7)]]
    work = study.folder / "psy-work" / "t"
    assert [path for path in work.iterdir() if ".new." in path.name] == []
    assert list((work / "out").iterdir()) == []


def test_flipped_bit_in_a_shard_costs_its_items_only(study: Study) -> None:
    # Items that take longer than `WRITE_SECONDS` are written one by one, or two.
    study.task(
        """
pspace = Param(x=range(30))
def execute(x):
    note(x=x)
    time.sleep(0.1)
    if x == 29: raise ValueError
    return {"y": x**2}
"""
    )
    study.psy("run", code=1)
    study.calls()
    (study.folder / "psy-work/t/result.pkl").unlink()
    shard = next(study.folder.glob("psy-work/t/out/*.0-0.rows"))
    packed_file(shard).unlink()
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    run = study.psy("run", code=1)
    assert 1 < len(study.calls()) < 30, run.stderr
    with pytest.warns(DamagedShardWarning):
        assert study.rows() == [(x, x * x) for x in range(29)]


def test_damaged_result_is_named_and_only_it_runs_again(study: Study) -> None:
    study.task(SLOW.format(settings="store = '.h5'", n=5, seconds=0))
    study.psy("run")
    study.calls()
    result = study.folder / "psy-work/t/result.h5"
    result.write_bytes(result.read_bytes()[:500])
    run = study.psy("run")
    assert "result.h5" in run.stderr
    assert len(study.calls()) == 5
    check_complete(study, 5)


def test_flipped_bit_in_a_frozen_space_is_no_other_space(study: Study) -> None:
    body = "pspace = Param(x={})\ndef execute(x):\n    note(x=x)\n    return {{'y': x**2}}\n"
    study.task(body.format([11, 12]))
    study.psy("run")
    study.calls()
    (space,) = study.folder.glob("psy-work/t/plans/*/pspace.pkl")
    space.write_bytes(space.read_bytes().replace(b"K\x0c", b"K\x0d"))
    study.task(body.format([11, 12, 13]))
    study.psy("run")
    # The bookkeeping has the keys of the rows as well, so that nothing else runs again.
    assert len(study.calls()) == 1
    assert study.rows() == [(11, 121), (12, 144), (13, 169)]


@pytest.mark.parametrize(
    "damaged", ["plan.json", "items.npz", "plans/*/plan.json", "plans/*/pspace.pkl"]
)
@pytest.mark.parametrize("how", ["empty", "flipped", "gone"])
def test_damaged_files_of_a_run_cost_no_result(study: Study, damaged: str, how: str) -> None:
    study.task(SLOW.format(settings="", n=5, seconds=0))
    study.psy("run")
    study.calls()
    (path,) = study.folder.glob(f"psy-work/t/{damaged}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.unlink() if how == "gone" else path.write_bytes(b"" if how == "empty" else bytes(data))
    study.task(SLOW.format(settings="", n=6, seconds=0))
    study.psy("run")
    assert len(study.calls()) == 1
    check_complete(study, 6)


def test_result_of_another_store_is_found_without_bookkeeping(study: Study) -> None:
    study.task(SLOW.format(settings="", n=5, seconds=0))
    study.psy("run")
    study.calls()
    (study.folder / "psy-work/t/items.npz").unlink()
    study.task(SLOW.format(settings="store = '.npz'", n=6, seconds=0))
    study.psy("run")
    assert len(study.calls()) == 1
    check_complete(study, 6)


def test_what_an_overdue_item_started_does_not_outlive_it(study: Study) -> None:
    study.task(
        """
import subprocess
timeout = 0.5
pspace = Param(x=[1])
def execute(x):
    subprocess.run(["sh", "-c", f"trap '' TERM; sleep 3600; echo {Path(__file__).parent.parent}"])
    return {"y": x}
"""
    )
    study.psy("run", code=1)
    study.wait_until_gone()


@pytest.mark.parametrize("heeds", [True, False])
def test_what_an_item_started_does_not_outlive_a_killed_supervisor(
    study: Study, heeds: bool
) -> None:
    trap = "" if heeds else "trap '' TERM; "
    begins = f"touch {study.folder}/begun"
    study.task(
        f"""
import subprocess
pspace = Param(x=[1])
def execute(x):
    subprocess.run(["sh", "-c", "{trap}{begins}; sleep 3600; echo over"])
    return {{"y": x}}
"""
    )
    with study.start("run") as psy:
        eventually((study.folder / "begun").exists)
        (supervisor,) = jobs_of(psy.pid)
        os.kill(supervisor, signal.SIGKILL)
        psy.communicate(timeout=PATIENCE)
    study.wait_until_gone()


def test_file_beside_a_chosen_result_file_is_somebody_elses(study: Study) -> None:
    (study.folder / "data.npz").write_bytes(b"not ours")
    settings = f"store = '.pkl'\nresultfile = {str(study.folder / 'data.pkl')!r}"
    study.task(SLOW.format(settings=settings, n=3, seconds=0))
    study.psy("run")
    assert (study.folder / "data.npz").read_bytes() == b"not ours"
    assert study.rows() == [(x, x * x) for x in range(3)]


def test_store_that_does_not_write_all_rows_replaces_nothing(study: Study) -> None:
    lazy = """
from psyflow import PickleStore
class Lazy(PickleStore):
    def write(self, filename, blocks):
        self.save(filename, next(iter(blocks)))
store = Lazy()
"""
    study.task(SLOW.format(settings=lazy, n=3, seconds=0))
    told = study.psy("run", code=3)
    assert "Lazy has not written all rows to" in told.stderr
    assert len(study.calls()) == 3
    study.task(SLOW.format(settings="store = '.pkl'", n=3, seconds=0))
    study.psy("run")
    assert study.calls() == []
    check_complete(study, 3)


def test_what_a_worker_left_that_was_killed_while_it_claimed_goes_with_the_shards(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.task(SLOW.format(settings="", n=3, seconds=0))
    monkeypatch.chdir(study.folder)
    run = Run(TaskDef(study.tasks / "task_t.py"))
    plan = begin(run)
    assert plan is not None
    run.here.split(plan)
    assert run.here.process(plan) == 0
    (plan.frozen.claims(0) / ".psytmp-1-0badcafe").write_text("half a cl")
    run.here.merge(plan)
    run.release()
    check_complete(study, 3)


def test_what_is_left_of_a_merge_is_no_reason_to_fail_where_nothing_may_be_written(
    study: Study,
) -> None:
    study.task(SLOW.format(settings="", n=3, seconds=0))
    study.psy("run")
    work = study.folder / "psy-work" / "t"
    left = work / "out" / "20260101T000000-abcdef.0.01234567.0-0.rows"
    left.write_bytes(b"")
    # As in somebody else's folder: the hold cannot be taken.
    hold = work / "hold"
    hold.rename(work / "hold.aside")
    hold.write_text("")
    assert study.executed(study.psy("run").stdout) == []
    assert left.exists()
    hold.unlink()
    assert study.executed(study.psy("run").stdout) == []
    assert not left.exists()
