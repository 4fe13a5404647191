"""New psets that are done ones but for a trifle: the last digits of a float, or an attribute."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psyflow.columns import Columns
from psyflow.exceptions import StoreError, UnstableValueError
from psyflow.outcomes.table import Items
from psyflow.pspace.keys import isin
from psyflow.record.assess import Assessment, Choice
from psyflow.record.attributes import about_attributes
from psyflow.record.frozen import FrozenSpace
from psyflow.record.lastdigits import about_last_digits
from psyflow.record.plan import Plan
from psyflow.record.recover import recover

__all__ = ["NearMisses", "near_misses"]

# Above this many psets, nobody waits for what is only a hint.
_MOST = 1 << 18


@dataclass(frozen=True)
class NearMisses:
    """What there is to say about psets without a result, each empty if nothing.

    Attributes
    ----------
    last_digits : str
        About those that differ from done ones only in the last digits; see `about_last_digits`.
    attributes : str
        About those that differ only in an attribute of an object; see `about_attributes`.
    """

    last_digits: str = ""
    attributes: str = ""

    def sentences(self) -> list[str]:
        """Return what there is to say."""
        return [text for text in (self.last_digits, self.attributes) if text]


def near_misses(assessment: Assessment) -> NearMisses:
    """Compare the psets without a result with the done ones that the space has no more."""
    plan = assessment.plan
    if plan is None or plan.space_digest == assessment.frozen.digest:
        return NearMisses()
    new = assessment.pending(Choice.TODO)
    if not 0 < len(new) <= _MOST or plan.n_items > _MOST:
        return NearMisses()
    gone, n_gone = _gone_psets(plan, assessment, new)
    if not n_gone:
        return NearMisses()
    sides = assessment.space.take_packed(new), len(new), gone, n_gone
    return NearMisses(
        _if_comparable(about_last_digits, *sides), _if_comparable(about_attributes, *sides)
    )


def _if_comparable(about: Callable[[Columns, int, Columns, int], str], *sides: Any) -> str:
    try:
        return about(*sides)
    except UnstableValueError:
        return ""  # a done value is not even whole any more


def _gone_psets(plan: Plan, assessment: Assessment, new: Items) -> tuple[Columns, int]:
    with warnings.catch_warnings():
        # The assessment has warned already of what cannot be read.
        warnings.simplefilter("ignore")
        try:
            planned = plan.keys(assessment.frozen)
            recovered = recover(plan, assessment.task.store)
        except StoreError:
            return {}, 0  # Then there are no done ones: the assessment goes by the same files.
    done = recovered.table.done()
    gone = done[~isin(planned[done], assessment.frozen.keys())]
    gone = _with_other_values(gone, recovered.frozen, assessment, new)
    return recovered.frozen.space.take_packed(gone), len(gone)


def _with_other_values(
    gone: Items, planned: FrozenSpace, assessment: Assessment, new: Items
) -> Items:
    """Return the items of which no new one has the values: only other defaults tell them apart."""
    if planned.defaults.keys() == assessment.frozen.defaults.keys():
        return gone
    try:
        return gone[~isin(planned.space.key_take(gone), assessment.space.key_take(new))]
    except UnstableValueError:
        return gone[:0]  # a done value is not even whole any more
