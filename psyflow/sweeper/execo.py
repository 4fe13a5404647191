"""The folder of a sweeper of execo: what it says is taken over, once.

execo keeps pickles: all elements that are done, one behind the other, in ``done``; the set of
those in progress in ``inprogress``; and that of all, if they are saved, in ``sweeps``.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from psyflow.exceptions import DamagedFileError, UntrustedFileError
from psyflow.outcomes.keyfiles import KeyFile
from psyflow.sweeper.combinations import HashableDict
from psyflow.sweeper.elements import keys_of
from psyflow.sweeper.folder import Marker, held, load_sweeps
from psyflow.system.files import keep_copy, make_within
from psyflow.system.plain import NotPlainError, check_next
from psyflow.system.reading import no_pipe, read_whole
from psyflow.system.trust import made_with, unpickled
from psyflow.work.keyclaims import NOBODY, KeyClaims, transfers

__all__ = ["saved_sweeps", "take_over"]

_KEPT = "execo"
_UNKNOWN_HOLDER = 1
"""Who holds what was in progress; no lease has that number, so it counts as ended."""


def take_over(folder: Path, done: Marker, inprogress: Marker) -> None:
    """Take over what execo has written in a folder, if it has; its files are kept beside.

    Raises
    ------
    DamagedFileError
        If a file cannot be read.
    UntrustedFileError
        If it holds more than plain values.
    """
    if not (_is_execo(done.path) or _is_execo(inprogress.path)):
        return
    with held(folder):
        # Each by itself: who dies in between has done one of them.
        _take(folder, done, _write_done)
        _take(folder, inprogress, _claim)


def _take(folder: Path, marker: Marker, fill: Callable[[Path, list[Any]], object]) -> None:
    if _is_execo(marker.path):
        elements = [element for some in _pickles(marker.path) for element in _flat(some)]
        keep_copy(marker.path, make_within(folder, _KEPT) / marker.path.name)
        marker.fill(lambda home: fill(home, elements))


def _write_done(keys: Path, elements: list[Any]) -> None:
    file = KeyFile(keys / _KEPT)
    file.write(keys_of(elements))
    file.close()


def _claim(claims: Path, elements: list[Any]) -> None:
    KeyClaims(claims).add(transfers(NOBODY, _UNKNOWN_HOLDER, keys_of(elements)))


def saved_sweeps(folder: Path) -> list[Any]:
    """Return the elements that are saved in a folder, by us or by execo; see `load_sweeps`."""
    with made_with(_find):
        return load_sweeps(folder, _flat)


def _is_execo(path: Path) -> bool:
    """Tell whether a file is execo's: ours is text in braces, and never empty."""
    try:
        with no_pipe(path).open("rb") as file:
            return file.read(1) != b"{"
    except FileNotFoundError:
        return False


def _pickles(path: Path) -> Iterator[Any]:
    """Yield the values of the pickles in a file; one that was cut off at the end is left out."""
    data = read_whole(path)
    file = io.BytesIO(data)
    while (begin := file.tell()) < len(data):
        try:
            check_next(file)
        except (pickle.UnpicklingError, EOFError) as error:
            if _is_cut_off(error) and begin > 0:
                return
            raise DamagedFileError(
                f"{path} is neither of psyflow nor of execo, or it is damaged ({error}). Give the "
                "sweeper another folder, or remove the file."
            ) from error
        except NotPlainError as error:
            raise UntrustedFileError(
                f"{path} is of execo, and not read, because it wants {error.wanted}, which could "
                "run any code. Finish it with execo; or give the sweeper another folder, and mark "
                "what is done as done there."
            ) from None
        with made_with(_find):
            yield unpickled(data[begin : file.tell()], str(path), own=True)


def _is_cut_off(error: Exception) -> bool:
    return isinstance(error, EOFError) or "truncated" in str(error)


def _flat(value: Any) -> list[Any]:
    is_many = isinstance(value, set | frozenset | list)
    return list(value) if is_many else [value]


def _find(module: str, name: str) -> Any:
    is_theirs = module.startswith("execo_engine.") and name == "HashableDict"
    return HashableDict if is_theirs else None
