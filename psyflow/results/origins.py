"""Where rows come from: the keys of their psets as text, workers, and how programs ended."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column
from psyflow.outcomes.records import OF_PROGRAMS, Failure
from psyflow.system.processes import signal_name

__all__ = [
    "in_bytes",
    "names_of_keys",
    "of_failed_programs",
    "of_programs",
    "of_workers",
    "run_and_commit",
]

_DIGITS = 32
_COMMIT_DIGITS = 10
_OF_JOB = re.compile(r":process:(\d+)(?:\+(\d+))?\.worker-(\d+)\.log$")


def names_of_keys(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.str_]:
    """Return keys as text, as psets' folders are named.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n, 2)

    Examples
    --------
    >>> names_of_keys(np.array([[1, 15]], dtype=np.uint64))
    array(['000000000000000f0000000000000001'], dtype='<U32')
    """
    pairs = keys.reshape(-1, 2)
    digits = np.ascontiguousarray(pairs[:, ::-1]).astype(">u8").tobytes().hex()
    texts = np.frombuffer(digits.encode("ascii"), dtype=f"S{_DIGITS}")
    return texts.astype(f"U{_DIGITS}")


def run_and_commit(run: str, provenance: Mapping[str, Any]) -> str:
    """Say which run made rows, and of which commit; a plus says that files had been changed since.

    Examples
    --------
    >>> run_and_commit("20260101T000000-abcdef", {"git_commit": "0123456789abcdef+"})
    'run 20260101T000000-abcdef, commit 0123456789+'
    """
    commit = str(provenance.get("git_commit") or "")
    plus = "+" * commit.endswith("+")
    return f"run {run}" + f", commit {commit.rstrip('+')[:_COMMIT_DIGITS]}{plus}" * bool(commit)


def in_bytes(peak_kib: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return amounts of memory in bytes, NaN for negative ones, which are not known.

    Examples
    --------
    >>> in_bytes(np.array([2, -1]))
    array([2048.,   nan])
    """
    return np.where(peak_kib < 0, np.nan, peak_kib * 1024.0)


def of_workers(
    arrays: Mapping[str, npt.NDArray[Any]], workers: Sequence[str], job_ids: Sequence[str]
) -> dict[str, Column]:
    """Return which worker computed each row: its host and process, and its number in which job.

    Parameters
    ----------
    arrays : mapping from str to ndarray
        Of the bookkeeping; its ``worker`` counts `workers`.
    workers : sequence of str
        ``"<host> <pid> <log>"``.
    job_ids : sequence of str
        What the scheduler called the job of each; "" if it was none of a scheduler's.

    Returns
    -------
    dict
        ``host``, ``pid``, ``job`` (number of the process job), ``worker`` and ``job_id``; "" and
        −1 where that is not recorded.
    """
    ids = [worker.split(" ", 2) for worker in workers]
    hosts = np.array([i[0] if len(i) == 3 else "" for i in ids], dtype=str)
    pids = np.array([int(i[1]) if len(i) == 3 else -1 for i in ids], dtype=np.int64)
    places = [_OF_JOB.search(i[2]) if len(i) == 3 else None for i in ids]
    jobs = np.array([int(p[1]) + int(p[2] or 0) if p else -1 for p in places], dtype=np.int64)
    numbers = np.array([int(p[3]) if p else -1 for p in places], dtype=np.int64)
    rows = arrays["worker"].astype(np.intp)
    return {
        "host": hosts[rows],
        "pid": pids[rows],
        "job": jobs[rows],
        "worker": numbers[rows],
        "job_id": np.array(job_ids, dtype=str)[rows],
    }


def of_programs(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Column]:
    """Return how the programs of each row ended and what they took, if any row has run some.

    Parameters
    ----------
    arrays : mapping from str to ndarray
        Of the bookkeeping.

    Returns
    -------
    dict
        ``exit_code`` (−1: none), ``signal`` ("": none), ``cpu`` (seconds) and ``peak_memory``
        (bytes, NaN: not known).

    Examples
    --------
    >>> one = {"exit_code": [-1], "signal": [9], "cpu": [0.5], "peak_memory": [-1]}
    >>> of_programs({name: np.array(values) for name, values in one.items()})["signal"]
    array(['SIGKILL'], dtype='<U7')
    """
    if not any(name in arrays for name in OF_PROGRAMS):
        return {}
    n_rows = len(next(arrays[name] for name in OF_PROGRAMS if name in arrays))
    told: dict[str, Column] = {
        name: arrays.get(name, np.broadcast_to(unknown, n_rows))
        for name, unknown in OF_PROGRAMS.items()
    }
    numbers = np.asarray(told["signal"]).tolist()
    told["signal"] = np.array([signal_name(n) if n else "" for n in numbers], str)
    peak = np.asarray(told["peak_memory"])
    told["peak_memory"] = np.where(peak < 0, np.nan, peak)
    return told


def of_failed_programs(failures: Sequence[Failure]) -> dict[str, Column]:
    """Return the same of failures, if any of their psets has run programs."""
    if not any(failure.programs for failure in failures):
        return {}
    return of_programs(
        {
            name: np.array(
                [(f.programs or {}).get(name, unknown) for f in failures], unknown.dtype
            )
            for name, unknown in OF_PROGRAMS.items()
        }
    )
