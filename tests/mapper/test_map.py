"""`psyflow.map` and `psyflow.imap`, as scripts and notebooks call them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import psyflow
from psyflow import Param, Skip
from psyflow.exceptions import PsyflowError, PsyflowWarning, RunHeldError, UsageError
from psyflow.system.guard import group_lives
from tests.support.processes import eventually, script

SPACE = Param(a=range(6)) * Param(b=[1, 2])


def product(a: int, b: int) -> dict[str, int]:
    return {"c": a * b}


def rough(a: int, b: int) -> dict[str, int]:
    """End in each way in which an evaluation can."""
    if (a, b) == (1, 1):
        raise ValueError("one")
    if (a, b) == (2, 2):
        raise Skip("too many twos")
    if (a, b) == (3, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if (a, b) == (4, 2):
        time.sleep(1000)
    return product(a, b)


def quiet(*arguments: Any, **options: Any) -> Any:
    return psyflow.map(*arguments, progress=False, **{"pool_size": 2, **options})


@pytest.mark.parametrize("backend", ["processes", "serial", "threads", "multiprocessing"])
def test_every_backend_gives_the_same_table(backend: str) -> None:
    factor = 3
    results = quiet(lambda a, b: {"c": factor * a * b}, SPACE, backend=backend)
    assert dict(results) == {**SPACE.build(), "c": [3 * a * b for a in range(6) for b in (1, 2)]}
    assert results.parameters == ["a", "b"] and results.is_complete
    assert results.stats.duration.n == 12 and results.stats.memory.max > 1e6


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_any_executor_will_do(make: Callable[[int], Executor]) -> None:
    with make(2) as executor:
        results = quiet(lambda a, b: {"c": a * b}, SPACE, backend=executor)
        assert results["c"] == [a * b for a in range(6) for b in (1, 2)]
        assert executor.submit(int, "7").result() == 7


def test_a_bad_pset_costs_that_pset_alone() -> None:
    results = quiet(rough, SPACE, timeout=0.5)
    assert results.n_rows == 8
    assert results.failures["kind"].tolist() == ["error", "crash", "timeout"]
    assert results.failures.to_psets() == [{"a": 1, "b": 1}, {"a": 3, "b": 1}, {"a": 4, "b": 2}]
    assert results.skipped["reason"].tolist() == ["too many twos"]
    progress = results.progress
    assert (progress.total, progress.finished, progress.failures, progress.exceptions) == (
        *(12, 12, 3, 1),
    )
    again = quiet(product, results.missing.to_psets())
    assert again["c"] == [1, 4, 3, 8]


@pytest.mark.parametrize("backend", ["processes", "serial"])
def test_retries_try_again(backend: str, tmp_path: Path) -> None:
    def flaky(a: int) -> dict[str, int]:
        mark = tmp_path / str(a)
        if not mark.exists():
            mark.touch()
            if a == 1 and backend == "processes":
                os._exit(3)
            raise OSError("not yet")
        return {"b": a}

    results = quiet(flaky, Param(a=[0, 1, 2]), backend=backend, retries=1)
    assert results["b"] == [0, 1, 2]
    assert np.asarray(results.bookkeeping["attempt"]).tolist() == [2, 2, 2]


def test_random_numbers_depend_on_the_seed_and_the_pset_alone() -> None:
    def draw(a: int, rng: np.random.Generator) -> dict[str, float]:
        return {"x": float(rng.random())}

    found = quiet(draw, Param(a=range(20)), seed=3)["x"]
    assert len(set(found)) == 20
    assert quiet(draw, Param(a=range(20)), seed=3, backend="serial")["x"] == found
    alone = psyflow.imap(draw, iter([{"a": 7}]), seed=3)
    assert next(alone).result == {"x": found[7]}


def test_setup_is_called_once_in_each_worker(tmp_path: Path) -> None:
    def setup(worker: int) -> dict[str, int]:
        (tmp_path / f"{worker}-{os.getpid()}").touch()
        return {"factor": 10}

    results = quiet(lambda a, factor: {"b": factor * a}, Param(a=range(50)), setup=setup)
    assert results["b"] == [10 * a for a in range(50)]
    assert 1 <= len(list(tmp_path.iterdir())) <= 2
    with pytest.raises(PsyflowError, match=r"(?s)`setup` failed.*ZeroDivisionError"):
        quiet(lambda a, z: {}, Param(a=[1]), setup=lambda worker: {"z": 1 / worker})


def test_psets_may_be_anything(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    for psets in (rows, iter(rows), {"a": [1, 3], "b": [2, 4]}, pandas.DataFrame(rows)):
        assert list(quiet(product, psets)["c"]) == [2, 12]
    assert quiet(product, SPACE, limit=3)["c"] == [0, 0, 1]
    whole = quiet(lambda pset: {"n": len(pset)}, [{"learning rate": 1}], call="pset")
    assert dict(whole) == {"learning rate": [1], "n": [1]}
    with pytest.warns(PsyflowWarning, match="no psets"):
        assert quiet(product, []).n_rows == 0


def test_outcomes_are_told_as_they_come() -> None:
    told: list[psyflow.mapper.Outcome] = []
    quiet(rough, SPACE, limit=4, on_outcome=told.append)
    assert sorted((o.item, o.is_done) for o in told) == [
        *[(0, True), (1, True), (2, False), (3, True)]
    ]
    assert next(o for o in told if o.item == 3).row == {"a": 1, "b": 2, "c": 2}


def test_enough_failures_end_it() -> None:
    def never(a: int) -> dict[str, int]:
        raise ValueError

    results = quiet(never, Param(a=range(10**6)), max_failures=3)
    assert 3 <= results.progress.failures < 10**5


class Odd:
    def __call__(self, a: int) -> dict[str, int]:
        return {"b": a}


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((SPACE, product), {}, "The function comes first"),
        ((3, SPACE), {}, "has to be a function, not 3"),
        ((product, 3), {}, "The psets are a parameter space, a list of dicts"),
        ((product, "ab"), {}, "The psets are"),
        ((product, [1, 2]), {}, "A pset is a dict of names and values"),
        ((product, [{1: 2}]), {}, "name must be a string, not 1"),
        ((product, Param(a=[1], bb=[2])), {}, '"bb", which `product` does not take'),
        ((product, [{"a": 1, "b": 1, "c d": 1}]), {}, '"c d".*no name that an argument can have'),
        ((product, Param(a=[1])), {}, "`product` takes `b`, which the psets do not have"),
        ((lambda pset: {}, Param(a=[1])), {}, 'call="pset"'),
        ((lambda: {"b": 1}, Param(a=[1])), {"call": "pset"}, 'With call="pset"'),
        ((product, SPACE), {"call": "dict"}, '`call` is "keywords" or "pset"'),
        ((product, SPACE), {"backend": "proceses"}, "Did you mean"),
        ((product, SPACE), {"backend": ProcessPoolExecutor}, "with parentheses"),
        ((product, SPACE), {"pool_size": 0}, "`pool_size` is the number of workers"),
        ((product, SPACE), {"pool_size": "many"}, "`pool_size` is the number of workers"),
        ((product, SPACE), {"timeout": "1h"}, "`timeout` is a number of seconds"),
        ((product, SPACE), {"timeout": 1, "backend": "serial"}, "works with backend="),
        ((product, SPACE), {"retries": -1}, "`retries` is a whole number"),
        ((product, SPACE), {"max_failures": 1.5}, "or a share of them"),
        ((product, SPACE), {"limit": -1}, "`limit` is a whole number"),
        ((product, SPACE), {"seed": 1}, "`product` does not take `rng`"),
        ((product, SPACE), {"setup": 3}, "`setup` has to be a function"),
        ((product, SPACE), {"on_outcome": 3}, "`on_outcome` has to be a function"),
    ],
)
def test_mistakes_are_told_in_a_sentence_before_anything_runs(
    arguments: tuple[Any, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        quiet(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_a_function_that_returns_no_dict_is_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"^`<lambda>` returned 2, of type int. It has to return"):
        quiet(lambda a: a + 1, Param(a=range(1, 10**6)), pool_size=1)


def test_what_cannot_be_pickled_is_told_before_anything_runs(tmp_path: Path) -> None:
    lock = threading.Lock()

    def locked(a: int) -> dict[str, int]:
        with lock:
            return {"b": a}

    assert quiet(locked, Param(a=[1, 2]))["b"] == [1, 2]
    with ProcessPoolExecutor(1) as executor, pytest.raises(UsageError, match="cannot be sent"):
        quiet(locked, Param(a=[1, 2]), backend=executor)
    with pytest.raises(UsageError, match="`a` has a value that cannot be sent to a worker"):
        list(psyflow.imap(Odd(), iter([{"a": lock}])))
    assert quiet(lambda f: {"y": f(3)}, [{"f": lambda x: x + 1}])["y"] == [4]


def test_imap_takes_no_more_than_it_needs_and_leaves_nothing_behind() -> None:
    taken = 0

    def endless() -> Iterator[dict[str, int]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"a": taken}

    def with_child(a: int) -> dict[str, int]:
        if a == 1:
            subprocess.Popen(["sleep", "1000"])
        return {"group": os.getpid()}

    groups = set()
    for outcome in psyflow.imap(with_child, endless(), pool_size=2):
        assert outcome.result is not None
        groups.add(outcome.result["group"])
        if outcome.item > 100:
            break
    # The loop has let go of it, and so has this: the generator is gone.
    eventually(lambda: not any(group_lives(group) for group in groups))
    assert taken < 10**6


def test_imap_calls_each_pset_with_the_names_that_it_has() -> None:
    def count(**pset: int) -> dict[str, int]:
        return {"n": len(pset)}

    psets = [{"a": 1}, {"a": 1, "b": 2}, {}, {"b": 3}]
    found = {outcome.item: outcome for outcome in psyflow.imap(count, iter(psets))}
    assert [found[item].row["n"] for item in range(4)] == [1, 2, 0, 1]
    assert [found[item].pset for item in range(4)] == psets


def test_a_process_that_a_pset_has_broken_is_replaced() -> None:
    def nasty(a: int) -> dict[str, int]:
        if a == 3:
            import builtins

            builtins.len = None  # type: ignore[assignment]
        return {"b": a}

    results = quiet(nasty, Param(a=range(8)), pool_size=1)
    assert results["a"] == [0, 1, 2, 4, 5, 6, 7]
    assert "len" in results.failures["exception"][0]


def test_a_script_needs_no_guard_and_workers_print_where_it_does(tmp_path: Path) -> None:
    source = """
        import psyflow
        def shout(a):
            print(f"at {a}" + chr(10), end="")  # in one go, for there are two
            return {"b": a}
        print(psyflow.map(shout, [{"a": 1}, {"a": 2}], pool_size=2)["b"])
    """
    ran = script(source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    out, err = ran.communicate()
    assert (sorted(out.splitlines()), err) == (["[1, 2]", "at 1", "at 2"], "")
    assert not list(tmp_path.iterdir())


def test_a_script_that_would_start_itself_again_is_told_what_to_write(tmp_path: Path) -> None:
    file = tmp_path / "again.py"
    file.write_text(
        "import multiprocessing, psyflow\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "def f(a): return {'b': a}\n"
        "pool = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))\n"
        "psyflow.map(f, [{'a': 1}], backend=pool)\n"
    )
    ran = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 1
    assert 'if __name__ == "__main__":' in ran.stderr
    assert ran.stderr.count("exceptions.UsageError:") == 1


INTERRUPTED = """
    import os, sys, time, psyflow
    told = []
    def tell(outcome):
        told.append(outcome)
        if len(told) == 3:
            open(sys.argv[1], "w").close()
    def f(a):
        if a == 3:
            try:
                time.sleep(1000)
            finally:
                while True:
                    pass
        return {"b": a}
    try:
        psets, folder = psyflow.Param(a=range(5)), sys.argv[2] or None
        psyflow.map(f, psets, pool_size=1, workdir=folder, on_outcome=tell)
    except KeyboardInterrupt as error:
        print(sorted(error.results["b"]), len(error.results.missing.to_psets()))
"""


@pytest.mark.parametrize("folder", ["", "kept"])
def test_ctrl_c_keeps_what_is_done_and_returns_at_once(tmp_path: Path, folder: str) -> None:
    running = tmp_path / "running"
    process = script(INTERRUPTED, running, folder, stdout=subprocess.PIPE, cwd=tmp_path)
    eventually(running.exists)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out == "[0, 1, 2] 2\n"
    assert folder == "" or psyflow.load(tmp_path / folder)["b"] == [0, 1, 2]


def test_a_map_in_a_folder_goes_on_after_a_kill(tmp_path: Path) -> None:
    source = """
        import os, sys, psyflow
        from pathlib import Path
        here = Path(sys.argv[1])
        def f(a):
            with (here / "calls").open("a") as file:
                print(a, file=file)
            if a == 30 and not (here / "killed").exists():
                (here / "killed").touch()
                while True:
                    pass
            return {"b": a}
        results = psyflow.map(f, psyflow.Param(a=range(40)), pool_size=1, workdir=here / "kept")
        print(results["b"] == list(range(40)), results.stats.duration.n)
    """
    first = script(source, tmp_path)
    eventually((tmp_path / "killed").exists)
    eventually(lambda: list(tmp_path.glob("kept/out/*.rows")))
    first.kill()
    first.wait()
    done = psyflow.load(tmp_path / "kept").n_rows
    assert 0 < done <= 30
    again = script(source, tmp_path, stdout=subprocess.PIPE)
    assert again.communicate()[0] == "True 40\n"
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == 31 + 40 - done


def test_a_folder_is_a_run_for_all_who_read_one(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    assert quiet(rough, SPACE, limit=4, workdir=folder).n_rows == 3
    calls: list[Any] = []
    results = quiet(rough, SPACE, limit=4, workdir=folder, on_outcome=calls.append)
    assert [outcome.item for outcome in calls] == [2]
    assert results.failures["exception"].tolist() == ["ValueError: one"]
    psy = [sys.executable, "-m", "psyflow"]
    told = subprocess.run([*psy, "status", "kept"], cwd=tmp_path, capture_output=True, text=True)
    assert told.stdout == "kept:\n  3 out of 4 rows completed.\n\n", told.stderr
    # Another function: the results of the first are put aside.
    assert quiet(lambda a, b: {"c": -a * b}, SPACE, limit=4, workdir=folder)["c"] == [0, 0, -1, -2]
    assert len(list((folder / "archive").iterdir())) == 1


def test_a_folder_has_one_map_at_a_time(tmp_path: Path) -> None:
    def inner(a: int) -> dict[str, bool]:
        try:
            quiet(product, SPACE, workdir=tmp_path / "kept", backend="serial")
        except RunHeldError:
            return {"held": True}
        return {"held": False}

    results = quiet(inner, Param(a=[1]), workdir=tmp_path / "kept")
    assert results["held"] == [True]
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(UsageError, match="that no map has made"):
        quiet(product, SPACE, workdir=tmp_path)


def test_workers_are_no_forks_of_a_process_that_uses_a_gpu(tmp_path: Path) -> None:
    source = """
        import os, sys, types
        import psyflow
        # As torch is after it has used a GPU.
        sys.modules["torch.cuda"] = types.SimpleNamespace(is_initialized=lambda: True)
        parent = os.getpid()
        def forked(x):
            return {"forked": "torch.cuda" in sys.modules, "there": os.getpid() != parent}
        results = psyflow.map(forked, [{"x": 1}, {"x": 2}], pool_size=2, progress=False)
        print([*results["forked"]], [*results["there"]])
        file = psyflow.map_pspace_hdd_backed(forked, [{"x": 1}], "file.npz", pool_size=2)
        print([bool(value) for value in file["forked"]])
        try:
            psyflow.map(forked, [{"x": 1}], timeout=1)
        except psyflow.exceptions.UsageError as error:
            print(error)
    """
    ran = script(source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    out, err = ran.communicate()
    told = (
        "[False, False] [True, True]\n[False]\nThis process uses a GPU, which its forks could not"
    )
    assert out.startswith(told), out + err
