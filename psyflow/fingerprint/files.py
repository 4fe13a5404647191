"""The data files that results depend on: those that `file_dep` or psets name.

An entry of `file_dep` is a file, a folder, which stands for every file below it, or a glob, which
stands for the files and folders that it matches. What is hidden, the folders ``__pycache__`` and
``psy-work``, and what the task itself writes is left out, unless an entry names it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import hashlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from psyflow.conventions import WORKDIR, study_of
from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.origins import work_tree_of
from psyflow.fingerprint.parts import Part, digest, file_part
from psyflow.system.place import absolute
from psyflow.system.reading import names_in

__all__ = ["FileDigests", "contents_of", "file_parts", "is_in_study", "stamp_of", "study_folders"]

_NEVER = {"__pycache__", WORKDIR}
# A file that is changed twice within one tick of a clock has the same stamp before and after.
_SETTLED_NS = 2_000_000_000


class FileDigests:
    """Digests of files, each of which is read only once as long as it stays what it is.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.csv")
    ...     _ = file.write_text("1,2")
    ...     digests = FileDigests()
    ...     digests.of(file) == digests.of(file) == file_part(file).digest
    True
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        self._unsettled: set[str] = set()
        self._wanted: set[str] = set()

    def of(self, path: Path) -> str:
        """Return the digest of the content of a file, which has an absolute path.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        name = str(path)
        self._wanted.add(name)
        known = self._known.get(name)
        if known is not None and known[0] == _stamp(path.stat()):
            return known[1]
        return self._read(path)

    def _read(self, path: Path) -> str:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            age = time.time_ns() - before.st_ctime_ns
            found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
            stamp = _stamp(before)
            is_whole = stamp == _stamp(os.fstat(file.fileno()))
        if is_whole:
            self._known[str(path)] = stamp, found
        is_settled = is_whole and age > _SETTLED_NS
        (self._unsettled.discard if is_settled else self._unsettled.add)(str(path))
        return found

    def know(self, records: Mapping[str, Sequence[str]], folder: Path) -> None:
        """Take up what `records` gave, of files that may have changed, or been copied, since."""
        for name, (stamp, found) in records.items():
            path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118
            self._known.setdefault(path, (stamp, found))

    def records(self, folder: Path) -> dict[str, list[str]]:
        """Return what is known of the files that were asked for, for `json.dumps`.

        Their paths go from `folder` on.
        """
        settled = self._known.keys() & self._wanted - self._unsettled
        return {os.path.relpath(path, folder): [*self._known[path]] for path in sorted(settled)}

    def unsettled(self, folder: Path) -> dict[str, str]:
        """Return the stamps of the files that were asked for and are not in `records`.

        That of a file which was written to while it was read is like no other.
        """
        paths = sorted(self._wanted & self._unsettled)
        return {os.path.relpath(p, folder): self._known.get(p, ("",))[0] for p in paths}


def stamp_of(path: Path) -> str | None:
    """Return what is another for each state of a file, as in `FileDigests`; None without one."""
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(stat: os.stat_result) -> str:
    # The time of the last change of status tells what others can be made to hide.
    return f"{stat.st_size}.{stat.st_mtime_ns}.{stat.st_ctime_ns}.{stat.st_ino}"


def file_parts(
    entries: Iterable[Path], folder: Path, own: Collection[Path], digests: FileDigests
) -> dict[str, Part]:
    """Return the parts of a fingerprint for the entries of `file_dep`, each by its path.

    Parameters
    ----------
    entries : iterable of Path
        Absolute.
    folder : Path
        The task folder, from which the paths in the parts start.
    own : collection of Path
        What the task writes, absolute.
    digests : FileDigests

    Raises
    ------
    TaskFileError
        If a file cannot be read, or a glob matches nothing.
    """
    listing = _Listing(frozenset(own))
    return {os.path.relpath(e, folder): _part(e, folder, listing, digests) for e in entries}


def contents_of(
    paths: Iterable[str], folder: Path, own: Collection[Path], digests: FileDigests
) -> dict[str, str]:
    """Return the digests of the files of a study among some paths, by these.

    Parameters
    ----------
    paths : iterable of str
        As psets have them; relative ones start from the task folder, as they do in `execute`.
    folder : Path
        The task folder.
    own : collection of Path
        Files and folders that the task writes, absolute.
    digests : FileDigests
    """
    found = {}
    study, written = _prefixes(study_folders(folder)), _prefixes(own)
    for path in sorted(paths):
        file = absolute(folder / path)
        # There may be many.
        text = f"{file}{os.sep}"
        if not text.startswith(study) or text.startswith(written):
            continue
        # One that cannot be read counts by its name: `execute` will say what is wrong.
        with contextlib.suppress(OSError):
            if file.is_file():
                found[path] = digests.of(file)
    return found


def _prefixes(places: Iterable[Path]) -> tuple[str, ...]:
    return tuple(f"{place}{os.sep}" for place in places)


def is_in_study(path: Path, folder: Path) -> bool:
    """Tell whether a file is of the study that a task folder is in.

    Examples
    --------
    >>> is_in_study(Path("/home/me/study/data/a.csv"), Path("/home/me/study/psy-tasks"))
    True
    >>> is_in_study(Path("/usr/share/dict/words"), Path("/home/me/study/psy-tasks"))
    False
    """
    return any(map(path.is_relative_to, study_folders(folder)))


def study_folders(folder: Path) -> set[Path]:
    """Return the folders that are the study which a task folder is in."""
    return {work_tree_of(folder), study_of(folder)}


def _part(entry: Path, folder: Path, listing: _Listing, digests: FileDigests) -> Part:
    name = os.path.relpath(entry, folder)
    is_glob = glob.has_magic(name) and not os.path.lexists(entry)
    if not is_glob and not entry.is_dir():
        return Part(_digest(entry, digests), "", 0, name)
    found = listing.matching(folder, Path(name).parts) if is_glob else listing.below(entry)
    files = {os.path.relpath(p, folder): _digest(p, digests) for p in dict.fromkeys(found)}
    if is_glob and not files:
        raise TaskFileError(
            f'"{name}" in `file_dep` matches no file. Paths in `file_dep` are relative to the '
            "task file; * stands for any part of a name, and ** for any folders."
        )
    text = "\n".join(f"{content} {file}" for file, content in files.items())
    return Part(digest(text), "", 0, name, files)


def _digest(path: Path, digests: FileDigests) -> str:
    try:
        return digests.of(path)
    except OSError:
        return file_part(path).digest  # which says what is wrong


class _Listing:
    """Finds the files of folders and globs, in an order that is always the same."""

    def __init__(self, own: frozenset[Path]) -> None:
        self._own = own

    def below(self, folder: Path) -> Iterator[Path]:
        """Give the regular files below a folder, or behind links, but each folder only once."""
        for root, names in self._walk(folder):
            files = (root / name for name in names)
            yield from (file for file in files if self._counts(file) and file.is_file())

    def matching(self, folder: Path, pattern: Sequence[str]) -> Iterator[Path]:
        """Give the files that a pattern matches, or that are below the folders it matches."""
        if not pattern:
            yield from self.below(folder) if folder.is_dir() else [folder]
            return
        first, rest = pattern[0], pattern[1:]
        if first == "**":
            folders: Iterable[Path] = (root for root, _ in self._walk(folder))
        elif glob.has_magic(first):
            folders = self._named(folder, first)
        else:
            folders = [folder / first] if os.path.lexists(folder / first) else []
        for path in folders:
            yield from self.matching(path, rest)

    def _named(self, folder: Path, pattern: str) -> Iterator[Path]:
        try:
            names = sorted(names_in(folder)) if folder.is_dir() else []
        except OSError as error:
            _refuse(error)
        for name in fnmatch.filter(names, pattern):
            path = folder / name
            if path.exists() and self._counts(path, is_named=pattern.startswith(".")):
                yield path

    def _walk(self, top: Path) -> Iterator[tuple[Path, list[str]]]:
        seen: set[tuple[int, int]] = set()
        for root, folders, files in os.walk(top, onerror=_refuse, followlinks=True):
            stat = Path(root).stat()
            if (stat.st_dev, stat.st_ino) in seen:
                folders.clear()
                continue
            seen.add((stat.st_dev, stat.st_ino))
            folders[:] = sorted(name for name in folders if self._counts(Path(root, name)))
            yield Path(root), sorted(files)

    def _counts(self, path: Path, *, is_named: bool = False) -> bool:
        is_hidden = path.name.startswith(".") and not is_named
        return not is_hidden and path.name not in _NEVER and path not in self._own


def _refuse(error: OSError) -> NoReturn:
    raise TaskFileError(
        f'The folder "{error.filename}" in `file_dep` cannot be read: {error.strerror}.'
    ) from error
