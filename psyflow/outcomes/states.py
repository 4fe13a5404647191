"""The states of items: their words, and how many items are in each.

A new state is added to `State`. What puts items into it is an outcome: its kind of frame is in
`psyflow.outcomes.frames`, and all who count or show states go through those that there are.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["OUTCOMES", "WITHOUT_ROW", "State", "Tally"]


class State(enum.StrEnum):
    """What an item is, in a word; `told` goes after a number of items.

    Examples
    --------
    >>> f"2 are {State.SKIPPED}", f"2 of 9 items {State.SKIPPED.told}"
    ('2 are skipped', '2 of 9 items were skipped')
    """

    told: str

    TODO = "todo", "have not run"
    """No job will come to it."""
    QUEUED = "queued", "are queued"
    """A job will come to it."""
    RUNNING = "running", "are running"
    """A worker has claimed it, and has not finished it."""
    DONE = "done", "are done"
    """It has a result."""
    FAILED = "failed", "failed"
    """Its last evaluation failed, and it has no result."""
    SKIPPED = "skipped", "were skipped"
    """It wanted to be left out, and has no result."""

    def __new__(cls, word: str, told: str) -> State:
        """Make a state of its value's two parts."""
        state = str.__new__(cls, word)
        state._value_ = word
        state.told = told
        return state

    @property
    def number(self) -> int:
        """Its place among the states, which stands for it in arrays."""
        return list(State).index(self)


WITHOUT_ROW = (State.FAILED, State.SKIPPED)
"""How the evaluation of an item may end without a row, in the order in which that is said."""

OUTCOMES = (State.DONE, *WITHOUT_ROW)
"""How the evaluation of an item may end."""

_SETTLED = (State.DONE, State.SKIPPED)


@dataclass(frozen=True)
class Tally:
    """How many of some items are in each state.

    Attributes
    ----------
    n_items : int
        All of them. Those that no state is known of have not run.
    counts : mapping from State to int
        States that are left out have none.

    Examples
    --------
    >>> tally = Tally(9, {State.DONE: 5, State.FAILED: 3})
    >>> tally[State.FAILED], tally.n_missing, tally.is_settled
    (3, 4, False)
    >>> tally.told(*WITHOUT_ROW, State.TODO)
    '3 failed and 1 have not run'
    """

    n_items: int
    counts: Mapping[State, int] = field(default_factory=dict)

    def __getitem__(self, state: State) -> int:
        if state is State.TODO and state not in self.counts:
            return self.n_items - sum(self.counts.values())
        return self.counts.get(state, 0)

    @property
    def n_missing(self) -> int:
        """How many have no result."""
        return self.n_items - self[State.DONE]

    @property
    def is_settled(self) -> bool:
        """Whether every item has a result, or wanted to have none."""
        return sum(self[state] for state in _SETTLED) == self.n_items

    @property
    def n_ended(self) -> int:
        """How many have an outcome."""
        return sum(self[state] for state in OUTCOMES)

    def told(self, *states: State) -> str:
        """Say how many items are in some states, leaving out those in which none is."""
        return " and ".join(f"{self[state]} {state.told}" for state in states if self[state])

    def by_name(self) -> dict[str, int]:
        """Return the numbers by the names that programs read."""
        return {"n_items": self.n_items, **{f"n_{state}": self[state] for state in OUTCOMES}}
