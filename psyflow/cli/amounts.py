"""Numbers on the command line, and lists of names."""

from __future__ import annotations

import argparse

__all__ = [
    "AUTO",
    "in_order",
    "items",
    "items_at_most",
    "names",
    "pool_size",
    "rows_at_most",
    "seconds",
]

AUTO = 0
"""What ``-j auto`` becomes here: counting CPUs is left to those who know how."""


def pool_size(text: str) -> int:
    """Read a number of workers, or ``auto``."""
    if text == "auto":
        return AUTO
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'it must be "auto" or 1 or more, not {text}')
    return number


def seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"it must be a number of seconds above 0, not {text}")
    return number


def rows_at_most(text: str) -> int:
    """Read a number of rows."""
    return _at_least_one(text, "rows")


def items_at_most(text: str) -> int:
    """Read a number of items."""
    return _at_least_one(text, "items")


def _at_least_one(text: str, what: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"it must be a number of {what}, 1 or more, not {text}")
    return number


def items(text: str) -> range:
    """Read the number of an item, or the first and the last of several.

    Examples
    --------
    >>> items("7"), items("10-12")
    (range(7, 8), range(10, 13))
    """
    first, is_several, last = text.partition("-")
    if not first.isdecimal() or not (last if is_several else first).isdecimal():
        raise argparse.ArgumentTypeError(
            f"it must be the number of an item, as 7, or of several, as 10-12, and not {text!r}; "
            "names of tasks go before this option"
        )
    numbers = range(int(first), int(last if is_several else first) + 1)
    if not numbers:
        raise argparse.ArgumentTypeError(f"the first item comes first, as 10-12, and not {text!r}")
    return numbers


def names(text: str) -> list[str]:
    """Read names with commas between them; one that has a comma stands in double quotes.

    Examples
    --------
    >>> names('a, b,"c,d"')
    ['a', 'b', 'c,d']
    """
    import csv  # which few commands need

    found = [name for row in csv.reader([text], skipinitialspace=True) for name in row]
    if "" in found or not found:
        raise argparse.ArgumentTypeError(f"names of columns, as a,b, and not {text!r}")
    return [name.strip() for name in found]


def in_order(text: str) -> list[str]:
    """Read names of which some may begin with a dash, which is no option then."""
    return names(text)
