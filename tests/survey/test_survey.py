"""The words of paramsurvey; numbers are those of the list of what they do."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pandas")

import pandas

from psyflow import survey

README = """
import time
from psyflow import survey as paramsurvey


def sleep_worker(pset, system_kwargs, user_kwargs):
    time.sleep(pset['duration'])
    return {'slept': pset['duration']}


paramsurvey.init(backend='multiprocessing')  # or 'ray', if you installed it

psets = [{'duration': 0.3}] * 5

results = paramsurvey.map(sleep_worker, psets, verbose=2)

for r in results.itertuples():
    print(r.duration, r.slept)
for r in results.iterdicts():
    print(r['duration'], r['slept'])
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("PARAMSURVEY_"):
            monkeypatch.delenv(name)
    yield tmp_path
    survey.finalize()


def log_of(place: Path) -> str:
    (file,) = place.glob(".paramsurvey-*.log")
    return file.read_text()


def half(pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
    if pset["x"] == 3:
        raise ValueError("three")
    return {"half": pset["x"] / 2, "pid": os.getpid()}


def mapped(worker: Any, psets: Any, **keywords: Any) -> survey.MapResults:
    results = survey.map(worker, psets, **keywords)
    assert results is not None
    return results


# V1 V2 V3 V4 V5 V18
def test_the_example_runs_word_for_word(place: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", README], capture_output=True, text=True)
    assert ran.stdout == "0.3 0.3\n" * 10, ran.stderr
    assert "sleep_worker: 5 of 5 items done, 0 failed" in ran.stderr
    assert "begin on" in log_of(place) and log_of(place).endswith(" end\n")


# V3 V6 V7 V8 V9 V20 V23 V25 V42
def test_results_missing_progress_and_stats() -> None:
    survey.init(verbose=0, ncores=2)
    results = mapped(half, pandas.DataFrame({"x": [1, 3, 4]}))
    assert results.results["x"].tolist() == [1, 4]
    assert results.to_df()["half"].tolist() == [0.5, 2.0]
    assert [row["half"] for row in results.to_dict("records")] == [0.5, 2.0]
    with pytest.raises(ValueError, match="records"):
        results.to_dict("list")
    assert results.missing["_exception"].tolist() == ["ValueError: three"]
    assert "in half" in results.missing["_traceback"][0]
    assert results.missing.to_psets() == [{"x": 3}]
    progress = results.progress
    assert (progress.total, progress.active, progress.finished) == (3, 0, 3)
    assert (progress.failures, progress.exceptions) == (1, 1)
    assert results.stats.duration.n == 2

    def mended(
        pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any
    ) -> dict[str, Any] | None:
        return {"half": 1.5} if pset.get("y") != 1 else None

    again = mapped(mended, [*results.missing.to_psets(), {"x": 5, "y": 1}])
    assert again.results["half"].tolist()[0] == 1.5
    assert again.results.isna().to_numpy().tolist() == [[False, True, False], [False, False, True]]


# V10 V11 V18 V23
@pytest.mark.parametrize(
    ("level", "said", "unsaid"),
    [
        (0, (), ("half",)),
        (1, ("1 failed",), ("Traceback", "done in")),
        (2, ("1 failed", "Traceback", "each took"), ("done in",)),
        (3, ("Traceback", "done in", "each took"), ()),
    ],
)
def test_verbosity(
    level: int,
    said: tuple[str, ...],
    unsaid: tuple[str, ...],
    place: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    survey.init(verbose=level, vstats=level)
    mapped(half, [{"x": 1}, {"x": 3}])
    out, err = capfd.readouterr()
    assert out == ""
    assert all(text in err for text in said) and not any(text in err for text in unsaid)
    survey.finalize()
    # Whatever was said, the file has the exception.
    assert "ValueError: three" in log_of(place) and "in half" in log_of(place)


# V12 V13 V14 V15 V35
def test_limit_cores_groups_and_tasks_per_child() -> None:
    psets = [{"x": 4}] * 12
    survey.init(verbose=0, ncores=1, max_tasks_per_child=5, group_size=4)
    assert survey.current_core_count() == 1 and survey.backend() == "multiprocessing"
    assert survey.current_resources()[0]["num_cores"] == 1
    results = mapped(half, psets)
    assert len(results.results) == 12
    assert results.results.groupby("pid").size().max() == 5
    assert len(mapped(half, psets, limit=3).results) == 3
    assert len(mapped(half, psets, limit=0, group_size=2).results) == 12
    survey.finalize()
    survey.init(ncores=-1)
    assert survey.current_core_count() == max(1, len(os.sched_getaffinity(0)) - 1)


# V16 V17
def test_the_environment_is_over_map_which_is_over_init(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    psets = [{"x": 4}] * 6
    survey.init(verbose=0, limit=3)
    assert len(mapped(half, psets).results) == 3
    assert len(mapped(half, psets, limit=4).results) == 4
    monkeypatch.setenv("PSYFLOW_LIMIT", "5")
    assert len(mapped(half, psets, limit=4).results) == 5
    monkeypatch.setenv("PARAMSURVEY_LIMIT", "2")
    assert len(mapped(half, psets, limit=4).results) == 2
    survey.finalize()
    monkeypatch.setenv("PARAMSURVEY_BACKEND", "serial")
    monkeypatch.setenv("PARAMSURVEY_VERBOSE", "")
    survey.init(backend="multiprocessing")
    assert survey.backend() == "serial"
    assert "PARAMSURVEY_VERBOSE is empty" in capfd.readouterr().err
    monkeypatch.setenv("PARAMSURVEY_LIMIT", "few")
    with pytest.raises(ValueError, match="PARAMSURVEY_LIMIT has to be a whole number"):
        mapped(half, psets)


# V21 V33 V34
def test_keywords_that_are_wrong_are_told() -> None:
    survey.init(verbose=0, ray={"address": "auto"})
    psets = [{"x": 1}]
    assert len(mapped(half, psets, ray={"num_gpus": 1}).results) == 1
    with pytest.raises(TypeError, match="no keyword `verbos`"):
        survey.map(half, psets, verbos=1)
    for name in ("backend", "ncores", "max_tasks_per_child"):
        with pytest.raises(ValueError, match="of init"):
            survey.map(half, psets, **{name: 1})
    with pytest.warns(UserWarning, match="ignored"):
        survey.init()
    with pytest.raises(RuntimeError, match="finalize"):
        survey.init(backend="serial")
    survey.finalize()
    with pytest.raises(ValueError, match='Did you mean "multiprocessing"'):
        survey.init(backend="multiprocesing")
    survey.init(verbose=0)
    assert survey.map(half, []) is None


# V37 V38
def test_psets_and_results_that_are_wrong_are_told() -> None:
    survey.init(verbose=0)
    for name in ("a b", "class", "_hidden", "_exception"):
        with pytest.raises(ValueError, match=f'A pset has "{name}"'):
            survey.map(half, [{name: 1}])
    with pytest.raises(ValueError, match="A pset is a dict"):
        survey.map(half, [1])
    with pytest.raises(TypeError, match="The worker comes first"):
        survey.map([{"x": 1}], half)
    results = mapped(lambda pset, system_kwargs, user_kwargs: 3, [{"x": 1}, {"x": 2}])
    assert len(results.missing) == 2
    assert "has to return a dict, or None" in results.missing["_exception"][0]


# V2 V30 V32
def test_what_workers_are_given(place: Path) -> None:
    (place / "sub").mkdir()
    heard: list[Any] = []

    def nested(pset: Any, system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
        found = {"cwd": Path.cwd().name, "sub": system_kwargs["out_subdir"]}
        return {"y": pset["x"] * user_kwargs["factor"], **found}

    survey.init(verbose=0)
    results = mapped(
        nested,
        [{"x": 1}, {"x": 2}],
        out_func=lambda row, system_kwargs, user_kwargs: heard.append((row["y"], user_kwargs)),
        user_kwargs={"factor": 3},
        chdir="sub",
        out_subdirs=10,
        name="nested",
        keep_results=False,
    )
    assert sorted(heard) == [(3, {"factor": 3}), (6, {"factor": 3})]
    assert list(results.results) == ["x"] and results.progress.finished == 2


# V22 V24
def test_resources_of_psets_on_ray_and_nodes_that_are_lost(place: Path) -> None:
    if os.environ.get("PSYFLOW_REQUIRE_SERVERS") != "1":
        pytest.importorskip("ray")
    source = """
        import os, signal
        from pathlib import Path
        from psyflow import survey
        def worker(pset, system_kwargs, user_kwargs):
            import ray
            mark = Path(user_kwargs, str(pset["x"]))
            if pset["x"] == 2 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return {"cpus": ray.get_runtime_context().get_assigned_resources()["CPU"]}
        ray = {"num_cpus": 2, "include_dashboard": False, "log_to_driver": False}
        survey.init(backend="ray", verbose=0, ray=ray)
        psets = [{"x": 1}, {"x": 2, "ray": {"num_cores": 2}}]
        results = survey.map(worker, psets, user_kwargs=os.getcwd(), ray={"num_cpus": 1})
        print(survey.current_core_count(), sorted(results.results["cpus"]))
        survey.finalize()
    """
    code = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(source)]
    ran = subprocess.run(code, capture_output=True, text=True)
    assert ran.stdout.endswith("2 [1.0, 2.0]\n"), ran.stderr


# V26 V40
def test_utils() -> None:
    assert 0.001 < survey.utils.vmem() < 100
    survey.init(verbose=0)
    results = mapped(
        survey.utils.subprocess_run_worker,
        [{"run_args": ["echo", "hello"]}],
        user_kwargs={"run_kwargs": {"capture_output": True, "text": True}},
    )
    assert results.results["cli"][0].stdout == "hello\n"
    missing = mapped(survey.utils.subprocess_run_worker, [{"run_args": "echo hello"}]).missing
    assert "shell" in missing["_traceback"][0]


# V27 V28
def test_params() -> None:
    product, add_column = survey.params.product, survey.params.add_column
    frame = product({"a": [1, 2], "b": ["x", "y"]}, pandas.Series([0.5], name="c"))
    assert frame.to_dict("list") == {
        "a": [1, 1, 2, 2],
        "b": ["x", "y", "x", "y"],
        "c": [0.5] * 4,
    }
    assert str(frame["b"].dtype) == "category"
    assert product({"b": ["x"]}, infer_category=False)["b"].dtype != "category"
    earlier = pandas.DataFrame({"a": [1, 2], "r": [10, 20]})
    stages = product(earlier, {"b": [3, 4]})
    assert stages.to_dict("list") == {"a": [1, 1, 2, 2], "r": [10, 10, 20, 20], "b": [3, 4, 3, 4]}
    assert add_column(stages, "d", lambda row: row.r * row.b)["d"].tolist() == [30, 40, 60, 80]
    with pytest.raises(ValueError, match="`a`"):
        product({"a": [1]}, {"a": [2]})
    with pytest.raises(ValueError, match=r"a list, not 1: {'a': \[1\]}"):
        product({"a": 1})
    with pytest.raises(TypeError, match="takes a data frame, as product"):
        add_column([{"a": 1}], "d", len)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"df.assign\(d=3\)"):
        add_column(stages, "d", 3)  # type: ignore[arg-type]
    survey.init(verbose=0)
    assert len(mapped(lambda p, s, u: {"y": p["b"]}, frame).results) == 4


# V29
def test_carbon_is_told() -> None:
    received: list[bytes] = []

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as file:
            received.append(file.read())

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server], daemon=True)
        thread.start()
        port = server.getsockname()[1]
        survey.init(verbose=0, carbon_server="127.0.0.1", carbon_port=port, carbon_prefix="mine")
        mapped(half, [{"x": 1}, {"x": 3}])
        thread.join(60)
    (message,) = received
    assert struct.unpack("!L", message[:4])[0] == len(message) - 4
    told = {path: value for path, (_, value) in pickle.loads(message[4:])}
    assert told["mine.half.total"] == 2 and told["mine.half.failures"] == 1


def test_a_carbon_server_that_is_not_there_harms_nothing(place: Path) -> None:
    survey.init(verbose=0, carbon_server="127.0.0.1", carbon_port=9)
    assert len(mapped(half, [{"x": 1}]).results) == 1
    assert "Carbon at 127.0.0.1:9 is not told" in log_of(place)


# V31
@pytest.mark.parametrize("name", ["readme", "multistage", "greedy"])
def test_examples_are_installed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    scripts = tomllib.loads(project.read_text())["project"]["scripts"]
    module, _, function = scripts[f"psyflow-survey-{name}-example"].partition(":")
    getattr(importlib.import_module(module), function)()
    last = {"readme": "0.3 0.3", "multistage": "2 4 6 48", "greedy": "3.00 -1.00"}
    assert capsys.readouterr().out.splitlines()[-1] == last[name]


# V19
def test_the_log_may_be_elsewhere(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    survey.init(verbose=1, pslogger_prefix=f"{place}/mine")
    mapped(half, [{"x": 3}])
    survey.finalize()
    (file,) = place.glob("mine.paramsurvey-*.log")
    assert f"The tracebacks of 1 psets are in {file}" in capfd.readouterr().err


def test_a_worker_that_dies_costs_its_pset_alone() -> None:
    def deadly(pset: Any, system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
        if pset["x"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"y": 1}

    survey.init(verbose=0)
    results = mapped(deadly, [{"x": x} for x in range(4)])
    assert results.results["x"].tolist() == [0, 2, 3]
    assert results.progress.exceptions == 0
    assert "SIGKILL" in results.missing["_exception"][0]


# V36
def test_libraries_of_workers_compute_with_one_thread_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def threads(pset: Any, system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
        return {"threads": os.environ["OMP_NUM_THREADS"]}

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    survey.init(ncores=1)
    assert mapped(threads, [{"x": 1}])["threads"].tolist() == ["1"]
    assert "OMP_NUM_THREADS is not set" in capfd.readouterr().err
    survey.finalize()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    survey.init(ncores=1)
    assert mapped(threads, [{"x": 1}])["threads"].tolist() == ["3"]
    assert "OMP_NUM_THREADS" not in capfd.readouterr().err
    survey.finalize()
    assert os.environ["OMP_NUM_THREADS"] == "3"


# V39: where paramsurvey ends the worker, such a pool works
def test_workers_may_have_pools_of_their_own() -> None:
    def pooling(pset: Any, system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return {"y": sum(pool.map(abs, [pset["x"], -1]))}

    survey.init(verbose=0)
    assert mapped(pooling, [{"x": -3}, {"x": 4}])["y"].tolist() == [4, 5]


def timed(pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any) -> dict[str, Any] | None:
    if pset["x"] == 1:
        with survey.stats.record_wallclock("sleep wallclock", system_kwargs["raw_stats"]):
            time.sleep(0.02)
        with survey.stats.record_iowait("sum iowait", raw_stats=system_kwargs["raw_stats"]):
            sum(range(10_000))
    return None


# V41
def test_times_that_workers_record() -> None:
    survey.init(verbose=0)
    results = mapped(timed, [{"x": 1}, {"x": 2}, {"x": 1}], name="mine", keep_results=False)
    assert list(results) == ["x"]
    stats = results.stats
    assert stats.rate > 0 and stats.duration.n == 3  # as of every map
    found = {name: stats.read_stats(name) for name in stats.all_stat_names()}
    assert {name: told and told[0] for name, told in found.items()} == {
        "mine_wallclock": 3,
        "mine_iowait": 3,
        "sleep wallclock": 2,
        "sum iowait": 2,
    }
    recorded = stats.read_stats("sleep wallclock")
    assert recorded is not None
    _, mean, histogram = recorded
    assert mean > 0.02 and sum(histogram.counts) == 2
    assert stats.read_stats("other") is None
    file = io.StringIO()
    stats.print_histograms(file=file)
    assert "counter mine_wallclock, counts 3\n" in file.getvalue() and "##" in file.getvalue()
    stats.print_histogram("other", file=file)
    stats.print_percentile("sleep wallclock", file=file)
    assert "counter sleep wallclock, 99%tile: 0.0" in file.getvalue()

    by_hand = survey.stats.PerfStats()
    with survey.stats.record_wallclock("block", obj=by_hand):
        pass
    assert list(by_hand.all_stat_names()) == ["block"] and by_hand.duration.n == 0


# V42
def test_results_are_a_data_frame_themselves() -> None:
    survey.init(verbose=0)
    results = mapped(half, [{"x": 1}, {"x": 3}, {"x": 4}])
    assert results.verbose == 0
    assert results["half"].tolist() == [0.5, 2.0] and len(results) == 2
    assert results[results.x > 2].to_dict("list")["half"] == [2.0]
    assert type(results.to_df()) is type(results.results) is pandas.DataFrame
    assert [row["x"] for row in results.missing.iterdicts()] == [3]
    assert pickle.loads(pickle.dumps(results.results))["x"].tolist() == [1, 4]
    flatten = survey.utils.flatten_results
    assert flatten([{"pset": {"x": 1}, "result": {"y": 2}}, {"pset": {"x": 2}}]) == [
        {"x": 1, "y": 2},
        {"x": 2},
    ]
    with pytest.raises(ValueError, match="`x` is in a pset and in a result"):
        flatten([{"pset": {"x": 1}}, {"result": {"x": 2}}])
