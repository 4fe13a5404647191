"""From the item numbers of earlier plans to those of the present space."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.columns import Columns, table_length
from psyflow.exceptions import DamagedShardWarning, StoreError, UntrustedFileError
from psyflow.pspace import Param
from psyflow.pspace.keys import match
from psyflow.pspace.renumbering import renumbered
from psyflow.record.frozen import FrozenSpace
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.record.renewals import Renewals

if TYPE_CHECKING:
    from psyflow.outcomes.table import Items

__all__ = ["Numbering", "items_of_plan"]


class Numbering:
    """Turns the item numbers of earlier plans into those of the present space."""

    def __init__(self, layout: Layout, frozen: FrozenSpace) -> None:
        self._layout = layout
        self._frozen = frozen
        self._digest = frozen.digest
        self._known: dict[str, Items | None] = {}
        self._keys: Any = None

    def names(self) -> list[str]:
        """Return the parameter names of the present space."""
        return list(self._frozen.space.keys())

    def keys(self) -> Any:
        """Return the keys of the present space."""
        if self._keys is None:
            self._keys = self._frozen.keys()
        return self._keys

    def knows(self, run_id: str) -> bool:
        """Tell whether the items of `run_id` can be numbered; warn if not."""
        try:
            self(run_id)
        except LookupError as error:
            message = (
                f"{error.args[0]} So nobody can tell whose outcomes the shards {run_id}.* in "
                f"{self._layout.out} hold; their items run again."
            )
            warnings.warn(message, DamagedShardWarning, stacklevel=2)
            return False
        return True

    def items_of(self, columns: Columns) -> Items:
        """Tell the items of rows by the parameters in them; −1 where nobody can say."""
        names = [name for name in self.names() if name in columns]
        n_rows = table_length(columns)
        if any(n not in columns and n not in self._frozen.defaults for n in self.names()):
            return np.full(n_rows, -1, dtype=np.int64)
        rows = Param.from_psets({name: columns[name] for name in names})
        return match(self._frozen.keys_of(rows), self.keys())

    def __call__(self, run_id: str) -> Items | None:
        """Return the array that renumbers, or None if the numbers are the same.

        Raises
        ------
        LookupError
            If the plan is gone or damaged.
        """
        if run_id not in self._known:
            self._known[run_id] = self._renumber(run_id)
        return self._known[run_id]

    def _renumber(self, run_id: str) -> Items | None:
        path = self._layout.plan(run_id).plan_file
        try:
            plan = Plan.read(path)
            if plan is None:
                raise LookupError(f"{path} is gone.")
            is_same = plan.space_digest == self._digest
            items = None if is_same else items_of_plan(plan, self._frozen)
        except UntrustedFileError:
            # Nothing is wrong with it: to go on without would be to lose what it has.
            raise
        except StoreError as error:
            raise LookupError(str(error)) from error
        contents, renewals = plan.contents_here(), Renewals.from_json(plan.renewals)
        is_of_same_files = not self._frozen.changed_since(contents)
        if items is None and is_of_same_files and renewals.is_equal(self._frozen.renewals):
            return None
        items = np.arange(plan.n_items) if items is None else items
        return self.that_count(items, contents, renewals.times_of(np.arange(plan.n_items)))

    def that_count(self, items: Items, contents: Mapping[str, str], renewed: Items) -> Items:
        """Return items of the present space, −1 for those of which an outcome does not count.

        Either they name files which have changed, or they were asked for anew.

        Parameters
        ----------
        items : ndarray of int64
        contents : mapping from str to str
            What files had in them, by their paths; see `FrozenSpace`.
        renewed : ndarray of int64
            When each had been asked for anew, 0 for never.
        """
        changed = self._frozen.items_with(self._frozen.changed_since(contents))
        is_other = self._frozen.renewals.times_of(items) != renewed
        if len(changed):
            is_other |= np.isin(items, changed)
        return np.where(is_other, -1, items)


def items_of_plan(plan: Plan, present: FrozenSpace) -> Items | None:
    """Return where the psets of a plan are in the present space, as `renumbered` does.

    Raises
    ------
    StoreError
        If the space of the plan cannot be read.
    """
    if plan.needs_code:
        return match(plan.keys(present), present.keys())
    planned = plan.load_space()
    space = planned.space_with(plan.path_here)
    return renumbered(present.keyed(space, planned.defaults), present.keyed(present.space))
