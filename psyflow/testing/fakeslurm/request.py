"""A call of one of Slurm's programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["RELIABLE", "Request", "StdinWanted"]

RELIABLE = "FAKESLURM_RELIABLE"
"""Variable that spares a call what chance does to others."""


class StdinWanted(Exception):
    """The program needs its standard input, which it reads only then."""


@dataclass(frozen=True)
class Request:
    """A call of one of Slurm's programs.

    Attributes
    ----------
    program : str
    words : sequence of str
        Without the program.
    cwd : str
    environment : mapping
    stdin : str, optional
        None if it was not read yet.
    """

    program: str
    words: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    stdin: str | None = None
