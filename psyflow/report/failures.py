"""What failed, grouped by where in the code it did, and what the failed psets have in common."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.outcomes.records import OF_RESULT, Failure
from psyflow.outcomes.table import Items
from psyflow.pspace import ParameterSpace
from psyflow.record.assess import Assessment
from psyflow.record.attempts import FailedItem, last_of, read
from psyflow.record.layout import Layout
from psyflow.record.wanted import Wanted
from psyflow.report.psets import value_text

__all__ = [
    "FailureGroup",
    "Suspect",
    "attempts_of",
    "failed_items",
    "groups",
    "hypergeometric_tail",
    "place_of",
    "suspects",
]

MAX_P = 0.05
MIN_COUNT = 3
MOST_SUSPECTS = 5
_BLOCK = 1 << 16
_FRAME = re.compile(r'^[\s|]*File "(.+)", line (\d+), in (.+)$', re.MULTILINE)


@dataclass(frozen=True)
class Suspect:
    """A parameter value that failed items have more often than others.

    Attributes
    ----------
    name : str
    value : str
        As text that Python would read.
    n_group, n_ran : int
        How many items of the group, and of all that ran, have the value.
    p : float
        How likely it is that so many of the group have it by chance; see `groups`.
    """

    name: str
    value: str
    n_group: int
    n_ran: int
    p: float


@dataclass(frozen=True)
class FailureGroup:
    """Failures that happened in one place.

    Attributes
    ----------
    place : str
        File, line and function, relative to the task folder; the exception's type if none of its
        code is in the traceback; the kind of a failure that is no exception.
    items : list of FailedItem
        In the order of their numbers.
    suspects : list of Suspect
        The least likely first.
    n_ran : int
        Number of items that ran, in any group or with a result.
    """

    place: str
    items: list[FailedItem]
    suspects: list[Suspect]
    n_ran: int

    @property
    def kinds(self) -> dict[str, int]:
        """How many failures are of which kind, the most frequent first."""
        return dict(Counter(f.failure.kind for f in self.items).most_common())

    @property
    def exceptions(self) -> dict[str, int]:
        """How many failures have which exception, with its message, the most frequent first."""
        return dict(Counter(f.failure.exception for f in self.items).most_common())


def failed_items(assessment: Assessment) -> list[FailedItem]:
    """Return the latest failure of each item that has no result, in the order of the items.

    Parameters
    ----------
    assessment : Assessment

    Returns
    -------
    list of FailedItem
    """
    records = assessment.recovered.outcomes.failures if len(assessment.failed) else ()
    return last_of(assessment.layout, assessment.failed, records)


def attempts_of(assessment: Assessment, item: int) -> list[FailedItem]:
    """Return every failure and skip of one item on record, also if it has a result, in order."""
    if assessment.is_complete:
        return []
    outcomes = assessment.recovered.outcomes
    found = read(assessment.layout, {item}, [*outcomes.failures, *outcomes.skips])
    return sorted(found, key=lambda attempt: attempt.failure.start)


def groups(assessment: Assessment, part: Wanted | None = None) -> list[FailureGroup]:
    """Group the failures of items that have no result by the place where they happened.

    For each group, a parameter value is a suspect if at least `MIN_COUNT` items of the group have
    it, and if so many would have it by chance with a probability under `MAX_P` only. That is the
    upper tail of the hypergeometric distribution, Fisher's exact test (R. A. Fisher 1922, J. R.
    Stat. Soc. 85, 87–94), times the number of values that are looked at (Bonferroni's correction;
    O. J. Dunn 1961, J. Am. Stat. Assoc. 56, 52–64). The group is compared with all items that ran.

    Parameters
    ----------
    assessment : Assessment
    part : Wanted, optional
        Only these items count, as failed and as run.

    Returns
    -------
    list of FailureGroup
        The largest first.
    """
    by_place: dict[str, list[FailedItem]] = {}
    folder = assessment.task.path.parent
    items = None if part is None else part.of_all(assessment)
    chosen = None if items is None else set(items.tolist())
    for found in failed_items(assessment):
        if chosen is not None and found.item not in chosen:
            continue
        place = place_of(found.failure, folder, assessment.layout)
        by_place.setdefault(place, []).append(found)
    ran = _items_that_ran(assessment) if by_place else np.empty(0, dtype=np.int64)
    ran = ran if items is None else np.intersect1d(ran, items)
    found_groups = [
        FailureGroup(
            place, failed, suspects(assessment.space, [f.item for f in failed], ran), len(ran)
        )
        for place, failed in by_place.items()
    ]
    return sorted(found_groups, key=lambda group: -len(group.items))


def _items_that_ran(assessment: Assessment) -> Items:
    has_outcome = assessment.recovered.table.piece_of >= 0
    has_outcome[assessment.failed] = True
    return np.flatnonzero(has_outcome)


def place_of(failure: Failure, folder: Path, layout: Layout) -> str:
    """Return where in the task's code a failure happened.

    Parameters
    ----------
    failure : Failure
    folder : Path
        The task folder.
    layout : Layout
        Of the run, whose plans have copies of the code.
    """
    if failure.kind not in ("error", OF_RESULT):
        return failure.kind
    frames = _FRAME.findall(failure.traceback)
    for file, line, function in reversed(frames):
        local = _in_task_folder(Path(file), folder, layout)
        if local is not None:
            return f"{local}, line {line}, in {function}"
    return failure.exception.partition(":")[0]


def _in_task_folder(file: Path, folder: Path, layout: Layout) -> Path | None:
    if file.is_relative_to(layout.plans):
        # <plans>/<run id>/code/<file>
        return Path(*file.relative_to(layout.plans).parts[2:])
    return file.relative_to(folder) if file.is_relative_to(folder) else None


def suspects(space: ParameterSpace, group: Iterable[int], ran: Items) -> list[Suspect]:
    """Return the parameter values that a group has more often than all items that ran.

    Parameters
    ----------
    space : ParameterSpace
    group : iterable of int
        Items of the group.
    ran : ndarray of int64
        Items to compare them with, those of the group included.

    Returns
    -------
    list of Suspect
        The least likely first, at most `MOST_SUSPECTS`.

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> space = Param(a=[0, 1, 2, 3]) * Param(b=range(5))
    >>> (found,) = suspects(space, [5, 6, 7, 9], np.arange(20))
    >>> found.name, found.value, found.n_group, found.n_ran
    ('a', '1', 4, 5)
    """
    chosen = np.array(sorted(group), dtype=np.int64)
    if len(chosen) < MIN_COUNT:
        return []
    counted = [
        (name, *counts)
        for name in space.keys()  # noqa: SIM118
        for counts in _counts(space, name, chosen, ran)
    ]
    found = []
    for name, item, n_group, n_ran in counted:
        # What is not more frequent than expected is no suspect, and its tail takes long to sum.
        if n_group < MIN_COUNT or n_group * len(ran) <= n_ran * len(chosen):
            continue
        p = len(counted) * hypergeometric_tail(n_group, len(ran), n_ran, len(chosen))
        if p < MAX_P:
            found.append((p, item, name, n_group, n_ran))
    # Of those that are as likely, the order of the space is the order to read them in.
    return [
        Suspect(name, value_text(space[item][name]), n_group, n_ran, p)
        for p, item, name, n_group, n_ran in sorted(found)[:MOST_SUSPECTS]
    ]


def _counts(
    space: ParameterSpace, name: str, group: Items, ran: Items
) -> Iterator[tuple[int, int, int]]:
    """Yield for each value: an item that has it, and how many of the group and of all have it.

    Keys stand for values, so that arrays and dicts are as good as numbers.
    """
    values, first, n_group = np.unique(
        _value_keys(space, name, group), return_index=True, return_counts=True
    )
    n_ran = np.zeros(len(values), dtype=np.int64)
    for start in range(0, len(ran), _BLOCK):
        keys = _value_keys(space, name, ran[start : start + _BLOCK])
        at = np.minimum(np.searchsorted(values, keys), len(values) - 1)
        n_ran += np.bincount(at[values[at] == keys], minlength=len(values))
    yield from zip(group[first].tolist(), n_group.tolist(), n_ran.tolist(), strict=True)


def _value_keys(space: ParameterSpace, name: str, items: Items) -> npt.NDArray[np.uint64]:
    # Half a key does: it can be sorted, and two of some thousand values never share 64 bits.
    return space.key_take(items, [name])[:, 0]


def hypergeometric_tail(k: int, n_all: int, n_marked: int, n_drawn: int) -> float:
    """Return how likely it is that `k` or more of the drawn are marked.

    Parameters
    ----------
    k : int
    n_all, n_marked, n_drawn : int
        How many there are, how many of them are marked, and how many are drawn at random.

    Examples
    --------
    >>> round(hypergeometric_tail(3, 50, 5, 3) * 19600)  # C(5, 3) of C(50, 3)
    10
    """
    log_p = (
        _log_choose(n_marked, k)
        + _log_choose(n_all - n_marked, n_drawn - k)
        - _log_choose(n_all, n_drawn)
    )
    term = total = math.exp(log_p)
    for i in range(k, min(n_marked, n_drawn)):
        term *= (n_marked - i) * (n_drawn - i)
        term /= (i + 1) * (n_all - n_marked - n_drawn + i + 1)
        total += term
        if term < total * 1e-12:
            break
    return min(1.0, total)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
