"""What a worker says, as its last, of a process that items have left unfit."""

from __future__ import annotations

from types import TracebackType

from psyflow.system.oserrors import is_failing, is_full
from psyflow.texts import exception_text
from psyflow.work.evaluate import Evaluator
from psyflow.work.integrity import Integrity
from psyflow.work.slot import Slot

__all__ = ["Account"]


class Account:
    """Says in the slot what an item has broken, and which one, as far as is known.

    To be entered twice: first of all, for what goes wrong as others are left, and last of all,
    before any other has taken note of an error.
    """

    def __init__(self, evaluator: Evaluator, slot: Slot, integrity: Integrity) -> None:
        self._evaluator = evaluator
        self._slot = slot
        self._integrity = integrity
        self._is_given = False

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if error is None or self._is_given:
            return
        self._is_given = True
        items, starts = self._evaluator.abandon()
        # Not before: the thread writes whatever is kept in a process that is fit.
        damage = self._integrity.mend()
        if self._is_of_the_disk(error):
            return
        running, start = self._slot.read()
        # One that has just ended may be told as running, and kept as well.
        if running >= 0 and running not in items:
            items, starts = [*items, running], [*starts, start]
        reason = damage or f"its worker could not go on: {exception_text(error)}"
        culprit = (items[0], starts[0]) if len(items) == 1 else (Slot.IDLE, 0.0)
        self._slot.give_way(*culprit, f"After it, {reason}.")

    def _is_of_the_disk(self, error: BaseException) -> bool:
        """Tell whether other workers would fare no better."""
        if is_full(error):
            return not self._integrity.is_to_blame_for(error)
        return is_failing(error)
