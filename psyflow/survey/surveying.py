"""`map`: a worker, psets, and what became of them."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from psyflow.columns import without
from psyflow.exceptions import UsageError
from psyflow.mapper.arguments import Asked, name_of, space_of
from psyflow.mapper.call import AsPset, Call
from psyflow.mapper.mapping import Mapped
from psyflow.mapper.outcome import Outcome
from psyflow.pspace import ParameterSpace
from psyflow.survey.report import Reporter
from psyflow.survey.results import EXCEPTION, TRACEBACK, MapResults
from psyflow.survey.session import Session, session
from psyflow.survey.settings import BACKENDS, settings
from psyflow.survey.worker import IOWAIT, RAW_STATS, Worker

__all__ = ["map"]

_RESERVED = ("_pset_id", EXCEPTION, TRACEBACK)
_OF_WORKER = (IOWAIT, RAW_STATS)
_OF_RAY = {"name", "memory", "num_cpus", "num_gpus"}


def map(
    func: Callable[..., Any],
    psets: Any,
    out_func: Callable[..., Any] | None = None,
    user_kwargs: Any = None,
    chdir: str | None = None,
    out_subdirs: int | None = None,
    progress_dt: float | None = None,
    name: str | None = None,
    keep_results: bool = True,
    ray: Mapping[str, Any] | None = None,
    multiprocessing: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> MapResults | None:
    """Call a worker for each pset, and return what it returned.

    Parameters
    ----------
    func : callable
        ``worker(pset, system_kwargs, user_kwargs)``, which returns a dict, or None.
    psets : list of dicts, or data frame
        ``pset["ray"]`` may have what a pset needs of Ray, and is no part of it: ``num_cpus`` (or
        ``num_cores``), ``num_gpus``, ``memory``, ``name``.
    out_func : callable, optional
        ``out_func(user_ret, system_kwargs, user_kwargs)``, called here with each row.
    user_kwargs : object
        What the worker gets as such.
    chdir : str, optional
        Where workers work.
    out_subdirs : int, optional
        Gives workers one of so many names, at random, as ``system_kwargs["out_subdir"]``.
    progress_dt : float, optional
        Seconds between two lines about the progress, instead of what `verbose` says.
    name : str, optional
        What this map is called in messages; the worker's name by default.
    keep_results : bool
        If not, results go to `out_func` alone.
    ray, multiprocessing : mapping, optional
        What only this backend is told; ignored by others.
    **keywords
        Of `init`: ``verbose``, ``vstats``, ``limit``, ``group_size``. Variables override them.

    Returns
    -------
    MapResults or None
        None if there are no psets.

    Raises
    ------
    TypeError
        If there is no such keyword.
    ValueError
        If it is one of `init` alone; or if a pset has a name that it cannot have.

    Examples
    --------
    >>> from psyflow import survey
    >>> def worker(pset, system_kwargs, user_kwargs):
    ...     return {"y": pset["x"] * user_kwargs["factor"]}
    >>> survey.init(verbose=0, pslogger_fd=2)
    >>> results = survey.map(worker, [{"x": 1}, {"x": 2}], user_kwargs={"factor": 3})
    >>> list(results.iterdicts())
    [{'x': 1, 'y': 3}, {'x': 2, 'y': 6}]
    >>> survey.finalize()
    """
    of = session()
    chosen = settings(of.settings, keywords, of.log.write)
    if not callable(func):
        raise TypeError(f"The worker comes first, and it has to be a function, not {func!r:.60}.")
    given, needs = _without_needs(psets)
    try:
        space = space_of(given, chosen["limit"])
    except UsageError as error:
        raise ValueError(str(error)) from error
    if not len(space):
        return None
    _check_names(space)
    called = name or name_of(func)
    system = {"name": called, "verbose": chosen["verbose"], "n_psets": len(space)}
    worker = Worker(func, system, user_kwargs, chdir, out_subdirs)
    asked = _asked(of, worker, chosen, dict(ray or {}), needs)
    reporter = Reporter(called, chosen, of.log, of.carbon, progress_dt)
    of.log.write(f"map {called}: {len(space)} psets")

    def heard(outcome: Outcome) -> None:
        if outcome.is_done:
            outcome = replace(outcome, result=without(_OF_WORKER, outcome.result or {}))
        reporter.heard(outcome)
        if out_func is not None and outcome.is_done:
            out_func(outcome.row, system, user_kwargs)

    mapped = Mapped(
        asked,
        space,
        show=reporter.shown,
        on_outcome=heard,
        group_size=chosen["group_size"] or None,
    )
    if not keep_results:
        mapped.collected.kept_names = _OF_WORKER
    failures = mapped.collected.failures
    results = MapResults(mapped.results(), failures, chosen["verbose"], called)
    reporter.end(results)
    return results


def _asked(
    of: Session,
    worker: Worker,
    chosen: Mapping[str, Any],
    options: dict[str, Any],
    needs: Mapping[int, Mapping[str, Any]],
) -> Asked:
    backend = chosen["backend"]
    on_ray = {"options": _for_ray(options), "of_items": needs, "init": of.ray}
    return Asked(
        Call(AsPset(worker)),
        "processes" if backend == "multiprocessing" else backend,
        of.n_workers,
        timeout=None,
        max_failures=None,
        max_tasks_per_child=chosen["max_tasks_per_child"] or None,
        ray=on_ray if backend == "ray" else {},
    )


def _without_needs(psets: Any) -> tuple[Any, dict[int, dict[str, Any]]]:
    """Return psets without what only a backend understands, and that, by their numbers."""
    if isinstance(psets, ParameterSpace | Mapping):
        return psets, {}
    if hasattr(psets, "iloc"):
        if not set(BACKENDS) & set(psets.columns):
            return psets, {}
        psets = psets.to_dict("records")
    rows = list(psets) if hasattr(psets, "__iter__") else psets
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return psets, {}
    needs: dict[int, dict[str, Any]] = {}
    plain: list[Any] = []
    for number, row in enumerate(rows):
        if isinstance(row, Mapping):
            if isinstance(row.get("ray"), Mapping):
                needs[number] = _for_ray(row["ray"])
            row = {key: value for key, value in row.items() if key not in BACKENDS}
        plain.append(row)
    return plain, needs


def _for_ray(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Ray is told.

    Examples
    --------
    >>> _for_ray({"num_cores": 2})
    {'num_cpus': 2}
    """
    found = {{"num_cores": "num_cpus"}.get(name, name): value for name, value in options.items()}
    if odd := sorted(found.keys() - _OF_RAY):
        raise ValueError(
            f"Ray is not told `{odd[0]}` of a pset; only {', '.join(sorted(_OF_RAY))}."
        )
    return found


def _check_names(space: ParameterSpace) -> None:
    for name in space.keys():  # noqa: SIM118
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            why = " It is kept for the results." if name in _RESERVED else ""
            raise ValueError(
                f'A pset has "{name}". Names have to be such as variables have, and must not '
                f"begin with an underscore.{why}"
            )
