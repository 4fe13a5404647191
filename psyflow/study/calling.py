"""One call of the user's function: what its pset is told before, and what its row is after."""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psyflow.exceptions import Skip, UsageError
from psyflow.outcomes.records import Failure
from psyflow.pspace.unpicklable import culprit, why_not, write_instead
from psyflow.reprs import safe_repr
from psyflow.results.extras import needed
from psyflow.study.frames import BOOKKEEPING, df_print, frame_of
from psyflow.system.files import make_folder, write_atomic
from psyflow.texts import exception_text, traceback_text
from psyflow.work.capture import Output

__all__ = ["ERROR", "ROW", "Call", "Failed"]

ROW, ERROR = "row", "error"
"""The names of what a call gives to the engine, one of them: pickled rows cost it nothing."""

_LOGS = {"db", "file", "db+file", None}


@dataclass(frozen=True)
class Failed:
    """A pset whose call raised.

    Attributes
    ----------
    pset_id : str
    text : str
        The exception, as its last line in a traceback.
    traceback : str
    pickled : bytes or None
        The exception itself, if it can be pickled.
    """

    pset_id: str
    text: str
    traceback: str = ""
    pickled: bytes | None = None

    @classmethod
    def of(cls, pset_id: str, error: BaseException) -> Failed:
        """Return what is known of an exception."""
        # The first frame is of this module.
        frames = error.__traceback__ and error.__traceback__.tb_next
        trace = traceback_text(error, frames or error.__traceback__)
        return cls(pset_id, exception_text(error), trace, _pickled(error))

    @classmethod
    def of_death(cls, pset_id: str, failure: Failure) -> Failed:
        """Return what is known of a pset with which its worker died, or whose row is no row."""
        return cls(pset_id, failure.exception, failure.traceback)

    def error(self) -> BaseException | None:
        """Return the exception, if there is one that could travel."""
        if self.pickled is None:
            return None
        error: BaseException = pickle.loads(self.pickled)
        return error


def _pickled(error: BaseException) -> bytes | None:
    # Classes are the user's, and so may be what pickling and making them raises.
    with contextlib.suppress(Exception):
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
        return pickled
    return None


@dataclass(frozen=True)
class Call:
    """Calls the user's function with psets, in whatever process.

    Attributes
    ----------
    func : callable
        Takes a pset, returns a dict.
    folder : Path
        Of the study: where its per-pset folders are.
    tmpsave : bool
        Whether each row is also a file of its own.
    verbose : bool or sequence of str
        Whether each pset is printed before the call; or which columns of it.
    capture_logs : str or None
        Where what it prints goes: ``"db"``, ``"file"``, ``"db+file"``.
    """

    func: Any
    folder: Path
    tmpsave: bool = False
    verbose: bool | Sequence[str] = False
    capture_logs: str | None = None

    def check(self) -> None:
        """Raise UsageError for what cannot be meant."""
        if not callable(self.func):
            raise UsageError(
                f"The function comes first, and is called with each pset: run(func, params). "
                f"{safe_repr(self.func, 80)} is none."
            )
        if self.capture_logs not in _LOGS:
            raise UsageError(
                f'capture_logs is "db", "file", "db+file" or None, not {self.capture_logs!r}.'
            )

    def __call__(self, /, pset: dict[str, Any]) -> dict[str, Any]:
        """Return the row of a pset, or how it failed; only Ctrl-C and Skip get out."""
        now = time.time_ns()
        pset["_time_utc"] = needed("pandas").Timestamp(now)
        pset["_exec_host"] = socket.gethostname()
        pset_id = pset["_pset_id"]
        if self.verbose:
            self._show(pset)
        try:
            row = self._row(pset)
            if self.tmpsave:
                saved = make_folder(self.folder / "tmpsave" / row["_run_id"])
                write_atomic(saved / f"{row['_pset_id']}.pk", _pickled_row(row))
            # Times are many, and whole numbers quicker to pickle.
            return {ROW: _pickled_row({**row, "_time_utc": now})}
        except Skip:
            raise
        except (Exception, SystemExit) as error:
            failed = Failed.of(pset_id, error)
            _say(f"The pset {pset_id} failed: {failed.text}")
            return {ERROR: failed}

    def _row(self, pset: dict[str, Any]) -> dict[str, Any]:
        own = {name: pset[name] for name in BOOKKEEPING}
        with self._captured(pset["_pset_id"]) as logs:
            begin = time.perf_counter()
            returned = self.func(pset)
            seconds = time.perf_counter() - begin
        # What it did to its pset counts, as what it returned does; but not for which row it is.
        return {**pset, **_checked(returned), **own, "_pset_runtime": seconds, **logs}

    @contextlib.contextmanager
    def _captured(self, pset_id: str) -> Iterator[dict[str, Any]]:
        """Have what is printed, also by programs, go where `capture_logs` says."""
        logs: dict[str, Any] = {}
        if self.capture_logs is None:
            yield logs
            return
        with contextlib.ExitStack() as stack:
            if "file" in self.capture_logs:
                folder = make_folder(self.folder / pset_id)
            else:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            path = folder / "logs.txt"
            with _printing_to(path):
                yield logs
            if "db" in self.capture_logs:
                logs["_logs"] = path.read_text(errors="replace")

    def _show(self, pset: Mapping[str, Any]) -> None:
        names = list(pset) if self.verbose is True else self.verbose
        assert not isinstance(names, bool)
        df_print(frame_of([pset], None), prefix_cols=True, cols=[n for n in names if n in pset])


def _checked(returned: Any) -> Mapping[str, Any]:
    if not isinstance(returned, Mapping):
        raise TypeError(
            f"func returned {safe_repr(returned, 80)}, of type {type(returned).__name__}. It has "
            'to return a dict, such as {"result": 1.5}; {} if there is nothing to keep.'
        )
    for name in returned:
        if not isinstance(name, str):
            raise TypeError(f"func returned a dict with the key {name!r}; keys have to be text.")
    return returned


def _pickled_row(row: Mapping[str, Any]) -> bytes:
    """Return a row as it is kept; raise TypeError, naming the value, if it cannot be."""
    try:
        return pickle.dumps(row, protocol=5)
    except Exception:
        for name, value in row.items():
            try:
                pickle.dumps(value, protocol=5)
            except Exception as error:
                part = culprit(value)
                within = "" if part is value else f" with a {type(part).__name__} in it"
                raise TypeError(
                    f"The row has, as {name!r}, a {type(value).__name__}{within}, which cannot be "
                    f"pickled and so not saved: {why_not(part, error)}. "
                    f"{write_instead(part, error)}"
                ) from error
        raise


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    # In a notebook, Python's standard streams are not those of the process.
    with (
        Output(path),
        path.open("a", buffering=1, errors="replace") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
