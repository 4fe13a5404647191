"""What a task's run has, what it lacks, and why it is or is not up to date. Writes nothing."""

from __future__ import annotations

import enum
import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from psyflow.exceptions import StoreError, UnmakeableValuesError
from psyflow.fingerprint import Change, Part, changes, parts_from_json, parts_to_json
from psyflow.outcomes.states import WITHOUT_ROW, State, Tally
from psyflow.pspace import ParameterSpace
from psyflow.pspace.space import Selection
from psyflow.record.bookkeeping import About, ItemsFile
from psyflow.record.chosen import chosen_space, planned_renewals
from psyflow.record.frozen import FrozenSpace
from psyflow.record.layout import Layout
from psyflow.record.namedfiles import NamedFiles
from psyflow.record.ownership import check_folder
from psyflow.record.plan import Plan, digest_of
from psyflow.record.reads import paths_made
from psyflow.record.renamed import about_left_behind
from psyflow.record.renewals import Renewals
from psyflow.system.place import is_same_file
from psyflow.system.reading import checksum_of, is_there, looked_again
from psyflow.tasks import TaskDef

if TYPE_CHECKING:
    from psyflow.outcomes.table import Items
    from psyflow.record.recover import Recovered

__all__ = ["Assessment", "Choice"]


class Choice(enum.Enum):
    """Which of the items without a result are meant."""

    ALL = "all"
    FAILED = State.FAILED.value
    TODO = State.TODO.value


class Assessment:
    """One look at a task and its run.

    Parameters
    ----------
    task : TaskDef
    verify : bool
        Read every byte of the shards, and count only what is whole.
    made : collection of str
        Paths of psets that an earlier look has found to be of files which the task makes.
    layout : Layout, optional
        Where the run is, if not where the task has it: in the archive.
    again : callable, optional
        Returns the items of the space whose results are not to count from now on.
    """

    def __init__(
        self,
        task: TaskDef,
        *,
        verify: bool = False,
        made: Collection[str] = (),
        layout: Layout | None = None,
        again: Callable[[ParameterSpace], Items] | None = None,
    ) -> None:
        self.task = task
        self._again = again
        self._made = made
        self.layout = layout or Layout(task.folder, task.name, task.resultfile)
        self._is_archived = layout is not None
        self._verify = verify

    @functools.cached_property
    def code(self) -> dict[str, Part]:
        """What the results of the task depend on, as it is now."""
        return self.task.fingerprint()

    @functools.cached_property
    def plan(self) -> Plan | None:
        """The present plan, if there is one.

        Raises
        ------
        TaskFileError
            If the run's folder is that of another task file.
        """
        plan = check_folder(self.layout, self.task.path)
        if plan is not None:
            self.task.digests.know(plan.hashed, self.task.path.parent)
        return plan

    @functools.cached_property
    def code_changes(self) -> list[Change]:
        """What ``execute`` and ``setup`` depend on and has changed since the plan."""
        if self.plan is None or self._fingerprint in self.plan.accepted:
            return []
        return changes(parts_from_json(self.plan.fingerprint), self.code)

    @property
    def space(self) -> ParameterSpace:
        """The parameter space: the task's, or the frozen one if the task draws one each time."""
        return self.frozen.space

    @functools.cached_property
    def _about(self) -> About | None:
        return ItemsFile(self.layout).about()

    @functools.cached_property
    def gone(self) -> About | None:
        """What the bookkeeping says of a result that is not there any more, but was merged."""
        return None if self._about else ItemsFile(self.layout).gone()

    @functools.cached_property
    def n_of_unknown_code(self) -> int:
        """Number of items whose rows may be of any code: nothing says which has made them."""
        if self._about is not None:
            # The plan is gone; the bookkeeping still tells whether the code is the same.
            is_known = self.plan is not None or self._about.fingerprint == self._fingerprint
            return 0 if is_known else self.n_done
        if not self.recovered.is_unknown:
            return 0
        is_vouched = self.plan is not None and not ItemsFile(self.layout).is_of_another()
        return 0 if is_vouched else self.n_done

    @functools.cached_property
    def _fingerprint(self) -> str:
        return digest_of(parts_to_json(self.code))

    def accepted(self) -> list[str]:
        """Return the digests of the codes whose results these are as well as the present one's."""
        return self.plan.equivalents(self._fingerprint) if self.plan is not None else []

    @property
    def dirt(self) -> list[str]:
        """Say what makes the results others than those of the present code; empty if nothing."""
        found = [change.describe() for change in self.code_changes]
        if self.unmakeable:
            found.append(self.unmakeable)
        if self.n_of_unknown_code:
            found.append(
                f"{self.n_of_unknown_code} rows of {self.layout.result} are of unknown code"
            )
        return found

    @property
    def acceptable(self) -> list[str]:
        """Say what results would have to be accepted for that are not taken for the present's."""
        files = "" if self.is_complete else self.recovered.about_edited()
        return [*self.dirt, *filter(None, [self.files.about_changed(), files])]

    @functools.cached_property
    def is_complete(self) -> bool:
        """Whether the bookkeeping says at a glance that the result has just the space's rows."""
        about = self._about
        return (
            about is not None
            and about.is_complete
            and about.space_digest == self.frozen.digest
            and is_same_file(Path(about.result), self.layout.result)
            and about.excluded == sorted(set(self.task.exclude_from_result))
            and Renewals.from_json(about.renewals).is_equal(self.frozen.renewals)
            and not self.frozen.changed_since(about.contents)
        )

    @functools.cached_property
    def unmakeable(self) -> str:
        """Why values of the result cannot be made here, which a merge would find out too late.

        Empty if they can, if nobody needs them, or if the code has changed. What only looks does
        not read a whole result without a cause.
        """
        if self.code_changes or (self.is_complete and not self._is_archived):
            return ""
        if not (self._verify or self._has_unmakeable_space()):
            return ""
        with self.task.importable():
            return self._found.unmakeable()

    def _has_unmakeable_space(self) -> bool:
        """Tell whether the space that the result is of cannot be made any more."""
        about = self._about
        if about is None or about.space_digest == self.frozen.digest:
            return False
        try:
            plan = Plan.read(self.layout.plan(about.run_id).plan_file)
            if plan is not None:
                plan.load_space()
        except StoreError as error:
            return isinstance(error, UnmakeableValuesError)
        return False

    @functools.cached_property
    def recovered(self) -> Recovered:
        """What earlier runs left; reads every shard's index, so only if `is_complete` is False."""
        return self._found.without_earlier() if self.unmakeable else self._found

    @functools.cached_property
    def _found(self) -> Recovered:
        from psyflow.record.recover import find  # what is complete is told without that

        return looked_again(
            lambda: find(
                self.layout,
                self.frozen,
                self.task.store,
                self.task.exclude_from_result,
                self._fingerprint,
                verify=self._verify,
            )
        )

    @property
    def n_items(self) -> int:
        """Number of psets in the space."""
        return len(self.space)

    @functools.cached_property
    def n_done(self) -> int:
        """Number of items with a result."""
        return self.tally[State.DONE]

    @functools.cached_property
    def tally(self) -> Tally:
        """How many items have a result, and how the others ended."""
        if self.is_complete:
            return Tally(self.n_items, {State.DONE: self.n_items})
        return self.recovered.tally

    @functools.cached_property
    def ended(self) -> Mapping[State, Items]:
        """Items without a result, by how their last evaluation ended."""
        if self.is_complete:
            return dict.fromkeys(WITHOUT_ROW, np.empty(0, dtype=np.int64))
        return self.recovered.ended

    @property
    def failed(self) -> Items:
        """Items that failed and have no result."""
        return self.ended[State.FAILED]

    def pending(self, choice: Choice = Choice.ALL) -> Items:
        """Return the items without a result: all, those that failed, or those that did not run."""
        if self.is_complete:
            return np.empty(0, dtype=np.int64)
        if choice is Choice.FAILED:
            return self.failed
        is_todo = choice is Choice.TODO
        return self.recovered.never_ran() if is_todo else self.recovered.pending()

    def missing(self) -> ParameterSpace:
        """Return the psets without a result, as a space."""
        return Selection(self.space, self.pending())

    @property
    def needs_merge(self) -> bool:
        """Whether the result is not what could be merged now."""
        if self.is_complete:
            return False
        return not (
            self.n_done == self.n_items
            and self.recovered.is_unknown
            and not self.recovered.outcomes.pieces
        )

    def reasons(self) -> list[str]:
        """Say why the task is not up to date; empty if it is.

        That all of its rows are of unknown code is none: then there is nothing to add to them.
        """
        n_missing = self.tally.n_missing
        is_settled = not (n_missing or self.code_changes)
        reasons = [] if is_settled else self.dirt
        if n_missing:
            reasons.append(f"{n_missing} of {self.n_items} items have no result{self._why()}")
        elif self.needs_merge:
            reasons.append(f"{self.layout.result} is not merged from what is there")
        if is_there(self.layout.returning):
            reasons.append(f"a run from the archive is still in {self.layout.returning}")
        return reasons

    def _why(self) -> str:
        if self.gone is not None:
            return f"; {self.about_gone()}"
        told = self.tally.told(*WITHOUT_ROW)
        changed = self.files.about_changed() or self.recovered.about_edited()
        changed = changed or self.left_behind
        return f"{f', of which {told}' if told else ''}{f'; {changed}' if changed else ''}"

    @functools.cached_property
    def left_behind(self) -> str:
        """How results of this task under an earlier name are taken up; empty if none are."""
        args = self.layout, self.task.path, self._fingerprint
        return "" if self.is_known else about_left_behind(*args)

    def about_gone(self) -> str:
        """Say which result is gone; empty if none is."""
        if self.gone is None:
            return ""
        return f"{self.gone.result}, which had {self.gone.n_rows} rows, is gone"

    def of_archived(self, layout: Layout) -> Assessment:
        """Look at a run in the archive as if it were the present one."""
        run = Assessment(self.task, verify=self._verify, layout=layout)
        run.code = self.code
        # What was asked for anew is not to come back from there.
        run.renewals = self.renewals
        return run

    @property
    def is_known(self) -> bool:
        """Whether anything tells which code the results are of."""
        return self.plan is not None or self._about is not None

    def damage(self) -> Iterator[str]:
        """Say what makes the result another than the one that was merged, if `verify` is set."""
        about = self._about if self._verify else None
        if about is None:
            return
        if about.checksum is None:
            # Of old, nothing but reading it tells.
            n_read = self.recovered.readable().n_done
            is_whole = n_read == self.recovered.n_done
        else:
            is_whole = checksum_of(Path(about.result)) == about.checksum
        if not is_whole:
            yield f"{about.result} is damaged"

    @functools.cached_property
    def frozen(self) -> FrozenSpace:
        """The parameter space, frozen, with what is in the files that it names."""
        frozen = self._chosen
        contents = self.task.contents(frozen.paths - self._written)
        return replace(frozen, contents=contents, renewals=self.renewals)

    @functools.cached_property
    def renewals(self) -> Renewals:
        """When items were asked for anew, some of them maybe by this very look."""
        planned = planned_renewals(self.plan, self._chosen)
        items = self._again(self._chosen.space) if self._again else ()
        return planned.renewed(np.asarray(items), time.time_ns()) if len(items) else planned

    @functools.cached_property
    def _chosen(self) -> FrozenSpace:
        return chosen_space(self.task, self.plan)

    @functools.cached_property
    def _written(self) -> set[str]:
        """The paths of the parameters of which workers have made a file."""
        return paths_made(self.layout, self._chosen.space)

    @functools.cached_property
    def files(self) -> NamedFiles:
        """The files that psets name."""
        return NamedFiles(
            self.layout,
            self.frozen,
            self.plan,
            self._about,
            self._written | set(self._made),
            self.pending,
            lambda: self.pending(Choice.TODO),
        )

    @property
    def is_of_unknown_files(self) -> bool:
        """Whether psets name files, of which nobody knows what was in them for the results."""
        if self.plan is not None:
            is_of_old = self.plan.contents is None
        else:
            is_of_old = self._about is not None and not self._about.contents
        return bool(is_of_old and self.n_done and self.frozen.contents)

    def about_unknown_files(self) -> str:
        """Say that nobody knows of which contents of files results of an older psyflow are."""
        if self.plan is None or not self.is_of_unknown_files:
            return ""
        return (
            "the results are of a psyflow that did not look into the files which psets name. From "
            "now on they count as made of what is in these now"
        )
