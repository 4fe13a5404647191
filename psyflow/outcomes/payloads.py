"""What the frames of a shard hold, from outcomes to bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from json import dumps as to_json
from pickle import dumps as to_pickle
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import pack_numbers
from psyflow.outcomes.frames import FAILURE, SKIP
from psyflow.outcomes.records import SKIPPED, Failure, Rows

__all__ = ["New", "failure_frames", "fields_of", "payload_of", "payload_of_failures"]

# Up to this many rows, arrays take more time and bytes than lists.
_FEW = 8
# What of failures differs, or is equal by chance.
_OF_ITEMS = ("item", "start", "duration")

Items: TypeAlias = "npt.NDArray[np.int64]"


class New(NamedTuple):
    """A frame that is to be appended; `packable` is what its payload has, if that is rows."""

    kind: int
    items: Items
    payload: bytes
    packable: Rows | None = None


def failure_frames(failures: Sequence[Failure]) -> Iterator[New]:
    """Yield the frames of failures and skips, in their order; those of one kind are together."""
    for kind, some in groupby(failures, _kind_of):
        together = list(some)
        items = np.array([failure.item for failure in together], dtype=np.int64)
        # Not `asdict`, which copies each field, and takes longer than all else.
        yield New(kind, items, payload_of_failures([*map(vars, together)]))


def _kind_of(failure: Failure) -> int:
    return SKIP if failure.kind == SKIPPED else FAILURE


def payload_of_failures(failures: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the payload of a frame with failures, given the fields of each.

    Of several, what all have in common is there once.

    Examples
    --------
    >>> payload_of_failures([{"item": 3, "kind": "error"}])
    b'{"item": 3, "kind": "error"}'
    >>> payload_of_failures([{"item": 3, "kind": "error"}, {"item": 4, "kind": "error"}])
    b'{"all": {"kind": "error"}, "each": {"item": [3, 4]}}'
    >>> payload_of_failures([{"item": n, "traceback": "same"} for n in (3, 4)])
    b'{"all": {"traceback": "same"}, "each": {"item": [3, 4]}}'
    """
    if len(failures) == 1:
        fields = dict(failures[0])
        _leave_out_programs(fields)
        return to_json(fields).encode()
    common: dict[str, Any] = {}
    each: dict[str, list[Any]] = {}
    for name in failures[0]:
        values = [failure[name] for failure in failures]
        is_common = name not in _OF_ITEMS and values.count(values[0]) == len(values)
        (common if is_common else each)[name] = values[0] if is_common else values
    _leave_out_programs(common)
    return to_json({"all": common, "each": each}).encode()


def fields_of(payload: bytes) -> list[dict[str, Any]]:
    """Return the fields of each failure that `payload_of_failures` has put there.

    Examples
    --------
    >>> fields_of(payload_of_failures([{"item": 3, "log": ""}, {"item": 4, "log": ""}]))
    [{'log': '', 'item': 3}, {'log': '', 'item': 4}]
    """
    found = json.loads(payload)
    if "each" not in found:
        return [found]
    common, each = found["all"], found["each"]
    rows = zip(*each.values(), strict=True)
    return [{**common, **dict(zip(each, row, strict=True))} for row in rows]


def _leave_out_programs(fields: dict[str, Any]) -> None:
    # A psyflow that knew of none reads what has none.
    if fields.get("programs", ...) is None:
        del fields["programs"]


def payload_of(rows: Rows) -> bytes:
    """Return the payload of a ``ROWS`` frame."""
    fields = {k: v for k, v in vars(rows).items() if k not in ("items", "refused_by")}
    _leave_out_programs(fields)
    if len(rows.items) > _FEW:
        fields["columns"] = {n: pack_numbers(c) for n, c in rows.columns.items()}
    return to_pickle(fields, protocol=5)
