"""The folder of a sweeper: its paths, and the two small files that say what counts in it.

::

    inprogress            names the folder of the claim log; who removes it, begins with another
    claims/<random>/
    done                  names the folder of the keys of what is done; likewise
    keys/<random>/<holder>
    holders/<holder>      leases of processes that hold elements
    sweeps                the elements, if they are saved; sealed
    folder.id             see `psyflow.system.place`
    execo/                what execo wrote there before
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psyflow
from psyflow.exceptions import DamagedFileError, LaterFormatError, MissingFileError
from psyflow.pspace.objects import pickled
from psyflow.system.files import link_new, make_within, write_atomic
from psyflow.system.hold import Hold
from psyflow.system.place import Place
from psyflow.system.reading import ask_again
from psyflow.system.trust import seal, unpickled, unsealed

__all__ = ["FORMAT", "Marker", "held", "load_sweeps", "save_sweeps"]

FORMAT = 1


class Marker:
    """A small file that names the folder which counts now, and can be removed at any time.

    Parameters
    ----------
    folder : Path
        The sweeper's.
    name : str
        Of the file.
    home : str
        Name of the folder of folders.
    of_copies : bool
        Whether it counts in a copy of the sweeper's folder, too.
    """

    def __init__(self, folder: Path, name: str, home: str, *, of_copies: bool) -> None:
        self.path = folder / name
        self._folder = folder
        self._home = home
        self._of_copies = of_copies
        self._seen = b""
        self._chosen = Path()

    def chosen(self) -> Path:
        """Return the folder that counts, and make one if there is none.

        Raises
        ------
        DamagedFileError, LaterFormatError
            If the file cannot be read.
        FileNotFoundError
            If the sweeper's folder is gone.
        """
        while (data := self._content()) != self._seen:
            folder = self._folder_in(data)
            if folder is None:
                self._replace(data)
                continue
            if self._seen and not self._of_copies:
                # Who still adds to it sees that it does not count any more.
                shutil.rmtree(self._chosen, ignore_errors=True)
            self._chosen, self._seen = folder, data
        return self._chosen

    def forget(self) -> None:
        """Have everything looked at anew: something was removed by hand."""
        self._seen = b""

    def renew(self) -> None:
        """Have another folder, which is empty, count from now on."""
        self._replace(self._content())

    def fill(self, how: Callable[[Path], object]) -> None:
        """Have a new folder count from now on, in which `how` has put what there is.

        To be called by who has the hold on the sweeper's folder.
        """
        folder = self._new_folder()
        how(folder)
        write_atomic(self.path, self._naming(folder))

    def _content(self) -> bytes:
        while True:
            with contextlib.suppress(FileNotFoundError):
                return ask_again(self.path.read_bytes, self.path)
            folder = self._new_folder()
            if not link_new(self.path, self._naming(folder)):
                folder.rmdir()  # somebody else was first

    def _new_folder(self) -> Path:
        return make_within(self._folder, self._home, os.urandom(8).hex())

    def _naming(self, folder: Path) -> bytes:
        place = asdict(Place.marked(self._folder))
        fields = {"format": FORMAT, "folder": folder.name, "place": place}
        return json.dumps({**fields, "psyflow": psyflow.__version__}).encode() + b"\n"

    def _folder_in(self, data: bytes) -> Path | None:
        """Return the folder that is named; None if it does not count."""
        fields = self._fields(data)
        folder = self._folder / self._home / str(fields["folder"])
        # Nobody works in a copy; and where a folder was removed by hand, another one begins.
        is_here = self._of_copies or _is_place(fields, self._folder)
        return folder if is_here and folder.is_dir() else None

    def _fields(self, data: bytes) -> dict[str, Any]:
        try:
            fields = json.loads(data)
            is_newer = fields["format"] > FORMAT
            is_folder = re.fullmatch("[0-9a-f]{16}", fields["folder"]) is not None
        except (ValueError, TypeError, KeyError):
            is_newer = is_folder = False
        if is_newer:
            raise LaterFormatError(
                f"{self.path} was written in format {fields['format']} by psyflow "
                f"{fields.get('psyflow')}, and this psyflow reads format {FORMAT}. Use the one "
                "that wrote it."
            )
        if not is_folder:
            raise DamagedFileError(
                f"{self.path} is damaged. Remove it, and no element counts as {self.path.name}."
            )
        return dict(fields)

    def _replace(self, data: bytes) -> None:
        """Begin with another folder, unless somebody did so since `data` was read."""
        with held(self._folder):
            if self._content() == data:
                self.fill(lambda folder: None)


def _is_place(fields: dict[str, Any], folder: Path) -> bool:
    """Tell whether a record was made in `folder`, and not in one that it is a copy of."""
    place = Place.from_json(fields.get("place"))
    return place is not None and place.is_here(folder)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from changing what counts in a sweeper's folder."""
    hold = Hold(folder / "hold", f"The sweeper in {folder}")
    hold.wait()
    try:
        yield
    finally:
        hold.leave()


def save_sweeps(folder: Path, elements: list[Any]) -> None:
    """Write the elements of a sweeper."""
    data = pickled({"format": FORMAT, "elements": elements})
    write_atomic(folder / "sweeps", seal(data, folder))


def load_sweeps(folder: Path, other: Callable[[Any], list[Any]]) -> list[Any]:
    """Return the elements that were saved.

    Parameters
    ----------
    folder : Path
    other : callable
        Makes elements of what is no file of ours.

    Raises
    ------
    MissingFileError
        If none were.
    DamagedFileError, LaterFormatError, UntrustedFileError
        If they cannot be read.
    """
    path = folder / "sweeps"
    try:
        data, is_own = unsealed(ask_again(path.read_bytes, path))
    except FileNotFoundError as error:
        raise MissingFileError(
            errno.ENOENT,
            "There are no saved sweeps. Give them: ParamSweeper(directory, sweeps), or have them "
            "saved once: ParamSweeper(directory, sweeps, save_sweeps=True)",
            str(path),
        ) from error
    match unpickled(data, str(path), own=is_own):
        case {"format": int() as version, "elements": list() as elements}:
            if version > FORMAT:
                raise LaterFormatError(f"{path} is of a later psyflow. Use the one that wrote it.")
            return elements
        case found:
            return other(found)
