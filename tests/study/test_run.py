"""`run`: rows, their bookkeeping, and what becomes of the database."""

from __future__ import annotations

import copyreg
import os
import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import psyflow
import psyflow.study as ps
from psyflow.exceptions import ItemsFailedError, PsyflowError, UnmakeableValuesError, UsageError

from .test_params import GOLDEN

DATABASE = Path("calc/database.pk")
REAL = Path(__file__).parent / "psweep-0.16" / "database.pk"


def double(pset: dict[str, Any]) -> dict[str, Any]:
    return {"y": 2 * pset["a"]}


def some(*values: Any) -> list[dict[str, Any]]:
    return ps.plist("a", values)


def test_rows_have_psets_results_and_bookkeeping() -> None:
    # W6, W7, W8, W9
    df = ps.run_local(double, ps.pgrid(some(1, 2), ps.plist("b", ["x"])))
    assert df[["a", "b", "y"]].values.tolist() == [[1, "x", 2], [2, "x", 4]]
    assert list(df) == [
        *("a", "b", "_run_id", "_pset_id", "_calc_dir", "_time_utc", "_pset_sha1"),
        *("_pset_seq", "_run_seq", "_exec_host", "y", "_pset_runtime"),
    ]
    assert {uuid.UUID(run_id) for run_id in df._run_id} == {uuid.UUID(df._run_id[0])}
    assert len({uuid.UUID(pset_id) for pset_id in df._pset_id}) == 2
    assert (df._calc_dir == "calc").all() and df._time_utc.dtype.kind == "M"
    assert (df._pset_runtime >= 0).all()
    assert df.index.tolist() == [0, 1]


def test_psets_know_their_ids_before_the_call() -> None:
    # W11, W16
    def write(pset: dict[str, Any]) -> dict[str, Any]:
        folder = Path(pset["_calc_dir"]) / pset["_pset_id"]
        folder.mkdir(parents=True)
        (folder / "output.txt").write_text(f"{pset['a']}")
        return {}  # W6: nothing to merge

    df = ps.run(write, some(1, 2))
    texts = [Path(f"calc/{pset_id}/output.txt").read_text() for pset_id in df._pset_id]
    assert texts == ["1", "2"]


def test_all_psets_are_there_before_the_first_call() -> None:
    # W5
    def broken() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise ValueError("no second pset")

    with pytest.raises(ValueError, match="no second pset"):
        ps.run(lambda pset: pytest.fail("called"), broken())
    assert not Path("calc").exists()


def test_a_further_run_appends_and_a_repetition_has_the_same_hashes() -> None:
    # W9, W10, W13, W14, W15
    ps.run(double, some(1, 2, 3))
    df = ps.run(double, some(1, 2, 3))
    assert df._run_seq.tolist() == [0, 0, 0, 1, 1, 1]
    assert df._pset_seq.tolist() == [*range(6)]
    assert df._pset_sha1.tolist() == 2 * [h for h, pset in GOLDEN.items() if len(pset) == 1]
    assert df._pset_id.nunique() == 6 and df._run_id.nunique() == 2
    assert type(pickle.loads(DATABASE.read_bytes())) is pd.DataFrame
    assert ps.df_read("calc/database.pk").equals(df)
    assert sorted(path.name for path in Path("calc").iterdir()) == ["database.pk"]


def test_without_saving_nothing_is_written_and_frames_are_appended_to() -> None:
    # W13, W14
    first = ps.run(double, some(1), save=False)
    both = ps.run(double, some(2), save=False, df=first)
    assert both.y.tolist() == [2, 4] and both._run_seq.tolist() == [0, 1]
    assert not Path("calc").exists()


def test_a_frame_that_is_given_takes_the_place_of_its_rows_and_loses_no_others() -> None:
    # W14
    df = ps.run(double, some(1))
    ps.run(double, some(2))
    df["study"] = "s"
    assert ps.run(double, some(3), df=df).a.tolist() == [1, 3]
    there = ps.df_read(DATABASE)
    assert sorted(there.a) == [1, 2, 3]
    assert there[there.a == 1].study.tolist() == ["s"]
    assert sorted(there._run_seq) == [0, 1, 2]


def test_a_frame_that_hides_which_rows_it_has_is_refused() -> None:
    df = ps.run(double, some(1))
    with pytest.raises(UsageError, match="_pset_id"):
        ps.run(double, some(2), df=df[["a", "y"]])
    assert len(ps.run(double, some(2), df=pd.DataFrame())) == 1
    assert ps.df_read(DATABASE).a.tolist() == [1, 2]


def test_a_pset_may_be_left_out() -> None:
    def skip_two(pset: dict[str, Any]) -> dict[str, Any]:
        if pset["a"] == 2:
            raise psyflow.Skip("dull")
        return {}

    assert ps.run(skip_two, some(1, 2, 3)).a.tolist() == [1, 3]


@pytest.mark.parametrize("poolsize", [1, 2])
def test_processes_give_the_same_rows(poolsize: int) -> None:
    # W12
    offset = 5  # a closure travels, too
    df = ps.run(lambda pset: {"y": pset["a"] + offset}, some(*range(20)), poolsize=poolsize)
    assert df.y.tolist() == [*range(5, 25)] and df._pset_seq.tolist() == [*range(20)]


def test_values_are_what_they_were() -> None:
    ps.run(lambda pset: {"r": 2**60 + pset["a"], "z": None}, some(1, 2))
    df = ps.run(lambda pset: {"r": 0.5, "s": {"k": [1]}, "t": np.arange(2)}, some(2.5))
    assert df.a.tolist() == [1, 2, 2.5] and type(df.a[0]) is int
    assert df.r.tolist() == [2**60 + 1, 2**60 + 2, 0.5]
    assert df.s[2] == {"k": [1]} and df.t[2].tolist() == [0, 1]
    assert df.z[0] is None and np.isnan(df.z[2])
    filled = ps.run(lambda pset: {}, [{"b": 1}], fill_value=pd.NA)
    assert filled.a[3] is pd.NA  # W33


def test_results_update_psets_also_in_place() -> None:
    # W6
    def change(pset: dict[str, Any]) -> dict[str, Any]:
        pset["list"].append(3)
        return {"a": 10, "_pset_id": "mine"}

    shared = [1, 2]
    df = ps.run(change, [{"a": 1, "list": shared}, {"a": 1, "list": shared}])
    assert df.a.tolist() == [10, 10] and df.list.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert shared == [1, 2]
    assert df._pset_id[0] != "mine" and df._pset_sha1[0] == df._pset_sha1[1]


def fail_at_two(pset: dict[str, Any]) -> dict[str, Any]:
    return {"y": 1 / (pset["a"] - 2)}


def test_processes_are_started_by_any_thread() -> None:
    with ThreadPoolExecutor(1) as threads:
        assert len(threads.submit(ps.run, double, some(1, 2), poolsize=1).result()) == 2


@pytest.mark.parametrize("poolsize", [None, 1])
def test_a_function_that_goes_elsewhere_takes_no_row_along(poolsize: int | None) -> None:
    Path("elsewhere").mkdir()
    here = Path.cwd()

    def go(pset: dict[str, Any]) -> dict[str, Any]:
        os.chdir(here / "elsewhere")
        return {}

    df = ps.run(go, some(1, 2), poolsize=poolsize, tmpsave=True)
    os.chdir(here)
    assert df._calc_dir.tolist() == ["calc", "calc"]
    assert len(ps.df_read(DATABASE)) == 2 and len([*Path("calc/tmpsave").glob("*/*")]) == 2
    assert not any(Path("elsewhere").iterdir())


@pytest.mark.parametrize("poolsize", [None, 2])
def test_an_exception_is_raised_when_all_others_are_saved(poolsize: int | None) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        ps.run(fail_at_two, some(1, 2, 3), poolsize=poolsize)
    assert "1 of 3 psets failed; the rows of the others are in calc/database.pk" in str(
        caught.value.__notes__
    )
    assert ps.df_read(DATABASE).a.tolist() == [1, 3]
    assert "ZeroDivisionError" in Path("calc/failures.jsonl").read_text()
    assert ps.run(double, some(5))._pset_seq.tolist() == [0, 2, 3]


class Stubborn(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} {b}")
        self.__dict__["stays"] = threading.Lock()


def test_an_exception_that_cannot_travel_is_told_in_words() -> None:
    def refuse(pset: dict[str, Any]) -> dict[str, Any]:
        raise Stubborn(1, 2)

    with pytest.raises(ItemsFailedError, match="Stubborn: 1 2"):
        ps.run(refuse, some(1), poolsize=1)


def test_a_process_that_dies_costs_its_pset() -> None:
    def die(pset: dict[str, Any]) -> dict[str, Any]:
        if pset["a"] == 2:
            os._exit(3)
        return {}

    with pytest.raises(ItemsFailedError, match="1 of 3 psets failed"):
        ps.run(die, some(1, 2, 3), poolsize=2)
    assert ps.df_read(DATABASE).a.tolist() == [1, 3]


def test_ctrl_c_keeps_what_is_done() -> None:
    def interrupt(pset: dict[str, Any]) -> dict[str, Any]:
        if pset["a"] == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        ps.run(interrupt, some(1, 2, 3, 4))
    assert ps.df_read(DATABASE).a.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("returned", "told"),
    [(3.5, "returned 3.5, of type float"), (None, "returned None"), ({1: 2}, "key 1")],
)
def test_what_is_no_row_is_told(returned: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        ps.run(lambda pset: returned, some(1))


def test_a_result_that_no_database_can_hold_costs_its_pset() -> None:
    with pytest.raises(TypeError, match="'f', a function, which cannot be pickled"):
        ps.run(lambda pset: {"f": (lambda: 0) if pset["a"] == 1 else 0}, some(1, 2))
    assert ps.df_read(DATABASE).a.tolist() == [2]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (lambda: 0, "as 'v', a function, .* as def NAME"),
        ({"log": sys.stdout}, "as 'v', a dict with a .* in it, .* Use its path"),
        ((x for x in "ab"), "as 'v', a generator, .* Use a list of what it gives"),
        (sys, "as 'v', a module, .* Use its name"),
    ],
)
def test_what_to_write_instead_of_what_no_database_can_hold(value: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        ps.run(lambda pset: {"v": value}, some(1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((double, {"a": 1}), r"Write \[params\]"),
        ((some(1), double), "function comes first|list of dicts"),
        ((double, [1, 2]), "A pset is a dict, not 1"),
        ((double, [{1: 2}]), "Names in psets are text"),
        ((double, "a"), "list of dicts"),
        ((double, some(1), None, 0), "poolsize"),
        ((double, some(1), None, 2, object()), "not both"),
        ((double, some(1), [1]), "df is a data frame"),
    ],
)
def test_arguments_that_make_no_sense_call_nothing(arguments: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ps.run(*arguments)
    assert not Path("calc").exists()
    Path("calc").touch()
    with pytest.raises(UsageError, match="calc is a file"):
        ps.run(double, some(1))


def test_psets_that_are_there_are_skipped_also_without_a_sha1() -> None:
    # W33
    params = [*some(1), {"a": np.int64(3)}, {"a": np.arange(3)}]
    ps.run(lambda pset: {}, params)
    df = ps.run(lambda pset: {}, [*params, *some(1.0)], skip_dups=True)
    assert len(df) == 4 and type(df.a[3]) is float
    assert len(ps.run(lambda pset: {}, params, skip_dups=True)) == 4
    assert ps.run(lambda pset: {}, [], skip_dups=True)._run_seq.max() == 1


def test_psets_of_a_database_run_again_without_its_bookkeeping() -> None:
    # W1
    df = ps.run(double, some(1, 2))
    df["study"] = "fine"  # W22
    again = ps.run(double, df[["a", "study", "_pset_id", "_run_seq"]], calc_dir="other")
    assert again._run_seq.tolist() == [0, 0] and set(again._pset_id).isdisjoint(df._pset_id)
    assert again[again.study == "fine"].a.tolist() == [1, 2]


def test_psets_come_out_of_a_database_for_another_run() -> None:
    # W31, W33
    df = ps.run(lambda pset: {"y_": 1}, [*some(1), {"a": 2, "b": "x"}])
    assert ps.df_extract_params(df) == [{"a": 1}, {"a": 2, "b": "x"}]
    assert ps.df_extract_pset(df, df._pset_id[1]) == {"a": 2, "b": "x"}
    assert len(ps.run(double, ps.df_extract_params(df), skip_dups=True)) == 2
    with pytest.raises(UsageError, match="no row"):
        ps.df_extract_pset(df, "x")
    for name in (df._pset_id[0], str(uuid.UUID(int=3)), "notes"):
        (Path("calc") / name).mkdir()
    assert ps.check_calc_dir("calc", df) == {
        "db_not_dir": {df._pset_id[1]},
        "dir_not_db": {str(uuid.UUID(int=3))},
    }


def test_a_backup_has_the_name_of_the_last_run() -> None:
    # W18
    first = ps.run(double, some(1), backup=True)
    assert [path.name for path in Path().iterdir()] == ["calc"]
    Path("calc/big.bin").write_bytes(b"data")
    ps.run(double, some(2), backup=True)
    (copy,) = Path().glob("calc.bak_*Z_run_id_*")
    assert copy.name.endswith(f"Z_run_id_{first._run_id[0]}")
    assert (copy / "big.bin").is_file() and len(ps.df_read(copy / "database.pk")) == 1
    ps.run(double, some(3), df=first, backup=True)
    assert len([*Path().glob("calc.bak_*")]) == 2
    foreign = pd.DataFrame({"a": [1], "_pset_id": ["x"]})
    ps.df_write(foreign, DATABASE)
    ps.run(double, some(3), backup=True)
    assert len([*Path().glob("calc.bak_*_run_id_unknown")]) == 1


def test_a_simulation_calls_nothing_and_leaves_the_study_alone() -> None:
    # W21
    ps.run(double, some(1))
    Path("calc/big.bin").write_bytes(b"data")
    before = DATABASE.read_bytes()

    def never(pset: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError

    for _ in range(2):
        df = ps.run(never, some(2), simulate=True)
        assert df.a.tolist() == [1, 2] and np.isnan(df.y[1])
    assert [path.name for path in Path("calc.simulate").iterdir()] == ["database.pk"]
    assert DATABASE.read_bytes() == before


def test_rows_are_also_files_if_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    # W29
    df = ps.run(double, some(1), tmpsave=True, verbose=["a"], database_basename="other.pk")
    (saved,) = Path(f"calc/tmpsave/{df._run_id[0]}").iterdir()
    assert saved.name == f"{df._pset_id[0]}.pk"
    assert pickle.loads(saved.read_bytes())["y"] == 2
    assert capsys.readouterr().out.split() == ["a", "1"]
    assert [path.name for path in Path("calc").glob("*.pk")] == ["other.pk"]


@pytest.mark.parametrize("where", ["db", "file", "db+file"])
def test_what_is_printed_is_kept_also_of_programs(where: str) -> None:
    # W33
    def talk(pset: dict[str, Any]) -> dict[str, Any]:
        print("from python", file=sys.stderr)
        subprocess.run(["echo", "from echo"], check=True)
        return {}

    df = ps.run(talk, some(1), capture_logs=where)
    texts = [df._logs[0]] if "db" in where else []
    file = Path(f"calc/{df._pset_id[0]}/logs.txt")
    texts += [file.read_text()] if "file" in where else []
    assert file.exists() == ("file" in where)
    assert {frozenset(text.splitlines()) for text in texts} == {
        frozenset(["from python", "from echo"])
    }
    with pytest.raises(UsageError, match="capture_logs"):
        ps.run(talk, some(1), capture_logs="disk")


@pytest.fixture
def as_pickled_before() -> Iterator[None]:
    """Take back what Dask does to pickling: it makes exceptions pickle that do not."""
    before = copyreg.dispatch_table.copy()
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("as_pickled_before")
def test_dask_evaluates_them() -> None:
    # W33
    distributed = pytest.importorskip("distributed")
    with distributed.Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        df = ps.run(lambda pset: {"y": -pset["a"]}, some(1, 2, 3), dask_client=client)
    assert df.y.tolist() == [-1, -2, -3]


def test_databases_are_written_in_any_order_of_arguments() -> None:
    # W17
    df = ps.run(double, some(1, 2, 3), save=False)
    ps.df_write(df, "one.pk")
    ps.df_write("two.pk", df)
    ps.df_write(fn=Path("three.pk"), df=df)
    assert all(ps.df_read(name).equals(df) for name in ("one.pk", "two.pk", "three.pk"))
    with pytest.raises(UsageError, match="df_write"):
        ps.df_write("one.pk", "two.pk")


def test_databases_are_read_where_pyarrow_is_not() -> None:
    df = ps.run(double, ps.plist("a", [1]))
    df["study"] = "text"
    ps.df_write(df, "own.pk")
    ps.df_write(pd.DataFrame({"text": ["x", None]}), "other.pk")
    for file in (DATABASE, Path("own.pk"), Path("other.pk")):
        assert b"arrow" not in file.read_bytes().lower()
    assert ps.df_read("other.pk").text[0] == "x"


def test_databases_are_printed_and_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    # W17
    df = ps.run(double, some(1, 2, 3), save=False)
    ps.df_print(df[["a", "_run_seq"]])
    ps.df_print(df)
    assert capsys.readouterr().out.split() == [
        *("a", "_run_seq", "1", "0", "2", "0", "3", "0"),
        *("a", "y", "1", "2", "2", "4", "3", "6"),
    ]
    assert ps.df_filter_conds(df, [df.a > 1, df.y < 6]).a.tolist() == [2]
    assert ps.df_filter_conds(df, [df.a == 1, df.y == 6], op="or").a.tolist() == [1, 3]
    with pytest.raises(UsageError, match="shape"):
        ps.df_filter_conds(df, [[True]])


def test_other_readers_take_the_folder() -> None:
    ps.run(double, some(1, 2))
    table = psyflow.load("calc")
    assert list(table["y"]) == [2, 4] and table.to_pandas().a.tolist() == [1, 2]
    assert list(psyflow.load("calc/database.pk", columns=["a"])) == ["a"]


def test_a_database_of_psweep_is_read_and_continued() -> None:
    # W33
    Path("calc").mkdir()
    DATABASE.write_bytes(REAL.read_bytes())
    assert ps.df_read(DATABASE).a.tolist() == [1, 2, 3]
    params = [*some(1, 2), {"a": 3, "b": "x"}, *some(4)]
    df = ps.run(lambda pset: {"result_": pset["a"] * 10}, params, skip_dups=True)
    assert df.result_.tolist() == [10, 20, 30, 40]
    assert df._run_seq.tolist() == [0, 0, 1, 2] and df._pset_seq.tolist() == [0, 1, 2, 3]
    assert df._pset_hash[3] == ps.pset_hash({"a": 4}, "joblib")
    assert list(psyflow.load("calc")["result_"]) == [10, 20, 30, 40]


def test_a_database_that_cannot_be_read_stops_the_run_before_anything_is_called() -> None:
    Path("calc").mkdir()
    later = b"cpandas.core.of_tomorrow\nFrame\n(tR."
    for content, error, told in [
        (later, UnmakeableValuesError, "later pandas"),
        (b"", PsyflowError, "cut short"),
        (pickle.dumps({"a": 1}), PsyflowError, "a dict, not a data frame"),
    ]:
        DATABASE.write_bytes(content)
        with pytest.raises(error, match=told):
            ps.run(lambda pset: pytest.fail("called"), some(1))
        assert DATABASE.read_bytes() == content


def test_a_folder_that_cannot_be_written_stops_the_run_before_anything_is_called() -> None:
    Path("calc").touch()
    with pytest.raises((OSError, PsyflowError), match="calc"):
        ps.run(lambda pset: pytest.fail("called"), some(1))
