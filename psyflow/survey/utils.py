"""What workers may need."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from psyflow.mapper.batches import peak_memory

__all__ = ["flatten_results", "subprocess_run_worker", "vmem"]


def vmem() -> float:
    """Return the most memory that this process, or one that it has started, has used: in GB.

    Examples
    --------
    >>> from psyflow.survey.utils import vmem
    >>> 0.001 < vmem() < 1000
    True
    """
    unit = 1 if sys.platform == "darwin" else 1024
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return max(peak_memory(), of_children) / 1e9


def flatten_results(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Make one dict of each pset and its result.

    Parameters
    ----------
    results : iterable of mapping
        Each with ``pset``, a mapping, and ``result``, another; either may be missing.

    Raises
    ------
    ValueError
        If any result has a name that any pset has.

    Examples
    --------
    >>> from psyflow.survey.utils import flatten_results
    >>> flatten_results([{"pset": {"x": 1}, "result": {"y": 2}}])
    [{'x': 1, 'y': 2}]
    """
    pairs = [(one.get("pset") or {}, one.get("result") or {}) for one in results]
    of_psets, of_results = ({name for pair in pairs for name in pair[part]} for part in (0, 1))
    if both := sorted(of_psets & of_results):
        raise ValueError(f"`{both[0]}` is in a pset and in a result. Rename one of them.")
    return [{**pset, **result} for pset, result in pairs]


def subprocess_run_worker(
    pset: Mapping[str, Any],
    system_kwargs: Mapping[str, Any],
    user_kwargs: Mapping[str, Any] | None,
) -> dict[str, Any]:
    r"""Run a program: a worker for `map`.

    Parameters
    ----------
    pset : mapping
        ``run_args``: the program with its arguments, as `subprocess.run` takes them.
    system_kwargs : mapping
    user_kwargs : mapping
        ``run_kwargs``: keywords of `subprocess.run`.

    Returns
    -------
    dict
        ``cli``, a `subprocess.CompletedProcess`.

    Raises
    ------
    FileNotFoundError
        If there is no such program.

    Examples
    --------
    >>> from psyflow.survey.utils import subprocess_run_worker
    >>> run_kwargs = {"capture_output": True, "text": True}
    >>> subprocess_run_worker({"run_args": ["echo", "hi"]}, {}, {"run_kwargs": run_kwargs})["cli"]
    CompletedProcess(args=['echo', 'hi'], returncode=0, stdout='hi\n', stderr='')
    """
    run_args = pset["run_args"]
    run_kwargs = {**(user_kwargs or {}).get("run_kwargs", {}), **pset.get("run_kwargs", {})}
    try:
        return {"cli": subprocess.run(run_args, check=False, **run_kwargs)}
    except FileNotFoundError as error:
        if isinstance(run_args, str) and not run_kwargs.get("shell"):
            error.add_note('For a command line as one text, give run_kwargs={"shell": True}.')
        raise
