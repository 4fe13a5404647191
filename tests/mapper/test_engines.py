"""Evaluating on Dask and Ray, as they are, on this machine."""

from __future__ import annotations

import copyreg
import errno
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import psyflow
from psyflow import Param, map_pspace, map_pspace_hdd_backed, map_pspace_parallel
from psyflow.engines import executors
from psyflow.engines.ray import RayLink
from psyflow.exceptions import ItemsFailedError, PsyflowError
from psyflow.outcomes.shard import ShardReader
from psyflow.store import store_for
from tests.support.processes import PATIENCE, eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def require(module: str) -> Any:
    """Import a module that an engine needs; skip without it, or fail where it has to be there."""
    if os.environ.get("PSYFLOW_REQUIRE_SERVERS") == "1":
        return __import__(module)
    return pytest.importorskip(module)


@pytest.fixture(scope="module", autouse=True)
def as_pickled_before() -> Iterator[None]:
    """Take back what engines do to pickling: they make exceptions pickle that do not."""
    before = copyreg.dispatch_table.copy()
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


@pytest.fixture(scope="module")
def dask() -> Iterator[str]:
    distributed = require("distributed")
    # Else a cluster of this machine gives workers up 15 seconds after they died, though others
    # have taken their places by then.
    patient = {"distributed.deploy.lost-worker-timeout": "1 hour"}
    with (
        require("dask").config.set(patient),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield "dask"


@pytest.fixture(scope="module")
def ray() -> Iterator[str]:
    engine = require("ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield "ray"
        engine.shutdown()


@pytest.fixture(params=["dask", "ray", "loky"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "loky":
        return "loky"
    name: str = request.getfixturevalue(request.param)
    if name == "dask":
        # Those that an earlier test has killed may not have been replaced yet.
        require("distributed").get_client().wait_for_workers(2, timeout=PATIENCE)
    return name


SPACE = Param(a=range(20)) * Param(b=[1, 2])


def test_columns_come_back_in_order(backend: str) -> None:
    found = map_pspace_parallel(lambda a, b: {"c": a * b}, SPACE, 2, backend)
    assert found == {**SPACE.build(), "c": [a * b for a in range(20) for b in (1, 2)]}
    assert all(type(value) is int for value in found["c"])


def test_what_the_function_does_to_its_arguments_stays_there(tmp_path: Path) -> None:
    space = Param(path=[[0]], options={"n": 1}) * Param(b=[1, 2, 3])

    def walk(path: list[int], options: dict[str, int], b: int) -> dict[str, Any]:
        path.append(b)
        return {"end": list(path), "n": options.pop("n")}

    expected = {**space.build(), "end": [[0, 1], [0, 2], [0, 3]], "n": [1, 1, 1]}
    assert map_pspace(walk, space) == expected
    assert map_pspace_parallel(walk, space, 1) == expected
    assert map_pspace_hdd_backed(walk, space, tmp_path / "walk.pkl") == expected


def test_an_empty_space_gives_empty_columns(tmp_path: Path) -> None:
    file = tmp_path / "none.pkl"
    assert map_pspace_hdd_backed(lambda a: {}, Param(a=[]), file) == {"a": []}
    assert map_pspace_hdd_backed(lambda a: {}, Param(a=[]), file, return_data=False) is None


def half(a: int, b: int) -> dict[str, float]:
    if (a, b) == (7, 1):
        raise ZeroDivisionError("seven")
    return {"c": a / b}


def test_one_bad_item_costs_one_item(backend: str) -> None:
    with pytest.raises(ItemsFailedError, match="1 of 40 items failed") as caught:
        map_pspace_parallel(half, SPACE, 2, backend)
    (failure,) = caught.value.failures
    assert failure.exception == "ZeroDivisionError: seven"
    assert failure.pset == {"a": "7", "b": "1"}
    assert "in half" in failure.traceback
    assert caught.value.columns is not None
    assert len(caught.value.columns["c"]) == 39


def test_what_fails_is_run_again_and_the_rest_is_in_the_file(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "all.npz"
    with pytest.raises(ItemsFailedError):
        map_pspace_hdd_backed(half, SPACE, file, pool_size=2, backend=backend)
    assert len(store_for(file).load(file)["c"]) == 39
    marks = tmp_path / "marks"
    marks.mkdir()

    def mended(a: int, b: int) -> dict[str, float]:
        (marks / f"{a}-{b}").touch()
        return {"c": a / b}

    found = map_pspace_hdd_backed(mended, SPACE, file, pool_size=2, backend=backend, keep=True)
    assert found is not None
    assert sorted(found["c"]) == sorted(a / b for a in range(20) for b in (1, 2))
    assert [path.name for path in marks.iterdir()] == ["7-1"]


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_pset_that_kills_its_worker_costs_itself(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(name)

    def deadly(a: int, b: int) -> dict[str, int]:
        if (a, b) == (7, 1):
            os._exit(1)
        return {"c": a}

    file = tmp_path / "all.pkl"
    with pytest.raises(ItemsFailedError, match="1 of 40 items failed") as caught:
        map_pspace_hdd_backed(deadly, SPACE, file, backend=name)
    (failure,) = caught.value.failures
    assert (failure.item, failure.kind, failure.pset) == (14, "crash", {"a": "7", "b": "1"})
    assert len(store_for(file).load(file)["c"]) == 39


class Unloadable:
    """A function whose workers lack what it needs."""

    def __call__(self, a: int, b: int) -> dict[str, int]:
        return {"c": a}

    def __reduce__(self) -> Any:
        return lack_a_module, ()


def lack_a_module() -> None:
    raise ImportError("no such module here")


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_what_no_worker_can_evaluate_is_said_at_once(
    name: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(name)
    said = "(?s)The workers cannot .*no such module here"
    with pytest.raises(PsyflowError, match=said) as e:
        map_pspace_parallel(Unloadable(), SPACE, backend=name)
    assert not isinstance(e.value, ItemsFailedError)


def test_exclude_and_empty_spaces(backend: str) -> None:
    found = map_pspace_parallel(lambda a, b: {"c": a}, SPACE[:3], 2, backend, exclude=["b"])
    assert found == {"a": [0, 0, 1], "c": [0, 0, 1]}
    assert map_pspace_parallel(lambda a: {}, Param(a=[]), 2, backend) == {"a": []}


WITHOUT_WORKERS = """
import warnings
import distributed
import psyflow.engines.dask
from psyflow import Param, map_pspace_parallel

psyflow.engines.dask.LOOK_SECONDS = 0.3
if __name__ == "__main__":
    with (
        distributed.LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as c,
        distributed.Client(c),
    ):
        warn = warnings.warn

        def warn_and_scale(*told, **how):
            warn(*told, **how)
            c.scale(1)

        psyflow.engines.dask.warnings.warn = warn_and_scale
        print(map_pspace_parallel(lambda x: {"y": 2 * x}, Param(x=[1, 2]), backend="dask"))
"""


def test_joblib_has_its_own_processes_after_a_map_by_loky() -> None:
    joblib = require("joblib")
    for _ in range(2):
        table = map_pspace_parallel(lambda x: {"y": x * x}, Param(x=[2, 3]), n_jobs=2)
        assert table["y"] == [4, 9]
        assert joblib.Parallel(2)(joblib.delayed(abs)(x) for x in (-1, 2)) == [1, 2]


@pytest.mark.parametrize("name", ["loky", "multiprocessing"])
def test_machine_without_semaphores_is_told_with_what_to_type(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    require("joblib")
    monkeypatch.setattr("joblib.externals.loky.ProcessPoolExecutor", refused)
    monkeypatch.setattr(executors, "ProcessPoolExecutor", refused)
    monkeypatch.setattr(executors, "_kept", {})
    with pytest.raises(PsyflowError, match=r'Read-only .* /dev/shm; backend="processes"'):
        psyflow.map(lambda x: {"y": x}, [{"x": 1}], backend=name, progress=False)


def test_a_dead_node_of_this_process_fails_no_pset(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = require("ray")

    def died(handle: object) -> None:
        raise ray.exceptions.LocalRayletDiedError

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get", died)
    with pytest.raises(PsyflowError, match=r"raylet died.*Start it again"):
        RayLink().result(None)


def test_dask_without_workers_is_waited_for_and_said(tmp_path: Path) -> None:
    require("distributed")
    script = tmp_path / "without_workers.py"
    script.write_text(WITHOUT_WORKERS)
    words = [sys.executable, str(script)]
    told = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert told.stdout == "{'x': [1, 2], 'y': [2, 4]}\n", told.stderr
    assert "has no workers; waiting for some." in told.stderr


def test_dask_without_a_cluster_says_what_to_type() -> None:
    require("distributed")
    code = (
        "from psyflow import Param, map_pspace_parallel\n"
        "map_pspace_parallel(lambda a: {}, Param(a=[1]), backend='dask')"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "from dask.distributed import Client; client = Client()" in told.stderr


def test_engine_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in (("ray", "ray"), ("dask", "distributed")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(PsyflowError, match=rf"pip install 'psyflow\[{name}\]'"):
            map_pspace_parallel(half, SPACE, 2, name)


DRIVER = """
import sys, time
from pathlib import Path
from psyflow import Param, map_pspace_hdd_backed

FOLDER = Path({folder!r})

def slow(x):
    while x >= 40 and not (FOLDER / "go-on").exists():
        time.sleep(0.01)
    with open(FOLDER / f"{{x}}.called", "a") as log:
        log.write(".")
    return {{"y": x**2}}

if __name__ == "__main__":
    import distributed
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as c:
        with distributed.Client(c):
            map_pspace_hdd_backed(
                lambda x: slow(x), Param(x=range(60)), {file!r}, pool_size=2, backend="dask"
            )
"""


def test_killed_driver_loses_what_was_in_flight_only(tmp_path: Path) -> None:
    require("distributed")
    script, file = tmp_path / "driver.py", tmp_path / "all.pkl"
    script.write_text(DRIVER.format(folder=str(tmp_path), file=str(file)))
    words = [sys.executable, "-W", "ignore", str(script)]
    null = subprocess.DEVNULL
    driver = subprocess.Popen(words, stdout=null, stderr=null, start_new_session=True)
    eventually(lambda: len(kept(file)) >= 20)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not file.exists()
    finished = kept(file)
    (tmp_path / "go-on").touch()
    assert subprocess.run(words, stdout=null, stderr=null, timeout=PATIENCE).returncode == 0
    assert sorted(store_for(file).load(file)["x"]) == list(range(60))
    calls = {path.name: len(path.read_text()) for path in tmp_path.glob("*.called")}
    assert {calls[f"{x}.called"] for x in finished} == {1}, "what was finished was done again"


def kept(file: Path) -> set[int]:
    """Return the items whose results a map that is at work has written."""
    frames = (f for s in Path(f"{file}.run").rglob("*.rows") for f in ShardReader(s).new_frames())
    return {item for frame in frames for item in frame.items.tolist()}
