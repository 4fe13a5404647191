"""What processes that share a folder know and change together: the state of each element.

Claims are entries of a log in which the first one counts; what is done is in a file of each
process. So an element is in progress if the log says that somebody holds it, and it is not done.
"""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np

from psyflow.outcomes.keyfiles import KeyFiles
from psyflow.pspace.keys import Keys
from psyflow.sweeper.board import Board
from psyflow.sweeper.elements import Catalogue
from psyflow.sweeper.execo import take_over
from psyflow.sweeper.folder import Marker
from psyflow.sweeper.holder import Held, Holder, ended, held_by, remove_ended
from psyflow.system.files import make_folder
from psyflow.work.keyclaims import NOBODY, KeyClaims, transfers

__all__ = ["SharedStates"]


class SharedStates:
    """The states of the elements of a catalogue, in a folder.

    Who calls it sees to it that only one thread does at a time.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Attributes
    ----------
    board : Board
        What is known of them.
    catalogue : Catalogue
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self.board = Board()
        self.catalogue = Catalogue([])
        self._inprogress = Marker(folder, "inprogress", "claims", of_copies=False)
        self._done = Marker(folder, "done", "keys", of_copies=True)
        take_over(folder, self._done, self._inprogress)
        self._log = KeyClaims(Path())
        self._files = KeyFiles(Path())
        self._holder: Holder | None = None

    # -- knowing --------------------------------------------------------------------------------

    def begin(self, catalogue: Catalogue) -> None:
        """Read everything anew, for these elements; those that are skipped stay so."""
        skipped = self.catalogue.keys[self.board.state("skipped")]
        self.catalogue = catalogue
        self.board.begin(len(catalogue))
        found = catalogue.positions(skipped)
        self.board.skip(found[found >= 0].tolist())
        self._log, self._files = KeyClaims(Path()), KeyFiles(Path())
        self.update()

    def update(self) -> None:
        """Learn what others have done since."""
        self.update_claims()
        self.update_done()

    def update_claims(self) -> None:
        """Learn what others have claimed or given back since."""
        claims = self._inprogress.chosen()
        if self._log.folder != claims:
            self._log = KeyClaims(claims)
            self.board.release_all()
            # What was done under another log must not be given out again.
            self.update_done()
        self._read_claims()

    def _read_claims(self) -> None:
        if len(records := self._log.news()):
            self.board.transfer(self.catalogue.positions(records[:, 2:]), records)

    def update_done(self) -> None:
        """Learn what others have done since."""
        keys = self._done.chosen()
        if self._files.folder != keys:
            self._files = KeyFiles(keys)
            self.board.forget_done()
        if len(news := self._files.news()):
            self.board.set_done(self.catalogue.positions(news).tolist())

    # -- changing -------------------------------------------------------------------------------

    def take(self, choose: Callable[[], list[int]]) -> list[int]:
        """Claim elements for this process.

        Parameters
        ----------
        choose : callable
            Returns the elements to claim, of those that are free now; asked again whenever others
            were quicker.
        """
        me = self._me().number
        while True:
            self.update_claims()
            positions = choose()
            if not positions or self._is_passed(positions, me):
                return positions

    def release(self, positions: list[int]) -> None:
        """Give elements back, which anybody may hold; done ones stay what they are."""
        board = self.board
        known = board.holders(positions)
        # What others have done keeps its holder, or it would be free for all.
        self.update()
        mine = None if self._holder is None else self._holder.number
        # What this process held may have passed to another one, which took it for dead; and who
        # is quick to take what is given back keeps it.
        now = zip(positions, known, board.holders(positions), strict=True)
        held = {p: before if before == mine else holder for p, before, holder in now}

        def choose() -> list[int]:
            still = zip(held, held.values(), board.holders(held), strict=True)
            passing = [p for p, before, holder in still if before == holder != NOBODY]
            return [p for p in passing if not board.is_done(p)]

        self._release(choose)

    def _release(self, choose: Callable[[], list[int]]) -> None:
        while True:
            self.update_claims()
            positions = choose()
            if not positions or self._is_passed(positions, NOBODY):
                return

    def _is_passed(self, positions: list[int], holder: int) -> bool:
        """Add to the log that elements pass to a holder, and tell whether they have."""
        records = transfers(self.board.holders(positions), holder, self.catalogue.keys[positions])
        try:
            if self._log.add(records) and self._inprogress.chosen() == self._log.folder:
                self.board.transfer(np.array(positions), records)
                return True
        except FileNotFoundError:
            # Somebody has removed the log; if it is the whole folder, the next line says so.
            self._inprogress.forget()
        self.update_claims()
        return self.board.holders(positions) == [holder] * len(positions)

    def set_done(self, keys: Keys) -> None:
        """Mark elements as done, whether they are in the catalogue or not."""
        if self._done.chosen() != self._files.folder:
            self.update_done()
        positions = self.catalogue.positions(keys)
        known = positions[positions >= 0].tolist()
        # Others are to see that they are not free, without reading what is done each time.
        self.take(lambda: [p for p in known if self.board.is_free(p)])
        news = [i for i, p in enumerate(positions.tolist()) if p < 0 or not self.board.is_done(p)]
        if news:
            self._me().done(self._files.folder).write(keys[news])
            self.board.set_done(known)

    def reset(self) -> None:
        """Take back all claims, whoever has them."""
        self._inprogress.renew()
        self.update()

    def release_ended(self) -> list[int]:
        """Take back the claims of processes that have ended, and return these elements."""
        self.update()
        over = ended(self.folder, self.board.held())
        back: list[int] = []

        def choose() -> list[int]:
            held = self.board.held()
            found = [position for number in over for position in held.get(number, [])]
            back[:] = found or back
            return found

        self._release(choose)
        remove_ended(self.folder, self.board.held())
        return sorted(back)

    def held(self) -> list[Held]:
        """Return who holds what."""
        held = self.board.held()
        over = ended(self.folder, held)
        elements = self.catalogue.elements
        return [
            Held(held_by(self.folder, number), number in over, [elements[p] for p in positions])
            for number, positions in held.items()
        ]

    def _me(self) -> Holder:
        holder = self._holder
        if holder is None or holder.pid != os.getpid():
            holder = Holder(self.folder, self._done.chosen(), self._inprogress.chosen())
            self._holder = holder
            is_holding = functools.partial(self.board.is_holding, holder.number)
            weakref.finalize(self, holder.end, is_holding)
        holder.packs(self._log.folder)
        return holder
