"""How much of the variance of an output the parameters explain, alone and in pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UnknownColumnError, UsageError
from psyflow.pspace.keys import column_keys
from psyflow.results.choice import REPEAT
from psyflow.results.table import Results

__all__ = ["Effects", "effects"]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Effects:
    """What each parameter explains.

    Parameters
    ----------
    table : Results
        See `effects`.
    notes : list of str
        What one has to know to read it.
    """

    table: Results
    notes: list[str]


@dataclass(frozen=True)
class _Factor:
    name: str
    codes: Codes
    n_levels: int


def effects(results: Results, name: str) -> Effects:
    """Return the shares of the variance of an output that parameters explain, alone and in pairs.

    A share is η² (eta squared; R. A. Fisher 1925, Statistical Methods for Research Workers, ch.
    VIII; J. Cohen 1973, Educ. Psychol. Meas. 33, 107–112): the sum of squares between the means of
    the groups of rows that agree in the parameter, divided by the sum of squares of all rows. Of a
    pair, it is the share of both together less those of either alone: their interaction. Levels
    may be of any kind. Where all combinations of levels are there equally often, as in a product,
    shares add up, with the rest, to 1, and are the Sobol' indices of first and second order of
    independent parameters that have each level with the same probability (I. M. Sobol' 1993,
    Math. Model. Comput. Exp. 1, 407–414; A. Saltelli et al. 2008, Global Sensitivity Analysis).

    Where they are not, parameters go with each other, and what they explain together counts for
    both: shares may add up to more than 1, and a pair's may be negative. A note says so.

    More levels explain more even of pure noise. What they would on average, (levels − 1) / (rows
    − 1), is told beside it.

    Parameters
    ----------
    results : Results
    name : str
        The output; its absent values (None, NaN) do not count.

    Returns
    -------
    Effects
        A row for each parameter that varies but ``repeat``, for each pair of them, and for the
        rest: three and more together, and what varies between rows of one pset. Columns
        ``effect``, ``share``, ``by_chance`` and ``levels``; large shares come first.

    Raises
    ------
    UnknownColumnError
        If there is no such output.
    UsageError
        If it is not one number per row, or does not vary.

    Examples
    --------
    >>> results = Results(
    ...     {"a": [0, 0, 1, 1], "b": ["x", "y", "x", "y"], "y": [0.0, 1.0, 2.0, 5.0]},
    ...     parameters=["a", "b"],
    ... )
    >>> table = effects(results, "y").table
    >>> for row in table.rows():
    ...     print(row["effect"], round(row["share"], 3))
    a 0.643
    b 0.286
    a × b 0.071
    the rest 0.0
    """
    if name not in results.outputs:
        raise UnknownColumnError(name, {n: results[n] for n in results.outputs})
    values = _numbers(results, name)
    is_there = ~np.isnan(values)
    n_absent = len(values) - int(is_there.sum())
    values = values[is_there]
    if not np.isfinite(values).all():
        raise UsageError(f'"{name}" has infinite values; leave them out: --where "{name}<inf"')
    total = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    if len(values) < 2 or not total > 0:
        raise UsageError(
            f'"{name}" does not vary in {len(values)} rows, so nothing explains its variance.'
        )
    factors = list(_factors(results, is_there))
    notes = [f'{n_absent} rows without "{name}" do not count.'] if n_absent else []
    uneven = [(a.name, b.name) for a, b in combinations(factors, 2) if not _are_independent(a, b)]
    if uneven:
        one, other = uneven[0]
        more = f" (and {len(uneven) - 1} more pairs)" if len(uneven) > 1 else ""
        notes.append(
            f"{one} and {other}{more} do not vary independently of each other, so what they "
            "explain together counts for both: shares may add up to more than 1, or be negative."
        )
    return Effects(_table(factors, values, total), notes)


def _table(factors: list[_Factor], values: Floats, total: float) -> Results:
    n = len(values)
    rows: list[tuple[str, float, float, int]] = []
    alone: dict[str, float] = {}
    for factor in factors:
        alone[factor.name] = _between(factor, values) / total
        chance = (factor.n_levels - 1) / (n - 1)
        rows.append((factor.name, alone[factor.name], chance, factor.n_levels))
    for one, other in combinations(factors, 2):
        both = _both(one, other)
        share = _between(both, values) / total - alone[one.name] - alone[other.name]
        chance = max(0, both.n_levels - one.n_levels - other.n_levels + 1) / (n - 1)
        rows.append((both.name, share, chance, both.n_levels))
    rows.sort(key=lambda row: -row[1])
    # Rounding leaves something, of either sign, where nothing is.
    rest = 1 - sum(share for _, share, _, _ in rows)
    chance = 1 - sum(row[2] for row in rows)
    rows.append(("the rest", _clean(rest), max(0.0, chance), n))
    return Results(
        {
            "effect": np.array([row[0] for row in rows]),
            "share": np.array([_clean(row[1]) for row in rows]),
            "by_chance": np.array([row[2] for row in rows]),
            "levels": np.array([row[3] for row in rows]),
        },
        parameters=["effect"],
    )


def _clean(share: float) -> float:
    return 0.0 if abs(share) < 1e-12 else share


def _numbers(results: Results, name: str) -> Floats:
    try:
        values = np.array(
            [np.nan if value is None else value for value in results[name]], dtype=np.float64
        )
    except (TypeError, ValueError):
        values = np.zeros((0, 0))
    if values.ndim != 1:
        raise UsageError(
            f'"{name}" is not one number in each row. See what there is: psy show TASK'
        )
    return values


def _factors(results: Results, is_there: npt.NDArray[np.bool_]) -> Iterator[_Factor]:
    for name in results.parameters:
        if name != REPEAT:
            keys = np.ascontiguousarray(column_keys({name: results[name]}, len(is_there)))
            whole = keys[is_there].view([("low", np.uint64), ("high", np.uint64)]).reshape(-1)
            factor = _coded(name, whole)
            if factor.n_levels > 1:
                yield factor


def _coded(name: str, values: npt.NDArray[np.void] | Codes) -> _Factor:
    levels, codes = np.unique(values, return_inverse=True)
    return _Factor(name, codes.reshape(-1), len(levels))


def _both(one: _Factor, other: _Factor) -> _Factor:
    return _coded(f"{one.name} × {other.name}", one.codes * other.n_levels + other.codes)


def _between(factor: _Factor, values: Floats) -> float:
    """Return the sum of squares between the means of the levels."""
    deviations = values - values.mean()
    sums = np.bincount(factor.codes, deviations, factor.n_levels)
    counts = np.bincount(factor.codes, minlength=factor.n_levels)
    return float((sums**2 / counts).sum())


def _are_independent(one: _Factor, other: _Factor) -> bool:
    """Tell whether each level of one goes with those of the other in the same proportion."""
    n = len(one.codes)
    if one.n_levels * other.n_levels > n:
        return False
    counts = np.bincount(
        one.codes * other.n_levels + other.codes, minlength=one.n_levels * other.n_levels
    ).reshape(one.n_levels, other.n_levels)
    expected = np.outer(np.bincount(one.codes), np.bincount(other.codes))
    return bool((counts * n == expected).all())
