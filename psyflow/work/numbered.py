"""Files that get the next number, each whole, by whoever is first.

What the claim logs stand on: giving a file a name that nobody has yet, which a file system, NFS
too, does whole or not at all. Numbers are taken without gaps.
"""

from __future__ import annotations

from pathlib import Path

from psyflow.system.files import link_new

__all__ = ["NumberedFiles"]


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
        self._known = -1  # the highest number that is known to be taken

    def path(self, number: int) -> Path:
        """Return the path of a number."""
        return self.folder / f"{number:08d}"

    def add(self, number: int, data: bytes) -> bool:
        """Take a number, if nobody has it, and tell whether that was so."""
        # Not fsynced: numbers matter only among processes that are alive.
        is_first = link_new(self.path(number), data, durable=False)
        if is_first:
            self._known = max(self._known, number)
        return is_first

    def read(self, number: int) -> bytes:
        """Return what a number holds."""
        return self.path(number).read_bytes()

    def last(self) -> int:
        """Return the highest number that is taken; −1 if none is."""
        # Doubling steps and halving them finds it: a worker that was away for a long item looks
        # at a few files, not at all that were made meanwhile.
        if not self._is_taken(self._known + 1):
            return self._known
        step = 1
        while self._is_taken(self._known + 2 * step):
            step *= 2
        low, high = self._known + step, self._known + 2 * step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._is_taken(middle) else (low, middle)
        self._known = low
        return low

    def look_anew(self) -> None:
        """Forget what is known, if the last number has been removed since."""
        if self._known > 0 and not self._is_taken(self._known):
            self._known = -1

    def _is_taken(self, number: int) -> bool:
        return self.path(number).exists()
