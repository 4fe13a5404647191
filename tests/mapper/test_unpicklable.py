"""Values that no pickle holds, as parameters and as results: maps say which, and what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import psyflow
from psyflow.exceptions import PsyflowError
from psyflow.mapper import map_pspace_hdd_backed, map_pspace_parallel

LOCK = {"model": [threading.Lock()]}
LAMBDA = {"model": [lambda: 1]}


def model_of(model: Any) -> dict[str, Any]:
    return {"kind": type(model).__name__}


def a_lambda(x: int) -> dict[str, Any]:
    return {"model": lambda: x}


def a_frame(x: int) -> Any:
    import pandas

    return pandas.DataFrame({"x": [x]})


@pytest.mark.parametrize("backend", ["processes", "loky", "multiprocessing"])
def test_a_parameter_that_cannot_be_sent_is_named(backend: str) -> None:
    with pytest.raises(PsyflowError, match=r"`model` .*lock.*Use what it is made from"):
        psyflow.map(model_of, LOCK, backend=backend)
    with pytest.raises(PsyflowError, match=r"`model` .*lock.*Use what it is made from"):
        list(psyflow.imap(model_of, LOCK, backend=backend))
    if backend != "processes":
        with pytest.raises(PsyflowError, match=r"`model` .*lock.*Use what it is made from"):
            map_pspace_parallel(model_of, LOCK, 2, backend)
    if backend != "multiprocessing":
        assert psyflow.map(model_of, LAMBDA, backend=backend)["kind"][0] == "function"


@pytest.mark.parametrize(
    ("psets", "told"),
    [(LOCK, "Use what it is made from"), (LAMBDA, r"a lambda.*as def NAME\(\.\.\.\)")],
    ids=["lock", "lambda"],
)
def test_what_is_kept_needs_parameters_with_a_content(
    psets: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(PsyflowError, match=f"Parameter `model`.*{told}"):
        psyflow.map(model_of, psets, workdir=tmp_path / "work")
    with pytest.raises(PsyflowError, match=f"Parameter `model`.*{told}"):
        map_pspace_hdd_backed(model_of, psets, tmp_path / "file.pkl")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


Tried = Callable[[Any], str]


def by_map(function: Any) -> str:
    with pytest.raises(PsyflowError) as raised:
        results = psyflow.map(function, {"x": [1]}, progress=False)
        raise PsyflowError(results.failures["exception"][0])
    return str(raised.value)


def by_parallel(function: Any) -> str:
    with pytest.raises(PsyflowError) as raised:
        map_pspace_parallel(function, {"x": [1]}, 1, "threading")
    return str(raised.value)


@pytest.mark.parametrize("asked", [by_map, by_parallel])
def test_what_is_returned_is_named(asked: Tried) -> None:
    told = asked(a_lambda)
    assert '"model"' in told and "it is a lambda" in told and "as def NAME(...)" in told
    pytest.importorskip("pandas")
    told = asked(a_frame)
    assert "returned a DataFrame" in told and 'frame.to_dict("list")' in told
