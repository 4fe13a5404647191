"""Which of the items a run is to evaluate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from psyflow.exceptions import UsageError
from psyflow.pspace import ParameterSpace
from psyflow.record.assess import Assessment, Choice

if TYPE_CHECKING:
    from psyflow.outcomes.table import Items
    from psyflow.pspace.conditions import Condition

__all__ = ["EVERYTHING", "Wanted"]

_NOT_CHOSEN = {Choice.FAILED: "failed", Choice.TODO: "is left that has not run"}


@dataclass(frozen=True)
class Wanted:
    """Which items a run is to evaluate, of those that have no result.

    Attributes
    ----------
    which : Choice
        By how they ended.
    where : sequence of str
        Conditions that their psets have to fulfil, as ``a=2`` or ``b>0.5``.
    limit : int, optional
        How many at most: the first ones.
    again : sequence of range, optional
        The items of these ranges only, whose results are not to count any more; all items if there
        is no range.
    """

    which: Choice = Choice.ALL
    where: Sequence[str] = ()
    limit: int | None = None
    again: Sequence[range] | None = None

    @property
    def is_everything(self) -> bool:
        """Whether all items without a result are wanted."""
        return self == EVERYTHING

    @property
    def goes_by_results(self) -> bool:
        """Whether it takes the results that are there to say which these are."""
        return self.which is not Choice.ALL or self.again is not None

    @functools.cached_property
    def _conditions(self) -> list[Condition]:
        from psyflow.pspace.conditions import Condition  # most runs have none

        return [Condition.parse(text) for text in self.where]

    @property
    def about_nothing(self) -> str:
        """What is said if no item without a result is wanted.

        Examples
        --------
        >>> Wanted(Choice.FAILED).about_nothing, Wanted(where=["a=2"]).about_nothing
        ('no item failed', 'no item without a result fulfils a=2')
        """
        if self.where:
            conditions = " and ".join(self.where)
            state = "" if self.which is Choice.ALL else f"{self.which.value} "
            return f"no {state}item without a result fulfils {conditions}"
        return f"no item {_NOT_CHOSEN[self.which]}"

    def options(self) -> list[str]:
        """Return what has to be typed for the same items, without asking for them anew again."""
        return list(self._options(again=False))

    def all_options(self) -> list[str]:
        """Return all that has to be typed for the same."""
        return list(self._options(again=True))

    def _options(self, *, again: bool) -> Iterator[str]:
        # First, for names of tasks that came right after it would be taken for items.
        if again and self.again is not None:
            yield "--again"
            yield from (_text(numbers) for numbers in self.again)
        if self.which is not Choice.ALL:
            yield f"--{self.which.value}"
        for text in self.where:
            yield from ("--where", text)
        if self.limit is not None:
            yield from ("--limit", str(self.limit))

    def check(self, space: ParameterSpace) -> None:
        """Raise what `of` would for conditions that say nothing of a space, also if none is due.

        Raises
        ------
        UnknownNameError
            If a condition names no parameter of the space.
        UsageError
            If a text is no condition.
        """
        if self.where:
            self.among(space, np.empty(0, dtype=np.int64))

    def of(self, assessment: Assessment) -> Items:
        """Return the items of a run that are to be evaluated, ascending.

        Raises
        ------
        UnknownNameError
            If a condition names no parameter of the space.
        UsageError
            If a text is no condition, or if there is no such item.
        """
        items = assessment.pending(self.which)
        if self.again is not None:
            return np.intersect1d(items, self.to_renew(assessment.space))
        return self.among(assessment.space, items)

    def of_all(self, assessment: Assessment) -> Items:
        """Return what `of` would, if there were no result."""
        return self.among(assessment.space, np.arange(assessment.n_items))

    @property
    def renewing(self) -> Callable[[ParameterSpace], Items] | None:
        """What an assessment asks for items whose results are not to count: `to_renew`, if any."""
        return None if self.again is None else self.to_renew

    def to_renew(self, space: ParameterSpace) -> Items:
        """Return the items whose results are not to count any more, ascending."""
        if self.again is None:
            return np.empty(0, dtype=np.int64)
        every = range(len(space))
        for numbers in self.again:
            if numbers.stop > every.stop:
                last = f"0 to {every.stop - 1}" if every else "none, as the space is empty"
                raise UsageError(f'There is no item "{_text(numbers)}"; the items are {last}.')
        asked = [np.arange(numbers.start, numbers.stop) for numbers in self.again or [every]]
        return self.among(space, np.unique(np.concatenate(asked)))

    def among(self, space: ParameterSpace, items: Items) -> Items:
        """Return those of some items that fulfil the conditions, and of these the first ones."""
        if self._conditions:
            from psyflow.pspace.conditions import items_with  # most runs have no conditions

            items = items_with(self._conditions, space, items)
        return items if self.limit is None else items[: self.limit]


EVERYTHING = Wanted()


def _text(numbers: range) -> str:
    first, last = numbers.start, numbers.stop - 1
    return f"{first}" if first == last else f"{first}-{last}"
