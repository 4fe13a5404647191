"""What the frames of a shard hold, from outcomes to bytes."""

from __future__ import annotations

from json import dumps as to_json
from pickle import dumps as to_pickle
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import pack_numbers
from psyflow.outcomes.frames import FAILURE, SKIP
from psyflow.outcomes.records import SKIPPED, Failure, Rows

__all__ = ["New", "failure_frame", "payload_of"]

# Up to this many rows, arrays take more time and bytes than lists.
_FEW = 8

Items: TypeAlias = "npt.NDArray[np.int64]"


class New(NamedTuple):
    """A frame that is to be appended; `packable` is what its payload has, if that is rows."""

    kind: int
    items: Items
    payload: bytes
    packable: Rows | None = None


def failure_frame(failure: Failure) -> New:
    """Return the frame of a failure, or of a skip."""
    # Not `asdict`, which copies each field, and takes longer than all else.
    fields = dict(vars(failure))
    _leave_out_programs(fields)
    kind = SKIP if failure.kind == SKIPPED else FAILURE
    return New(kind, np.array([failure.item], dtype=np.int64), to_json(fields).encode())


def _leave_out_programs(fields: dict[str, Any]) -> None:
    # A psyflow that knew of none reads what has none.
    if fields["programs"] is None:
        del fields["programs"]


def payload_of(rows: Rows) -> bytes:
    """Return the payload of a ``ROWS`` frame."""
    fields = {k: v for k, v in vars(rows).items() if k not in ("items", "refused_by")}
    _leave_out_programs(fields)
    if len(rows.items) > _FEW:
        fields["columns"] = {n: pack_numbers(c) for n, c in rows.columns.items()}
    return to_pickle(fields, protocol=5)
