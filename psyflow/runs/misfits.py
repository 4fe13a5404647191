"""Results that cannot be in one file with the others: a text among numbers, for example."""

from __future__ import annotations

from collections import Counter

import numpy as np

from psyflow.outcomes.table import Items, merged_blocks
from psyflow.record.recover import Recovered
from psyflow.store.kinds import kinds_of

__all__ = ["misfits"]


def misfits(recovered: Recovered, column: str) -> Items:
    """Return the items whose value of an output is of another kind than those of most items.

    What the result that is there has is no misfit: it would be nowhere else.

    Parameters
    ----------
    recovered : Recovered
    column : str
        Name of the output. If it is none, there are no misfits: parameters are known beforehand.
    """
    kinds: dict[str, list[int]] = {}
    for items, block in merged_blocks(recovered.table):
        values = kinds_of(block.columns[column]) if column in block.columns else ()
        for item, kind in zip(items.tolist(), values, strict=False):
            if kind is not None:
                kinds.setdefault(kind, []).append(item)
    kept = _kinds_merged(recovered, kinds) or _most_frequent(kinds)
    found = [item for kind, of_kind in kinds.items() if kind not in kept for item in of_kind]
    return np.array(sorted(found), dtype=np.int64)


def _kinds_merged(recovered: Recovered, kinds: dict[str, list[int]]) -> set[str]:
    if recovered.earlier is None:
        return set()
    path = recovered.earlier.path
    numbers = [n for n, piece in enumerate(recovered.table.pieces) if piece.file == path]
    is_merged = np.isin(recovered.table.piece_of, numbers)
    return {kind for kind, of_kind in kinds.items() if is_merged[of_kind].any()}


def _most_frequent(kinds: dict[str, list[int]]) -> set[str]:
    counts = Counter({kind: len(of_kind) for kind, of_kind in kinds.items()})
    return {kind for kind, _ in counts.most_common(1)}
