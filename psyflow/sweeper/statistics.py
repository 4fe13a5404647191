"""How far a sweep is, factor by factor and level by level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["sweep_stats"]

_STATES = ("remaining", "skipped", "inprogress", "done")


def sweep_stats(stats: Sequence[Iterable[Mapping[Any, Any]]]) -> dict[str, dict[Any, Any]]:
    """Count the combinations of each level of each factor, by state.

    Parameters
    ----------
    stats : tuple
        What `ParamSweeper.stats` returned, of combinations such as `sweep` makes.

    Returns
    -------
    dict
        ``"total"``, ``"remaining"``, ``"skipped"``, ``"inprogress"`` and ``"done"``: for each
        factor, a dict from its levels to numbers of combinations, without those that are 0. And
        ``"remaining_ratio"`` and so on: for all levels, the fraction of their total.

    Raises
    ------
    TypeError
        If the combinations are no dicts.

    Examples
    --------
    >>> told = sweep_stats(([{"a": 1}, {"a": 2}], [{"a": 2}], [], [], [{"a": 1}]))
    >>> told["total"], told["done"], told["done_ratio"]
    ({'a': {1: 1, 2: 1}}, {'a': {1: 1}}, {'a': {1: 1.0, 2: 0.0}})
    """
    total = _counts(stats[0])
    told: dict[str, dict[Any, Any]] = {"total": total}
    for state, combinations in zip(_STATES, stats[1:], strict=True):
        told[state] = _counts(combinations)
        told[f"{state}_ratio"] = {
            factor: {level: _number(told[state], factor, level) / n for level, n in levels.items()}
            for factor, levels in total.items()
        }
    return told


def _number(counts: Mapping[Any, Mapping[Any, int]], factor: Any, level: Any) -> int:
    return counts.get(factor, {}).get(level, 0)


def _counts(combinations: Iterable[Mapping[Any, Any]]) -> dict[Any, dict[Any, int]]:
    counts: dict[Any, Counter[Any]] = {}
    for combination in combinations:
        if not isinstance(combination, Mapping):
            raise TypeError(
                f"Levels are counted of combinations that are dicts, not of {combination!r:.60}."
            )
        for factor, level in combination.items():
            counts.setdefault(factor, Counter())[_hashable(level)] += 1
    return {factor: dict(levels) for factor, levels in counts.items()}


def _hashable(level: Any) -> Any:
    try:
        hash(level)
    except TypeError:  # a list, for example
        return repr(level)
    return level
