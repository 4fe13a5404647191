"""Files that get the next number, each whole, by whoever is first.

What the claim logs stand on: giving a file a name that nobody has yet, which a file system, NFS
too, does whole or not at all. Numbers are taken without gaps.

Many may want the next number at once, and all but one of them have worked in vain. So whoever was
late steps aside for a moment that nobody else has drawn, which needs no word between them. To
stand in line is not worth its calls: as each job claims for all its workers, few meet.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

from psyflow.system.files import link_new
from psyflow.system.reading import read_whole

__all__ = ["NumberedFiles"]

MOST_SECONDS = 0.05
"""Longest time to step aside, even where the file system is slow."""
MOST_AT_ONCE = 16
"""How many times as long as an attempt one that was late steps aside at most."""
IMPATIENT = 4
"""After being late so often, one steps aside for ever shorter times: nobody waits for long."""


class NumberedFiles:
    """The files 0, 1, 2 … of a folder.

    Parameters
    ----------
    folder : Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = NumberedFiles(Path(folder))
    ...     files.add(0, b"mine"), files.add(0, b"too late"), files.read(0), files.last()
    (True, False, b'mine', 0)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"{folder}/"
        self._known = -1  # the highest number that is known to be taken
        self._looked = 0.0  # when that was looked for
        self._rate = 0.0  # how many others took in a second then
        self._n_late = 0  # how often others were first since a number was taken

    def path(self, number: int) -> Path:
        """Return the path of a number."""
        return self.folder / f"{number:08d}"

    def add(self, number: int, data: bytes) -> bool:
        """Take a number, if nobody has it, and tell whether that was so; if not, after a while."""
        begin = time.monotonic()
        # Not fsynced: numbers matter only among processes that are alive.
        is_first = link_new(self.path(number), data, durable=False)
        self._known = max(self._known, number)
        if is_first:
            self._n_late = 0
        else:
            self._n_late += 1
            times = min(2**self._n_late, MOST_AT_ONCE) / max(1, self._n_late - IMPATIENT)
            _step_aside(times * (time.monotonic() - begin))
        return is_first

    def read(self, number: int) -> bytes:
        """Return what a number holds."""
        return read_whole(self.path(number))

    def last(self) -> int:
        """Return the highest number that is taken; −1 if none is."""
        # As many are taken in a second as between the last two looks, or nearly. From there on,
        # doubling steps and halving them finds it: a worker that was away for a long item looks
        # at a few files, not at all that were made meanwhile.
        known, now = self._known, time.monotonic()
        seconds = now - self._looked
        expected = int(self._rate * seconds)
        low, high = self._around(known + max(1, expected), max(1, math.isqrt(expected)))
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._is_taken(middle) else (low, middle)
        self._rate, self._looked = (low - known) / max(seconds, 1e-6), now
        self._known = low
        return low

    def _around(self, guess: int, step: int) -> tuple[int, int]:
        """Return a number that is taken, or the one that was known, and one that is not."""
        if self._is_taken(guess):
            while self._is_taken(guess + step):
                guess, step = guess + step, 2 * step
            return guess, guess + step
        while guess - step > self._known and not self._is_taken(guess - step):
            guess, step = guess - step, 2 * step
        return max(guess - step, self._known), guess

    def look_anew(self) -> None:
        """Forget what is known, if the last number has been removed since."""
        if self._known > 0 and not self._is_taken(self._known):
            self._known = -1

    def _is_taken(self, number: int) -> bool:
        # Not a `Path`, which would take as long to make as the look.
        return os.path.exists(f"{self._prefix}{number:08d}")  # noqa: PTH110


def _step_aside(at_most: float) -> None:
    # Of the system: forks have the states of all other generators in common.
    drawn = int.from_bytes(os.urandom(4), "little") / 2**32
    time.sleep(drawn * min(at_most, MOST_SECONDS))
