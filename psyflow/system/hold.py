"""The hold on a run: who may plan and submit it.

It rests on giving a file a name that nobody has yet, as the claim log does, so that there is no
lock to go stale.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from psyflow.exceptions import PsyflowWarning, RunHeldError
from psyflow.system.files import link_new, make_folder, remove_temporaries
from psyflow.system.identity import FileId, identity
from psyflow.system.lease import (
    LEASE_SECONDS,
    PROBE_MARK,
    RETRY_SECONDS,
    Lease,
    is_stale,
    server_time,
)
from psyflow.system.owner import Owner
from psyflow.system.place import Place
from psyflow.system.reading import read_whole

__all__ = ["Hold"]

MOST_MISSES = 1000
PATIENCE_SECONDS = 10.0
FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.1

_RELEASED = ".released"


class Hold:
    """The right to plan and submit one run; at most one living process has it.

    A folder of numbered files: the highest number holds that is not released, and whose process is
    not dead. If there is none, whoever links the next number has it. A thread renews the file,
    which tells other hosts that the process lives.

    Parameters
    ----------
    folder : Path
    subject : str
        What is held, for messages.
    """

    def __init__(self, folder: Path, subject: str) -> None:
        self.folder = folder
        self.subject = subject
        self._mine: int | None = None
        self._file: tuple[FileId | None, bytes] = None, b""
        self._ending = threading.Event()

    def acquire(self) -> None:
        """Take the hold, or raise RunHeldError saying who has it.

        Raises
        ------
        RunHeldError
        """
        n_missed = 0
        while True:
            try:
                make_folder(self.folder)
                mark = self._mark()
                mine = self._next()
                self._refuse_if_held()
                if not link_new(self.folder / f"{mine:08d}", mark, durable=False):
                    continue
            except FileNotFoundError:
                # Whoever got the hold meanwhile has tidied our temporary file up, or whoever gave
                # it back has removed the folder. Or it cannot be made, and never will be.
                n_missed += 1
                if n_missed > MOST_MISSES:
                    raise
                continue
            except (RunHeldError, OSError) as error:
                if isinstance(error, FileExistsError) and not self._is_in_the_way():
                    continue  # it was removed between two looks at it
                # It was given back just now, or there is no room for the mark.
                self._remove_folder()
                raise
            # Between our look and our link, others may have come, gone and tidied up, or even
            # removed the folder, so that the numbers began anew.
            if self._is_alone(mine):
                self._mine, self._file = mine, self._look_at(mine)
                self._tidy(mine)
                self._keep(self.folder / f"{mine:08d}")
                return
            (self.folder / f"{mine:08d}").unlink(missing_ok=True)

    def wait(self) -> None:
        """Take the hold as soon as nobody else has it; after a while, say who has."""
        patient_until = time.monotonic() + PATIENCE_SECONDS
        pause = FIRST_PAUSE
        while True:
            try:
                self.acquire()
                return
            except RunHeldError as error:
                if time.monotonic() > patient_until:
                    warnings.warn(f"Still waiting: {error}", PsyflowWarning, stacklevel=4)
                    patient_until = float("inf")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _mark(self) -> bytes:
        place = Place.of(self.folder)
        about_place = asdict(place) if place is not None else None
        mark = {"owner": asdict(Owner.here()), "since": time.time(), "place": about_place}
        return json.dumps(mark).encode()

    def release(self) -> None:
        """Give the hold back; that this fails is a warning."""
        if self._mine is None:
            return
        mine = self._mine
        with self._given_back():
            # Another folder may be in the place of one that was moved.
            if self._look_at(mine) == self._file:
                link_new(self.folder / f"{mine:08d}{_RELEASED}", b"", durable=False)

    def check(self) -> None:
        """Raise RunHeldError if the hold that was taken is lost, and do nothing if none was.

        A process that is stopped for long, or cut off from the file server, is taken for dead by
        those who cannot see it.

        Raises
        ------
        RunHeldError
        """
        if self._mine is None or self._is_mine(self._mine):
            return
        held = self.holder()
        whose = (
            f"{_in_words(*held)}, who took this process for dead" if held else "nobody any more"
        )
        raise RunHeldError(f"{self.subject} is held by {whose}. What is done is kept.")

    def _is_mine(self, mine: int) -> bool:
        return self._look_at(mine) == self._file and self._tail() == mine

    def _look_at(self, number: int) -> tuple[FileId | None, bytes]:
        """Return what tells a mark from its copies, and from those of its number before or after.

        The number of a file that was removed is given away again.
        """
        path = self.folder / f"{number:08d}"
        try:
            return identity(path), read_whole(path)
        except (FileNotFoundError, NotADirectoryError):
            return None, b""

    def leave(self) -> None:
        """Give the hold back, and remove its folder unless somebody else wants it."""
        if self._mine is not None:
            with self._given_back():
                if self._look_at(self._mine) != self._file:
                    return  # another folder is in the place of one that was moved
                (self.folder / f"{self._mine:08d}").unlink()
            # Others may remove the folder from now on, even while its names are read.
            for name in self._names():
                if name.startswith(PROBE_MARK):  # of one who was killed meanwhile
                    (self.folder / name).unlink(missing_ok=True)
            self._remove_folder()

    @contextlib.contextmanager
    def _given_back(self) -> Iterator[None]:
        self._ending.set()
        try:
            yield
        except FileNotFoundError:
            pass  # whoever removes the folder has given back what was held in it
        except OSError as error:
            # No error, for that would hide what happened before.
            message = f"{self.subject} is held until this process has ended: {error}."
            warnings.warn(PsyflowWarning(message), stacklevel=4)
        finally:
            self._mine = None

    def _is_in_the_way(self) -> bool:
        """Tell whether there is something else where the folder should be."""
        return self.folder.is_symlink() or self.folder.is_file()

    def _remove_folder(self) -> None:
        with contextlib.suppress(OSError):  # such as that it is not empty
            self.folder.rmdir()

    def _keep(self, mark: Path) -> None:
        self._ending = ending = threading.Event()
        lease = Lease(mark, say=_say)
        # What it is has to be known before anything can be in its place.
        lease.renew()

        def keep() -> None:
            while not ending.wait(RETRY_SECONDS):
                if not lease.renew():
                    # Where all of it is gone, there is nobody else who could hold it.
                    if not ending.is_set() and self.folder.is_dir():
                        _say(f"{self.subject} is not held any more: {mark} is gone.")
                    return

        threading.Thread(target=keep, name="psyflow-hold", daemon=True).start()

    def holder(self, now: Callable[[], float] = time.time) -> tuple[Owner, float] | None:
        """Return who holds, and since when (seconds since 1970); None if nobody alive does.

        Parameters
        ----------
        now : callable
            Tells the time; whoever may write there asks `server_time`.
        """
        # Not only the highest: who was taken for dead lives on if the next one died at once.
        while True:
            # A number may be tidied up since we looked, by a later holder.
            with contextlib.suppress(FileNotFoundError):
                held = (self._living(number, now) for number in reversed(self._numbers()))
                return next(filter(None, held), None)

    def _living(self, number: int, now: Callable[[], float]) -> tuple[Owner, float] | None:
        """Return whose number this is, and since when; None if it is released or of the dead."""
        if (self.folder / f"{number:08d}{_RELEASED}").exists():
            return None
        path = self.folder / f"{number:08d}"
        try:
            mark, renewed = json.loads(read_whole(path)), path.stat().st_mtime
            owner = Owner.from_fields(mark["owner"])
        except (ValueError, TypeError, KeyError):
            # Emptied by a power loss, which its process did not survive.
            return None
        place = Place.from_json(mark.get("place"))
        if place is not None and not place.is_here(self.folder):
            return None  # what is held is the folder that this is a copy of
        is_dead = owner.is_dead()
        if is_dead is None:
            is_dead = is_stale(renewed, now())
        return None if is_dead else (owner, mark["since"])

    def _is_alone(self, mine: int) -> bool:
        """Tell whether `mine` is the highest number, and the only one of somebody alive."""
        numbers = self._numbers()
        return [n for n in numbers if self._is_living(n)] == [mine] == numbers[-1:]

    def _is_living(self, number: int) -> bool:
        try:
            return self._living(number, lambda: server_time(self.folder)) is not None
        except FileNotFoundError:
            return False

    def _refuse_if_held(self) -> None:
        held = self.holder(lambda: server_time(self.folder))
        if held is not None:
            hint = "Wait for it, or end that process."
            if held[0].is_dead() is None:
                hint += f" If it is gone, that is known {LEASE_SECONDS:.0f} s after its last sign."
            raise RunHeldError(f"{self.subject} is held by {_in_words(*held)}. {hint}")

    def _next(self) -> int:
        # A crash may lose a number and keep the mark of its release: it counts as used.
        used = {name.removesuffix(_RELEASED) for name in self._names()}
        return max((int(name) + 1 for name in used if name.isdigit()), default=0)

    def _tail(self) -> int | None:
        return max(self._numbers(), default=None)

    def _numbers(self) -> list[int]:
        return sorted(int(name) for name in self._names() if name.isdigit())

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)  # noqa: PTH208
        except FileNotFoundError:
            return []

    def _tidy(self, mine: int) -> None:
        # A number goes before the mark of its release: without the mark it would look held.
        for path in sorted(self.folder.glob("[0-9]*")):
            if int(path.name.partition(".")[0]) < mine:
                path.unlink(missing_ok=True)
        remove_temporaries(self.folder)


def _in_words(owner: Owner, since: float) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    return f"{owner} since {when}"


def _say(text: str) -> None:
    # Nobody may listen, and this is no reason to end.
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
