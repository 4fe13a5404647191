"""`psyflow.run`: what `psy run` does, for a notebook or a script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import psyflow
from psyflow.exceptions import (
    MapInterrupted,
    RunHeldError,
    TaskFileError,
    UnknownNameError,
    UsageError,
)
from tests.support.processes import eventually

SQUARE = "pspace = {'x': range(6)}\ndef execute(x): return {'y': x * x}\n"
FOUR = "pspace = {'x': range(6)}\ndef execute(x):\n    return {'y': 1 / (x - 4)}\n"
SLOW = """\
import pathlib, time
pspace = {'x': range(100)}
pool_size = 1
def execute(x):
    pathlib.Path(r'SIGNS', str(x)).touch()
    time.sleep(0.1 if x < 3 else 1)
    return {'y': x}
"""


@pytest.fixture(autouse=True)
def in_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("psy-tasks").mkdir()


def write(name: str, source: str) -> Path:
    file = Path("psy-tasks", f"task_{name}.py")
    file.write_text(source)
    return file


def rows(**asked: object) -> list[int]:
    return list(psyflow.run("lif", progress=False, **asked)["x"])  # type: ignore[arg-type]


def test_it_is_a_function_whatever_is_imported() -> None:
    code = (
        "import importlib, pkgutil, psyflow\n"
        "for module in pkgutil.walk_packages(psyflow.__path__, 'psyflow.'):\n"
        "    if module.name.startswith(('psyflow.runs', 'psyflow.notebook', 'psyflow.cli')):\n"
        "        importlib.import_module(module.name)\n"
        "print(callable(psyflow.run), psyflow.run.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True run\n", done.stderr


def test_a_task_is_named_as_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("lif", SQUARE)
    assert psyflow.run("lif", progress=False)["y"] == [0, 1, 4, 9, 16, 25]
    times = {path: path.stat().st_mtime_ns for path in Path("psy-work").rglob("*")}
    for named in (file, str(file), file.absolute(), "psy-work/lif", Path("psy-work/lif")):
        assert psyflow.run(named, progress=False).is_complete
    (tmp_path / "elsewhere").mkdir()
    for folder in ("psy-tasks", "elsewhere", "/"):
        monkeypatch.chdir(tmp_path / folder)
        for named in (tmp_path / file, tmp_path / "psy-work" / "lif"):
            assert psyflow.run(named, progress=False).is_complete
    assert psyflow.run("lif", tmp_path / "psy-tasks", progress=False).is_complete
    monkeypatch.chdir(tmp_path)
    assert times == {path: path.stat().st_mtime_ns for path in Path("psy-work").rglob("*")}


def test_items_are_chosen_as_by_the_command() -> None:
    write("lif", SQUARE)
    assert rows(where="x>2", limit=2) == [3, 4]
    assert rows(where=["x>0", "x<3"]) == [1, 2, 3, 4]
    assert rows(limit=1) == [0, 1, 2, 3, 4]
    before = psyflow.run("lif", progress=False).bookkeeping["start"]
    again = psyflow.run("lif", again=[0, 2], progress=False).bookkeeping["start"]
    assert [a > b for a, b in zip(again, before, strict=True)] == [True, False, True] + 3 * [False]
    once_more = psyflow.run("lif", again=True, where="x=5", progress=False).bookkeeping["start"]
    assert [a > b for a, b in zip(once_more, again, strict=True)] == 5 * [False] + [True]


def test_only_what_failed_or_has_not_run() -> None:
    write("lif", FOUR)
    assert rows(where="x>3") == [5]
    assert rows(only="failed") == [5]
    assert rows(only="todo") == [0, 1, 2, 3, 5]


def test_edited_code_counts(capfd: pytest.CaptureFixture[str]) -> None:
    write("lif", SQUARE)
    assert psyflow.run("lif")["y"][2] == 4
    write("lif", SQUARE.replace("x * x", "x + 1"))
    assert psyflow.run("lif")["y"][2] == 3
    assert "lif:" in capfd.readouterr().err
    write("lif", SQUARE.replace("x * x", "x + 2").replace("6", "7"))
    assert list(psyflow.run("lif", keep=True)["y"]) == [1, 2, 3, 4, 5, 6, 8]


def test_failures_are_said_once_in_lines_of_the_users_file(
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = write("lif", FOUR)
    results = psyflow.run("lif")
    told = capfd.readouterr().err
    assert "lif: 1 of 6 items failed, and are in `failures`; the first, x=4, with Zero" in told
    assert f'File "{file.absolute()}", line 3, in execute' in told
    assert told.count("Traceback") == 1 and "plans" not in told
    assert f'File "{file.absolute()}", line 3' in results.failures["traceback"][0]
    psyflow.run("lif", progress=False)
    assert not capfd.readouterr().err


def test_what_fails_together_is_said_with_one_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    write("lif", "pspace = {'x': range(10_000)}\ndef execute(x): return {'y': pii}\n")
    results = psyflow.run("lif")
    told = capfd.readouterr().err
    assert told.count("Traceback") == 1 and len(told.splitlines()) < 12
    assert "Every other item would fail there, too" in told and 'psyflow.run("lif")' in told
    assert not results.n_rows and results.failures.n_rows < 10_000


def test_too_many_failures_stop_it(capfd: pytest.CaptureFixture[str]) -> None:
    write("lif", "pspace = {'x': range(500)}\npool_size = 1\ndef execute(x): 1 / 0\n")
    results = psyflow.run("lif", max_failures=3)
    assert "stopped early" in capfd.readouterr().err
    assert 3 <= results.failures.n_rows < 500


def test_mistakes_are_refused_in_the_words_of_python() -> None:
    write("lif", SQUARE)
    write("bad", "pspace = unknown\n")
    asked = {
        "where": (3, {"x": 2}, ["x=2", 3]),
        "limit": (0, -1, 1.5, "2", True),
        "again": ("3", [], [-1], 1.5),
        "only": ("done", []),
        "pool_size": (0, "many", True),
        "max_failures": (0, "x"),
    }
    for name, values in asked.items():
        for value in values:
            with pytest.raises(UsageError, match=f"`{name}`") as raised:
                rows(**{name: value})
            assert "--" not in str(raised.value)
    for task in (3, None, "", ["lif"]):
        with pytest.raises(UsageError, match="`task`"):
            psyflow.run(task)  # type: ignore[arg-type]
    for task in ("lfi", "li*", "psy-tasks", "psy-tasks/task_none.py"):
        with pytest.raises(UnknownNameError, match="Known: bad, lif"):
            psyflow.run(task)
    with pytest.raises(UnknownNameError, match='no parameter "z"'):
        rows(where="z=2")
    with pytest.raises(UsageError, match="fulfils x=9, so nothing is run"):
        rows(where="x=9")
    with pytest.raises(TaskFileError, match=r"line 1(.|\n)*name 'unknown' is not defined"):
        psyflow.run("bad")
    assert not Path("psy-work", "lif").exists()


def test_nothing_wanted_is_said_beside_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    write("lif", SQUARE)
    psyflow.run("lif", limit=2)
    assert psyflow.run("lif", where="x=0").n_rows == 2
    assert "4 of 6 items have no result; run them: psyflow.run(" in capfd.readouterr().err


def test_an_empty_space_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    write("lif", "pspace = {'x': []}\ndef execute(x): return {}\n")
    assert psyflow.run("lif").n_rows == 0
    assert "is empty, so there is nothing to compute" in capfd.readouterr().err


def test_the_folder_of_a_map_has_a_function_to_call() -> None:
    psyflow.map(lambda x: {"y": x}, {"x": [1]}, workdir="squares", progress=False)
    with pytest.raises(UsageError, match="folder of a map"):
        psyflow.run("squares")


def slow(tmp_path: Path) -> Path:
    signs = tmp_path / "signs"
    signs.mkdir()
    write("lif", SLOW.replace("SIGNS", str(signs)))
    return signs


def interrupt_after(sign: Path) -> threading.Thread:
    def interrupt() -> None:
        eventually(sign.exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_an_interrupted_script_has_what_is_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    thread = interrupt_after(slow(tmp_path) / "4")
    with pytest.raises(MapInterrupted, match="of 100") as raised:
        psyflow.run("lif")
    thread.join()
    results = raised.value.results
    assert 4 <= results.n_rows < 100 and results.n_rows == len(psyflow.load("lif")["y"])
    assert "stops after the running items" in capfd.readouterr().err
    psyflow.run("lif", where="x<2")  # nobody holds it any more


def test_a_second_run_at_once_is_refused(tmp_path: Path) -> None:
    signs = slow(tmp_path)
    with subprocess.Popen([sys.executable, "-m", "psyflow", "run", "lif"]) as first:
        eventually((signs / "1").exists)
        with pytest.raises(RunHeldError):
            psyflow.run("lif")
        first.send_signal(signal.SIGINT)
    assert first.returncode == 130


NOTEBOOK = """
import nbclient, nbformat
cells = [
    '''
import os, pathlib, signal, threading, time, psyflow
results = psyflow.run("slow", where="x<3")
results
''',
    '''
def stop():
    while not pathlib.Path("signs", "4").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop).start()
kept = psyflow.run("slow")
kept.n_rows < 100, kept.n_rows == psyflow.load("slow").n_rows, kept["y"][:4]
''',
    'psyflow.run("bad")["x"]',
    'psyflow.run("nowhere")',
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
nbclient.NotebookClient(notebook, timeout=200, allow_errors=True).execute()
for cell in notebook.cells:
    for output in cell.outputs:
        shown = output.get("text") or output.get("evalue") or output["data"]["text/plain"]
        print("out:", shown)
    print("end of cell")
"""


def test_a_notebook(tmp_path: Path) -> None:
    if os.environ.get("PSYFLOW_REQUIRE_SERVERS") != "1":
        pytest.importorskip("nbclient")
        pytest.importorskip("ipykernel")
    signs = slow(tmp_path)
    Path("psy-tasks/task_lif.py").rename("psy-tasks/task_slow.py")
    write("bad", "pspace = {'x': range(10_001)}\ndef execute(x): return {'y': pii}\n")
    file = tmp_path / "program.py"
    file.write_text(NOTEBOOK)
    command = [sys.executable, "-W", "ignore", file]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    first, second, third, fourth, _ = done.stdout.split("end of cell\n")
    assert "Results: 3 rows; 3 of 100 items of slow are done" in first
    assert "of 100 done, 0 failed" in second and "stops after the running items" in second
    assert "interrupted: " in second and "(True, True, [0, 1, 2, 3])" in second
    assert third.count("Traceback") == 1 and len(third.splitlines()) < 16
    assert "name 'pii' is not defined" in third and "10001 items failed" in third
    assert 'There is no task "nowhere". Known: bad, slow.' in fourth
    assert (signs / "4").exists()
