"""Whose a pickle is, and so what may be made of it: unpickling can run any code.

Plain values (see `psyflow.system.plain`) are read from anybody's files. What only unpickling can
make is made of files that this user's own `psy` has written, or that the user trusts by a word.

What `psy` freezes is *sealed*: followed by codes that need this user's key, which lies in no
folder of a run. The first says that the user's `psy` wrote just these bytes, wherever they are;
the second, for which folder. Where that is the folder, the user's own files in it are trusted. In
copies they are not, for anybody may have added something to those.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import io
import os
import pickle
import stat
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from psyflow.exceptions import UnmakeableValuesError, UntrustedFileError
from psyflow.system.files import link_new, make_folder
from psyflow.system.plain import NotPlainError, check_plain, name_here
from psyflow.system.reading import no_pipe, read_whole

__all__ = [
    "HOW_TO_MAKE",
    "HOW_TO_TRUST",
    "Origin",
    "Unpickler",
    "checked",
    "found_in",
    "is_own",
    "is_trusting",
    "made_with",
    "require_own",
    "seal",
    "trusting",
    "unmakeable",
    "unpickled",
    "unsealed",
]

Find: TypeAlias = Callable[[str, str], Any]

HOW_TO_TRUST = (
    "If you trust who wrote it, add --trust to the command, or trust=True to psyflow.load."
)
HOW_TO_MAKE = (
    "Have the module where it can be imported (its folder in sys.path), with the class as it was."
)
_MAGIC = b"psyseal\n"
_KEY_BYTES = _CODE_BYTES = 32
_SEAL_BYTES = len(_MAGIC) + 2 * _CODE_BYTES
_SEALS_KEPT = 64


@dataclass(frozen=True)
class Origin:
    """Where files of a run are, and what tells whose they are.

    Attributes
    ----------
    folder : Path
        The folder of the run.
    space : Path or None
        The sealed space of what wrote the files, within that folder; None if it is not known.
    """

    folder: Path
    space: Path | None

    @functools.cached_property
    def is_own(self) -> bool:
        """Whether this user's `psy` began the run, in this very folder; it is looked for once."""
        if self.space is None:
            return False
        try:
            space, folder = self.space.stat(), self.folder.stat()
        except OSError:
            return False
        stamp = space.st_ino, space.st_mtime_ns, space.st_size
        return _is_sealed_for(self.space, folder.st_ino, stamp)


_trusting: ContextVar[bool] = ContextVar("_trusting", default=False)
_origin: ContextVar[Origin | None] = ContextVar("_origin", default=None)
_find: ContextVar[Find | None] = ContextVar("_find", default=None)

# -- what the user says ---------------------------------------------------------------------------


@contextlib.contextmanager
def trusting(yes: bool = True) -> Iterator[None]:
    """Trust all files for a while, or, with False, none but the user's own."""
    token = _trusting.set(yes)
    try:
        yield
    finally:
        _trusting.reset(token)


def is_trusting() -> bool:
    """Tell whether all files are trusted now."""
    return _trusting.get()


@contextlib.contextmanager
def found_in(origin: Origin) -> Iterator[None]:
    """Say of the files that are loaded for a while that nobody named them: they were found.

    Otherwise a result file that is loaded has been named by the user, who trusts it.
    """
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


@contextlib.contextmanager
def made_with(find: Find) -> Iterator[None]:
    """Have classes and functions that pickles name looked up by `find` for a while.

    Parameters
    ----------
    find : callable
        Given the name of a module and a name in it, returns what it names; None if the import
        system is to look for it, as without this.
    """
    token = _find.set(find)
    try:
        yield
    finally:
        _find.reset(token)


# -- unpickling -----------------------------------------------------------------------------------


class Unpickler(pickle.Unpickler):
    """Makes the values of a pickle, also of one that another NumPy has written.

    Attributes
    ----------
    wanted : str or None
        The class or function that was looked for last.
    """

    wanted: str | None = None

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function that the pickle names."""
        self.wanted = f"{module}.{name}"
        here = name_here(module, name)
        if here[1] == "_frombuffer" and here[0].endswith("core.numeric"):
            return _from_buffer
        find = _find.get()
        found = None if find is None else find(*here)
        return super().find_class(*here) if found is None else found


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> Any:
    """Do what NumPy's function of this name does in its newest version."""
    import numpy as np

    array = np.frombuffer(buffer, dtype=dtype)
    if axis_order is not None:
        return array.reshape(shape, order="C").transpose(axis_order)
    return array.reshape(shape, order=order)


def unpickled(pickled: bytes, what: str, *, own: bool) -> Any:
    """Return the value of a pickle that is known to be whole.

    Parameters
    ----------
    pickled : bytes
    what : str
        What it is, for messages.
    own : bool
        Whether this user's `psy` wrote it.

    Raises
    ------
    UntrustedFileError
        If more than plain values are in it, and it is neither the user's own nor trusted.
    UnmakeableValuesError
        If a value cannot be made here.
    """
    unpickler = Unpickler(io.BytesIO(pickled))
    try:
        if not (own or is_trusting()):
            _check(pickled, what)
        return unpickler.load()
    except (UntrustedFileError, MemoryError):
        raise
    except Exception as error:
        # Classes are the user's, and so may be what making their values raises.
        raise unmakeable(what, unpickler, error) from error


def unmakeable(what: str, unpickler: Unpickler, error: Exception) -> UnmakeableValuesError:
    """Return an error that says why values of a whole pickle cannot be made, and what to do."""
    wanted = f" of {unpickler.wanted}" if unpickler.wanted else ""
    return UnmakeableValuesError(
        f"{what} is whole, but its values{wanted} cannot be made here "
        f"({type(error).__name__}: {error}). {HOW_TO_MAKE}"
    )


def checked(file: IO[bytes], path: Path) -> IO[bytes]:
    """Return what to unpickle of an open file: itself, or its bytes, which are plain.

    Raises
    ------
    UntrustedFileError
        If it was found in a run of somebody else, and holds more than plain values.
    """
    origin = _origin.get()
    if origin is None or is_trusting() or is_own(path, origin):
        return file
    # In memory, nobody can change it any more.
    pickled = file.read()
    _check(pickled, "It")
    return io.BytesIO(pickled)


def _check(pickled: bytes, what: str) -> None:
    try:
        check_plain(pickled)
    except NotPlainError as error:
        raise UntrustedFileError(
            f"{what} is not known to be written by your own psy, and wants {error.wanted}, which "
            f"could run any code. {HOW_TO_TRUST}"
        ) from None


# -- whose it is ----------------------------------------------------------------------------------


def is_own(file: Path, origin: Origin) -> bool:
    """Tell whether this user wrote a file, in a folder where this user's `psy` began the run."""
    status = file.stat()
    is_mine = status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH
    return is_mine and origin.is_own


def require_own(code: Path, origin: Origin) -> None:
    """Raise UntrustedFileError unless the frozen code of a run may be run; see `is_own`."""
    if code.exists() and not (is_trusting() or is_own(code, origin)):
        raise UntrustedFileError(
            f"The code in {code} is not known to be written by your own psy, and is not run. "
            f"{HOW_TO_TRUST}"
        )


@functools.lru_cache(_SEALS_KEPT)
def _is_sealed_for(space: Path, folder: int, stamp: tuple[int, ...]) -> bool:
    data = read_whole(space)
    key = _saved_key() or _process_key()
    return hmac.compare_digest(_seal(_without_seal(data), folder, key), data[-_SEAL_BYTES:])


def seal(data: bytes, folder: Path) -> bytes:
    """Return `data` with a seal behind it, which only this user's `psy` can make.

    Parameters
    ----------
    data : bytes
    folder : Path
        The folder of the run that the data are for.
    """
    return data + _seal(data, folder.stat().st_ino, _saved_key() or _new_key())


def unsealed(data: bytes) -> tuple[bytes, bool]:
    """Return data without its seal, and whether this user's `psy` wrote it, in whatever folder.

    Examples
    --------
    >>> unsealed(b"of an earlier psyflow")
    (b'of an earlier psyflow', False)
    """
    content = _without_seal(data)
    code = _code(content, _saved_key() or _process_key())
    at = len(content) + len(_MAGIC)
    return content, hmac.compare_digest(code, data[at : at + _CODE_BYTES])


def _without_seal(data: bytes) -> bytes:
    is_sealed = data[-_SEAL_BYTES:].startswith(_MAGIC) and len(data) >= _SEAL_BYTES
    return data[:-_SEAL_BYTES] if is_sealed else data


def _seal(data: bytes, folder: int, key: bytes) -> bytes:
    # A copy of a folder has another number.
    code = _code(data, key)
    return _MAGIC + code + _code(b"%d %b" % (folder, code), key)


def _code(data: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(data, key=key, digest_size=_CODE_BYTES, person=b"psyflow seal").digest()


def _key_file() -> Path | None:
    """Return where the key is kept; None if the user has no place for it."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if state.is_absolute():
        return state / "psyflow" / "key"
    home = Path("~").expanduser() if "HOME" in os.environ else Path()
    return home / ".local/state/psyflow/key" if home.is_absolute() and home.is_dir() else None


def _saved_key() -> bytes | None:
    """Return the key if there is one that nobody else can know."""
    path = _key_file()
    if path is None:
        return None
    try:
        with no_pipe(path).open("rb") as file:
            status = os.fstat(file.fileno())
            key = file.read(_KEY_BYTES)
    except OSError:
        return None
    is_secret = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return key if is_secret and len(key) == _KEY_BYTES else None


def _new_key() -> bytes:
    """Make the key of this user; where it cannot be kept, one for this process."""
    path = _key_file()
    if path is not None:
        # Whoever else makes it at the same time may be first; it is read back.
        with contextlib.suppress(OSError):
            make_folder(path.parent.parent)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            link_new(path, os.urandom(_KEY_BYTES), mode=0o600)
    return _saved_key() or _process_key()


@functools.cache
def _process_key() -> bytes:
    return os.urandom(_KEY_BYTES)
