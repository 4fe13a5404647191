"""How much memory a job may take, as users write it: read in one way for every scheduler."""

from __future__ import annotations

import math
import re

from psyflow.exceptions import UsageError

__all__ = ["check_memory", "read_memory", "sized"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGTP]?)(i?B)|([KMGTP]))?", re.IGNORECASE | re.ASCII)
_UNITS = " KMGTP"


def read_memory(value: object, *, counts_mib: bool = False) -> int:
    """Return an amount of memory in bytes.

    Parameters
    ----------
    value : str, int or float
        Such as ``4G``, ``4 GiB``, ``1.5GB`` or ``4096M``: a unit is always 1024 of the one before.
    counts_mib : bool
        Whether a number without a unit is MiB. To the programs of some clusters, it is bytes, to
        others KiB, or whatever the site has chosen: then it is refused.

    Raises
    ------
    ValueError
        If it is not understood; it says what it may be.

    Examples
    --------
    >>> [read_memory(text) // 2**20 for text in ("4G", "4 GiB", "4gb", "1.5G", "512M")]
    [4096, 4096, 4096, 1536, 512]
    >>> read_memory(4096, counts_mib=True) // 2**20
    4096
    """
    text = str(value).strip()
    match = None if isinstance(value, bool) else _SIZE.fullmatch(text)
    number = float(match[1]) if match else 0.0
    unit = (match[2] or match[4] or " ").upper() if match else ""
    is_bare = match is not None and not (match[3] or match[4])
    if is_bare and not counts_mib and number:
        raise ValueError(
            f'an amount with a unit, such as "{text}M": of a number alone, each cluster thinks '
            f"something else"
        )
    if not number or number > 2**50:
        also = ", or a number of MiB" if counts_mib else ""
        raise ValueError(f'such as "4G", "1.5G" or "4096M"{also}')
    factor: int = 1024 ** (2 if is_bare else _UNITS.index(unit))
    return math.ceil(number * factor)


def check_memory(kind: str, option: str, value: object, *, counts_mib: bool = False) -> None:
    """Raise `UsageError` if a scheduler argument is no amount of memory.

    Parameters
    ----------
    kind : str
        Name of the scheduler.
    option : str
    value, counts_mib
        As for `read_memory`.
    """
    try:
        read_memory(value, counts_mib=counts_mib)
    except ValueError as error:
        raise UsageError(f'{kind} argument "{option}" is {error}. Not {value!r}.') from None


def sized(n_bytes: int, units: str = "KMGT", after: str = "") -> str:
    """Return an amount of memory in the largest unit in which it is a whole number.

    Parameters
    ----------
    n_bytes : int
        Rounded up to a whole number of the first unit.
    units : str
        Letters of those that a cluster knows.
    after : str
        What follows the letter.

    Examples
    --------
    >>> sized(4 * 2**30), sized(1536 * 2**20, "kmg", "b"), sized(1)
    ('4G', '1536mb', '1K')
    """
    number, at = math.ceil(n_bytes / 1024), 0
    while at + 1 < len(units) and number % 1024 == 0:
        number, at = number // 1024, at + 1
    return f"{number}{units[at]}{after}"
