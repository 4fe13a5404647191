"""What a fingerprint is made of."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psyflow.exceptions import TaskFileError

__all__ = [
    "ORDER",
    "Part",
    "digest",
    "file_part",
    "parts_from_json",
    "parts_to_json",
]

ORDER = "<order>"
"""Ends the name of a part that says in which order a module's statements stand."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that results depend on: a function, a constant, an import, a file.

    Attributes
    ----------
    digest : str
        Hexadecimal digest of the content that counts (no comments, docstrings, formatting).
    source : str
        The lines as they were written, empty for a data file. Lines between two statements that
        belong together are blank, so that line `i` of `source` is line ``line + i`` of `file`.
    line : int
        Number of the first line in `file`, from 1; 0 for a data file.
    file : str
        Path of the file, relative to the task folder if it is in there.
    files : dict of str to str, optional
        Of a folder or glob, the files and their digests.
    """

    digest: str
    source: str
    line: int
    file: str
    files: dict[str, str] | None = None


def digest(text: str) -> str:
    """Return the digest of `text` that parts carry."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def file_part(path: str | os.PathLike[str]) -> Part:
    """Return the part for a file that results depend on, by its content, read in pieces.

    Raises
    ------
    TaskFileError
        If the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            hashed = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    except OSError as error:
        raise TaskFileError(
            f'The file "{path}" in `file_dep` cannot be read: {error.strerror or error}. '
            "Paths in `file_dep` are relative to the task file."
        ) from error
    return Part(hashed.hexdigest(), "", 0, os.fspath(path))


def parts_to_json(parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Turn parts into what `json.dumps` takes."""
    return {
        name: {key: value for key, value in asdict(part).items() if value is not None}
        for name, part in parts.items()
    }


def parts_from_json(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Part]:
    """Turn what `parts_to_json` gave into parts again.

    Examples
    --------
    >>> parts = {"N": Part("1", "N = 3", 1, "task_a.py")}
    >>> parts_from_json(parts_to_json(parts)) == parts
    True
    """
    return {
        name: Part(
            str(entry["digest"]),
            str(entry["source"]),
            int(entry["line"]),
            str(entry["file"]),
            entry.get("files"),
        )
        for name, entry in data.items()
    }
