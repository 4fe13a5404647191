"""What a task file says of its columns, wherever its rows are."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import psyflow
from psyflow.exceptions import (
    PsyflowWarning,
    TaskLoadWarning,
    UnknownColumnError,
    UntrustedFileError,
    UsageError,
)
from psyflow.results import Results
from tests.support.study import Study

BODY = """
pspace = Param(tau=[1, 2, 3], mode=["slow", "fast", "slow"])
store = {store!r}
{meaning}
def execute(tau, mode):
    note(tau=tau)
    {extra}
    return {{"signal": tau * 2.0, "noise": 0.5, "trace": [0.0, 1.0, float(tau)]}}
"""
MEANING = """
dims = {"trace": ["time"]}
coords = {"time": [0.5, 1.0, 1.5]}
units = {"tau": "ms", "time": "s"}
labels = {"tau": "time constant"}
derive = {"snr": lambda signal, noise: signal / noise, "db": lambda snr: snr + 1}
"""


def write(study: Study, meaning: str = MEANING, store: str = ".npz", extra: str = "pass") -> None:
    study.task(BODY.format(meaning=meaning, store=store, extra=extra))


def load(study: Study, **options: object) -> Results:
    return psyflow.load("t", study.tasks, study.folder / "psy-work", **options)  # type: ignore[arg-type]


def without_warning(path: Path, **options: object) -> Results:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PsyflowWarning)
        return psyflow.load(path, **options)  # type: ignore[arg-type]


def check(table: Results, unit: str = "ms") -> None:
    assert table.dims == {"trace": ["time"]}
    assert list(table.coords["time"]) == [0.5, 1.0, 1.5]
    assert table.units == {"tau": unit, "time": "s"}
    assert table.labels == {"tau": "time constant"}
    assert table.meaning.label("tau") == f"time constant ({unit})"


@pytest.fixture(params=[".pkl", ".npz", ".h5"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_table_knows_what_its_columns_mean_and_has_those_that_are_derived(
    study: Study, store: str
):
    write(study, store=store)
    study.psy("run")
    table = load(study)
    check(table)
    assert list(table) == ["mode", "tau", "signal", "noise", "trace", "snr", "db"]
    assert table.outputs[-2:] == ["snr", "db"]
    assert table["snr"].dtype == float and list(table["snr"]) == [4.0, 8.0, 12.0]
    assert list(table["db"]) == [5.0, 9.0, 13.0]


def test_rows_of_a_run_that_failed_in_part_have_it_too(study: Study, store: str):
    write(study, store=store, extra="assert tau != 2")
    study.psy("run", code=1)
    table = load(study)
    check(table)
    assert list(table["snr"]) == [4.0, 12.0]
    assert list(load(study, columns=["db"])) == ["db"]


def test_without_any_row_there_is_nothing_to_derive_from(study: Study):
    write(study, extra="raise ValueError")
    study.psy("run", code=1)
    table = load(study)
    assert table.n_rows == 0 and list(table["snr"]) == []


def test_what_is_edited_counts_at_once_and_nothing_runs_for_it(study: Study):
    write(study)
    study.psy("run")
    assert len(study.calls()) == 3
    write(study, MEANING.replace('"ms"', '"min"').replace("signal / noise", "signal * noise"))
    table = load(study)
    check(table, "min")
    assert list(table["snr"]) == [1.0, 2.0, 3.0]
    assert study.executed(study.psy("run").stdout) == [] and study.calls() == []
    write(study, meaning="")
    table = load(study)
    assert not (table.dims or table.coords or table.units or table.labels)
    assert list(table) == ["mode", "tau", "signal", "noise", "trace"]
    assert study.executed(study.psy("run").stdout) == [] and study.calls() == []
    assert "archive" not in {path.name for path in (study.folder / "psy-work" / "t").iterdir()}


def test_code_that_only_derived_columns_use_makes_nothing_run_again(study: Study):
    (study.tasks / "helpers.py").write_text("def ratio(signal, noise): return signal / noise\n")
    write(study, 'from helpers import ratio\nderive = {"snr": ratio}')
    study.psy("run")
    assert len(study.calls()) == 3
    (study.tasks / "helpers.py").write_text("def ratio(signal, noise): return signal - noise\n")
    assert list(load(study)["snr"]) == [1.5, 3.5, 5.5]
    assert study.executed(study.psy("run").stdout) == [] and study.calls() == []


def test_a_folder_that_is_sent_alone_has_all_but_what_needs_code(study: Study, tmp_path: Path):
    write(study)
    study.psy("run")
    sent = tmp_path / "elsewhere" / "t"
    shutil.copytree(study.folder / "psy-work" / "t", sent)
    for path in (sent, sent / "result.npz"):
        with pytest.warns(PsyflowWarning, match=r'"snr", "db" cannot be derived.*trust=True'):
            table = psyflow.load(path)
        check(table)
        assert list(table) == ["mode", "tau", "signal", "noise", "trace"]
    assert list(psyflow.load(sent, columns=["tau", "signal"])) == ["tau", "signal"]
    with pytest.raises(UntrustedFileError, match="trust=True"):
        psyflow.load(sent, columns=["snr"])
    assert list(psyflow.load(sent, trust=True)["snr"]) == [4.0, 8.0, 12.0]


def test_a_folder_that_is_sent_alone_has_what_the_last_run_found_up_to_date(
    study: Study, tmp_path: Path
):
    write(study)
    study.psy("run")
    write(study, MEANING.replace('"ms"', '"min"').replace("signal / noise", "signal * noise"))
    study.psy("run")
    sent = tmp_path / "elsewhere"
    shutil.copytree(study.folder / "psy-work" / "t", sent)
    check(without_warning(sent), "min")
    assert list(psyflow.load(sent, trust=True)["snr"]) == [1.0, 2.0, 3.0]
    write(study, meaning="")
    study.psy("run")
    shutil.rmtree(sent)
    shutil.copytree(study.folder / "psy-work" / "t", sent)
    assert not psyflow.load(sent).units


def test_a_copied_study_whose_task_file_was_edited_goes_by_the_record(
    study: Study, tmp_path: Path
):
    write(study)
    study.psy("run")
    copy = tmp_path / "copy"
    shutil.copytree(study.tasks, copy / "psy-tasks")
    shutil.copytree(study.folder / "psy-work", copy / "psy-work")
    check(psyflow.load(copy / "psy-work" / "t", columns=["tau"]))
    file = copy / "psy-tasks" / "task_t.py"
    file.write_text(file.read_text().replace('"ms"', '"min"') + "\nraise SystemExit\n")
    with pytest.warns(PsyflowWarning, match=r"another than when the run began.*trust=True"):
        check(psyflow.load(copy / "psy-work" / "t", columns=["tau"]))


def test_a_run_in_the_archive_means_what_it_meant(study: Study):
    write(study)
    study.psy("run")
    write(study, MEANING.replace('"ms"', '"min"'), extra="tau = tau * 10")
    study.psy("run")
    (archived,) = (study.folder / "psy-work" / "t" / "archive").iterdir()
    check(load(study), "min")
    for name in (archived.name, archived.name[:-3]):
        table = load(study, run=name)
        check(table)
        assert table.run == archived.name and list(table["snr"]) == [4.0, 8.0, 12.0]
    assert load(study, run=load(study).run)["signal"][0] == 20.0
    with pytest.raises(UsageError, match=r'run of "t" "20'):
        load(study, run=f"{archived.name[:-1]}x")
    with pytest.raises(UsageError, match="may be any of"):
        load(study, run="2")


def test_a_folder_of_an_earlier_psyflow_goes_by_the_task_file(study: Study):
    write(study)
    study.psy("run")
    for record in (study.folder / "psy-work" / "t" / "plans").glob("*/meaning.json"):
        record.unlink()
    check(load(study))
    assert list(load(study)["snr"]) == [4.0, 8.0, 12.0]


def test_a_task_file_that_does_not_load_any_more_costs_no_row(study: Study):
    write(study)
    study.psy("run")
    for line in ("import no_such_module", "raise SystemExit(3)", "1 +"):
        write(study)
        file = study.tasks / "task_t.py"
        file.write_text(f"{file.read_text()}\n{line}\n")
        with pytest.warns(TaskLoadWarning, match="recorded when the run began"):
            table = load(study)
        check(table)
        assert list(table["snr"]) == [4.0, 8.0, 12.0]


def test_a_record_that_is_damaged_costs_no_row(study: Study):
    write(study)
    study.psy("run")
    (record,) = (study.folder / "psy-work" / "t" / "plans").glob("*/meaning.json")
    record.write_text('{"dims": 3}')
    with pytest.warns(PsyflowWarning, match=r"meaning\.json is damaged"):
        assert load(study).n_rows == 3


def test_loading_a_table_in_its_own_task_file_comes_to_an_end(study: Study):
    meaning = MEANING + "import psyflow\nbefore = psyflow.load('t', columns=['tau'])['tau']\n"
    write(study)
    study.psy("run")
    write(study, meaning)
    study.psy("run")
    check(load(study))


def test_only_columns_that_are_wanted_are_there(study: Study, store: str):
    write(study, store=store)
    study.psy("run")
    table = load(study, columns=["db", "tau"])
    assert list(table) == ["tau", "db"] and table.parameters == ["tau"]
    check(table)
    result = study.folder / "psy-work" / "t" / f"result{store}"
    assert list(psyflow.load(result, columns=["mode"])) == ["mode"]
    with pytest.raises(UnknownColumnError, match=r'"signl". Did you mean "signal"'):
        load(study, columns=["signl"])
    with pytest.raises(UsageError, match=r'columns=\["snr"\]'):
        load(study, columns="snr")


@pytest.mark.parametrize("path", ["psy-tasks/task_t.py", "psy-work/t", "psy-work/t/", "t"])
def test_a_task_is_found_by_its_file_and_by_its_folder(
    study: Study, monkeypatch: pytest.MonkeyPatch, path: str
):
    write(study)
    study.psy("run")
    monkeypatch.chdir(study.folder)
    check(psyflow.load(path))
    elsewhere = study.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    check(psyflow.load(f"../{path}" if "/" in path else study.folder / "psy-work" / path))


def test_a_task_file_without_results_says_so(study: Study):
    write(study)
    with pytest.raises(UsageError, match="psy run t"):
        psyflow.load(study.tasks / "task_t.py")


# -- derived columns ------------------------------------------------------------------------------


def derived(study: Study, derive: str, **options: object) -> Results:
    """Run once, and load with other derived columns."""
    if not (study.folder / "psy-work").exists():
        write(study, meaning="")
        study.psy("run")
    write(study, meaning=f"import numpy as np\nderive = {derive}")
    return load(study, **options)


def test_an_exception_is_nan_in_its_row_and_told_once(study: Study):
    with pytest.warns(PsyflowWarning) as told:
        table = derived(study, '{"inverse": lambda tau: 1 // (int(tau) - 2)}')
    assert np.array_equal(table["inverse"], [-1.0, np.nan, 1.0], equal_nan=True)
    (warning,) = told
    lines = (study.folder / "psy-tasks" / "task_t.py").read_text().splitlines()
    (line,) = (n for n, text in enumerate(lines, 1) if text.startswith("derive"))
    assert str(warning.message) == (
        "t: 1 row is NaN in \"inverse\", the first for row 1 (mode='fast', tau=2): "
        f"ZeroDivisionError: integer division or modulo by zero (task_t.py, line {line})."
    )


def test_what_cannot_be_derived_is_left_out_with_a_word(study: Study):
    with pytest.warns(PsyflowWarning, match=r'takes "sinal", which is no column. Did you mean'):
        table = derived(study, '{"x": lambda sinal: 1, "y": lambda signal: 2}')
    assert "x" not in table and list(table["y"]) == [2, 2, 2]
    with pytest.raises(UsageError, match="sinal"):
        derived(study, '{"x": lambda sinal: 1}', columns=["x"])
    with pytest.warns(PsyflowWarning, match=r'"tau" is left out: it is a column already'):
        table = derived(study, '{"tau": lambda signal: 1}')
    assert list(table["tau"]) == [1, 2, 3]
    with pytest.warns(PsyflowWarning, match="from itself"):
        derived(study, '{"a": lambda b: 1, "b": lambda a: 1}')


def test_functions_may_have_defaults_and_take_everything(study: Study):
    table = derived(
        study,
        '{"a": lambda tau, mode="?", scale=10: f"{mode} {tau * scale}",'
        ' "n": lambda **row: len(row), "s": lambda trace: trace[-1], "c": lambda: 1}',
    )
    assert list(table["a"]) == ["slow 10", "fast 20", "slow 30"]
    assert list(table["a"] == "fast 20") == [False, True, False]
    assert list(table["n"]) == [6, 6, 6] and list(table["c"]) == [1, 1, 1]
    assert list(table["s"]) == [1.0, 2.0, 3.0]


def test_arrays_are_derived_too(study: Study):
    table = derived(study, '{"twice": lambda trace: 2 * np.asarray(trace)}')
    assert np.array_equal(table["twice"], [[0, 2, 2], [0, 2, 4], [0, 2, 6]])


def test_what_derived_columns_print_is_no_data(study: Study, capsys: pytest.CaptureFixture[str]):
    derived(study, '{"x": lambda tau: print("hello") or 1}')
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("hello") == 3
