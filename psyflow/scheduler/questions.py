"""Questions to a cluster whose answers are welcome, but not worth waiting for."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

__all__ = ["Questions"]


class _Answer(NamedTuple):
    text: str
    time: float


class Questions:
    """What was asked lately, and how long that took.

    A question is asked once, for all tasks of a `psy run`, unless its answer changes; that there
    was no answer is remembered for a minute, an answer for ten. A cluster that hangs costs
    `patience` in a minute, however much it is asked.

    Parameters
    ----------
    patience : float
        Seconds for all questions of a minute.

    Examples
    --------
    >>> questions = Questions(patience=5)
    >>> questions.ask("how many?", lambda seconds: "101")
    '101'
    >>> questions.ask("how many?", lambda seconds: "is not asked again")
    '101'
    >>> questions.ask("how many?", lambda seconds: "102", is_changing=True)
    '102'
    """

    MINUTE = 60.0
    BELIEVED = 600.0

    def __init__(self, patience: float = 5.0) -> None:
        self._patience = patience
        self._answers: dict[Hashable, _Answer] = {}
        self._minute = -self.MINUTE
        self._spent = 0.0

    def ask(
        self,
        question: Hashable,
        put: Callable[[float], str | None],
        *,
        is_changing: bool = False,
    ) -> str:
        """Return the answer; '' if there is none.

        Parameters
        ----------
        question : hashable
            Two that are equal have the same answer.
        put : callable
            Asks, for at most as many seconds as it is given; returns None if that fails.
        is_changing : bool
            Whether an answer of before does not do.
        """
        now = time.monotonic()
        known = self._answers.get(question)
        believed = 0.0 if is_changing else self.BELIEVED
        if known is not None and now - known.time < (believed if known.text else self.MINUTE):
            return known.text
        if now - self._minute >= self.MINUTE:
            self._minute, self._spent = now, 0.0
        left = self._patience - self._spent
        if left <= 0:
            return ""
        text = put(left) or ""
        self._spent += time.monotonic() - now
        self._answers[question] = _Answer(text, time.monotonic())
        return text
