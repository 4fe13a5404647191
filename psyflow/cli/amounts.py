"""Numbers on the command line."""

from __future__ import annotations

import argparse

__all__ = ["AUTO", "pool_size", "seconds"]

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
