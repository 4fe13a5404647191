"""`run`: a function called with each pset, and a database of what it returned."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.conventions import CALC_DIR, DATABASE
from psyflow.exceptions import ItemsFailedError, UsageError
from psyflow.mapper.call import accept
from psyflow.mapper.workfolder import HERE, WorkFolder
from psyflow.messages import shown_path
from psyflow.pspace import Param
from psyflow.reprs import safe_repr
from psyflow.results.extras import needed
from psyflow.study.backups import back_up, copy_database
from psyflow.study.calling import Call, Failed
from psyflow.study.database import Database, Numbers, made_of, rows_in
from psyflow.study.frames import below
from psyflow.study.hashes import hashes_of_psweep, joblib_hash, sha1_or_nan
from psyflow.study.repository import Repository
from psyflow.system.place import absolute

if TYPE_CHECKING:
    import pandas

__all__ = ["as_params", "run", "run_local"]

RESERVED = (
    "_run_id",
    "_pset_id",
    "_calc_dir",
    "_time_utc",
    "_pset_sha1",
    "_pset_seq",
    "_run_seq",
    "_pset_hash",
    "_exec_host",
    "_pset_runtime",
    "_logs",
)
"""Names of the bookkeeping; what a pset from another database has of these is of another run."""
HASHES = ("_pset_sha1", "_pset_hash")
_MOST_NAMED = 5


def run(
    func: Any,
    params: Iterable[Mapping[str, Any]],
    df: pandas.DataFrame | None = None,
    poolsize: int | None = None,
    dask_client: Any = None,
    save: bool = True,
    tmpsave: bool = False,
    verbose: bool | Sequence[str] = False,
    calc_dir: str | os.PathLike[str] = CALC_DIR,
    simulate: bool = False,
    database_dir: str | os.PathLike[str] | None = None,
    database_basename: str = DATABASE,
    backup: bool = False,
    git: bool = False,
    skip_dups: bool = False,
    capture_logs: str | None = None,
    fill_value: Any = math.nan,
) -> pandas.DataFrame:
    """Call a function with each pset, and add what it returns to a database.

    What is computed is on the disk within a second. Of a process that is killed, the next run with
    the same `calc_dir` adds the rows to the database. Several runs at once lose nothing.

    Parameters
    ----------
    func : callable
        Takes a pset, returns a dict. That updates the pset to the row of the database.
    params : iterable of dicts
        The psets. `func` finds in each, besides, ``_pset_id``, ``_run_id``, ``_pset_seq``,
        ``_run_seq``, ``_pset_sha1``, ``_calc_dir``, ``_time_utc`` and ``_exec_host``.
    df : DataFrame, optional
        Append to this instead of what is in the file. Rows of the file that it lacks stay there.
    poolsize : int, optional
        Number of processes that call it; None for this one.
    dask_client : distributed.Client, optional
        Call it on this cluster instead.
    save : bool
        Whether the database is written.
    tmpsave : bool
        Whether each row is also written to ``<calc_dir>/tmpsave/<_run_id>/<_pset_id>.pk``.
    verbose : bool or sequence of str
        Whether each pset is printed before the call; or which columns of it.
    calc_dir : path
        The folder of the study.
    simulate : bool
        Call nothing, and append the psets to a copy of the database, in ``<calc_dir>.simulate``.
    database_dir : path, optional
        The folder of the database, if it is another.
    database_basename : str
        The name of its file.
    backup : bool
        Whether `calc_dir` is copied before, to ``<calc_dir>.bak_<time>Z_run_id_<last _run_id>``.
    git : bool
        Whether what belongs to the study is committed after the run: the script, the templates and
        `calc_dir`, as far as it is not ignored.
    skip_dups : bool
        Whether psets are left out whose hash is in the database.
    capture_logs : str, optional
        Where to keep what `func` prints: ``"db"`` for a column ``_logs``, ``"file"`` for
        ``<calc_dir>/<_pset_id>/logs.txt``, or ``"db+file"``.
    fill_value : object
        What stands for a value that a row lacks.

    Returns
    -------
    DataFrame
        All rows of the database, or those of `df`, and below them the new ones.

    Raises
    ------
    Exception
        The first that `func` raised, when all psets were evaluated and the rows of the others
        saved; notes say more.
    ItemsFailedError
        If it cannot be told by that: a process died, or the exception cannot be pickled.
    UsageError
        For arguments that make no sense, before anything is called.
    StoreError
        If the database cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from psyflow.study import plist
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     df = run(lambda pset: {"y": pset["a"] ** 2}, plist("a", [1, 2, 3]), calc_dir=folder)
    >>> df[["a", "y", "_run_seq", "_pset_seq"]]
       a  y  _run_seq  _pset_seq
    0  1  1         0          0
    1  2  4         0          1
    2  3  9         0          2
    """
    psets = as_params(params)
    given_dir = f"{os.fspath(calc_dir)}.simulate" if simulate else os.fspath(calc_dir)
    folder = absolute(given_dir)  # for the function may change the working directory
    call = Call(func, folder, tmpsave, verbose, capture_logs)
    call.check()
    _check_engine(poolsize, dask_client)
    if Path(folder).is_file():
        raise UsageError(f"calc_dir {folder} is a file. Give a folder.")
    if df is not None and not hasattr(df, "columns"):
        raise UsageError(f"df is a data frame, such as df_read returns, not {safe_repr(df, 60)}.")
    home = absolute(database_dir) if database_dir is not None and not simulate else folder
    repository = Repository.here() if git and not simulate else None
    if simulate:
        copy_database(Path(database_dir or calc_dir) / database_basename, home)
    run = _Run(
        call=call,
        database=Database(home / database_basename, fill_value),
        given=df,
        saves=save,
        fill_value=fill_value,
        poolsize=poolsize,
        dask_client=dask_client,
        calls=not simulate,
        calc_dir=given_dir,
        parameters=list(dict.fromkeys(name for pset in psets for name in pset)),
    )
    if save:
        run.database.take_up_left()
        if df is not None:
            run.database.check_given(df)
    if backup and not simulate:
        back_up(folder, run.database.frame())
    frame = run.bring(psets, skip_dups=skip_dups)
    if repository is not None:
        repository.commit(run.id, [folder, home])
    return frame


def run_local(func: Any, params: Any, *args: Any, **kwds: Any) -> pandas.DataFrame:
    """Call a function with each pset, and add what it returns to a database: the same as `run`.

    Parameters
    ----------
    func : callable
    params : iterable of dicts
    *args, **kwds
        As for `run`.

    Examples
    --------
    >>> from psyflow.study import plist
    >>> run_local(lambda pset: {"y": -pset["a"]}, plist("a", [1, 2]), save=False)["y"].tolist()
    [-1, -2]
    """
    return run(func, params, *args, **kwds)


def as_params(params: Any) -> list[dict[str, Any]]:
    """Return psets as a list of dicts of their own, without an earlier run's bookkeeping.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if isinstance(params, Mapping):
        raise UsageError(
            "params is a list of psets, not one. Write [params] for one pset, or "
            'plist("a", [1, 2]) and pgrid for several.'
        )
    if callable(params) or isinstance(params, str) or not isinstance(params, Iterable):
        raise UsageError(
            f"params is a list of dicts, not {safe_repr(params, 80)}: run(func, params), with "
            'params = plist("a", [1, 2]).'
        )
    if isinstance(params, needed("pandas").DataFrame):
        params = params.to_dict("records")
    return [_own(pset) for pset in params]


def _own(pset: Any) -> dict[str, Any]:
    if not isinstance(pset, Mapping):
        raise UsageError(f"A pset is a dict, not {safe_repr(pset, 80)}. See plist and pgrid.")
    for name in pset:
        if not isinstance(name, str):
            raise UsageError(f"Names in psets are text, not {safe_repr(name, 80)}.")
    return {name: value for name, value in pset.items() if name not in RESERVED}


def _check_engine(poolsize: Any, dask_client: Any) -> None:
    if poolsize is not None and dask_client is not None:
        raise UsageError("Give poolsize or dask_client, not both.")
    is_count = isinstance(poolsize, int) and not isinstance(poolsize, bool) and poolsize > 0
    if poolsize is not None and not is_count:
        raise UsageError(f"poolsize is a number of processes, not {poolsize!r}.")


@dataclass
class _Run:
    """One run, from psets to rows in the database."""

    call: Call
    database: Database
    given: pandas.DataFrame | None
    saves: bool
    fill_value: Any
    poolsize: int | None
    dask_client: Any
    calls: bool
    calc_dir: str
    parameters: Sequence[str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def bring(self, psets: list[dict[str, Any]], *, skip_dups: bool) -> pandas.DataFrame:
        """Evaluate psets, and return the database with their rows."""
        known = self.database.frame() if self.given is None else self.given
        for pset in psets:
            pset["_pset_sha1"] = sha1_or_nan(pset)
        # Where NaN stands for a hash, and in databases of newer psweeps, another tells.
        if "_pset_hash" in known or not all(isinstance(p["_pset_sha1"], str) for p in psets):
            for pset in psets:
                pset["_pset_hash"] = joblib_hash(pset)
        if skip_dups:
            psets = _new_ones(psets, known)
        if not psets:
            return known
        with self._folder(len(psets), known) as (numbers, work):
            psets = [self._known_by(pset, numbers, n) for n, pset in enumerate(psets)]
            return self._evaluated(psets, work)

    @contextlib.contextmanager
    def _folder(
        self, n_psets: int, known: pandas.DataFrame
    ) -> Iterator[tuple[Numbers, WorkFolder]]:
        if self.saves:
            with self.database.reserved(self.id, n_psets, [known]) as reserved:
                yield reserved
            return
        with tempfile.TemporaryDirectory(prefix="psyflow-") as folder:
            work = WorkFolder(Path(folder) / "run", "run.json")
            work.begin(b"")
            yield Numbers.after([known]), work

    def _known_by(self, pset: dict[str, Any], numbers: Numbers, n: int) -> dict[str, Any]:
        hashes = {name: value for name, value in pset.items() if name in HASHES}
        own = {name: value for name, value in pset.items() if name not in HASHES}
        return {
            **own,
            "_run_id": self.id,
            "_pset_id": str(uuid.uuid4()),
            "_calc_dir": self.calc_dir,
            "_time_utc": None,
            **hashes,
            "_pset_seq": numbers.pset_seq + n,
            "_run_seq": numbers.run_seq,
        }

    def _evaluated(self, psets: list[dict[str, Any]], work: WorkFolder) -> pandas.DataFrame:
        try:
            self._evaluate(psets, work)
        except BaseException:
            # What is computed is saved; if that fails as well, the next run does it.
            with contextlib.suppress(Exception):
                self._kept(rows_in(work, len(psets))[0], work)
            raise
        rows, failed = rows_in(work, len(psets))
        for record in work.outcomes().failures:
            failure = record.read()
            failed[failure.item] = Failed.of_death(psets[failure.item]["_pset_id"], failure)
        frame = self._kept(rows, work)
        if failed:
            self._raise([failed[item] for item in sorted(failed)], len(psets))
        return frame

    def _evaluate(self, psets: list[dict[str, Any]], work: WorkFolder) -> None:
        call = self.call if self.calls else Call(_nothing, self.call.folder)
        backend = "dask" if self.dask_client is not None else HERE if not self.poolsize else None
        client = self.dask_client
        with client.as_current() if client is not None else contextlib.nullcontext():
            n_workers = self.poolsize or 1
            work.evaluate(call, Param(pset=psets), n_workers, backend, accept, math.inf)

    def _kept(self, rows: Sequence[Mapping[str, Any]], work: WorkFolder) -> pandas.DataFrame:
        new = made_of(rows, self.fill_value)
        if self.saves:
            return self.database.add(new, work, self.given, self.parameters)
        known = self.database.frame() if self.given is None else self.given
        return below(known, new, self.fill_value)

    def _raise(self, failed: Sequence[Failed], n_psets: int) -> None:
        where = "were not saved"
        if self.saves:
            self.database.note_failures(self.id, failed)
            where = f"are in {shown_path(self.database.path)}"
        told = f"{len(failed)} of {n_psets} psets failed; the rows of the others {where}."
        first = failed[0]
        error = first.error()
        if error is None:
            raise ItemsFailedError(f"{told} The first failed with {first.text}", None, failed)
        error.add_note(f"{told} They failed so:")
        for one in failed[:_MOST_NAMED]:
            error.add_note(f"  _pset_id {one.pset_id}: {one.text}")
        error.add_note(first.traceback)
        raise error


def _nothing(pset: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _new_ones(psets: list[dict[str, Any]], known: pandas.DataFrame) -> list[dict[str, Any]]:
    """Return the psets of which no hash is in a database."""
    there = {name: set(known[name]) for name in HASHES if name in known}
    if "_pset_hash" in there:
        there["_pset_hash"] |= hashes_of_psweep(known)
    # NaN is no hash, and in a set if it is the very same.
    known_hashes = {h for hashes in there.values() for h in hashes if isinstance(h, str)}
    return [pset for pset in psets if known_hashes.isdisjoint(pset[n] for n in there)]
