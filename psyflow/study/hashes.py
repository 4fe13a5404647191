"""What psets are known by in a database: hashes of their values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import UsageError
from psyflow.reprs import safe_repr

if TYPE_CHECKING:
    import pandas

__all__ = [
    "PsweepHashError",
    "filter_params_dup_hash",
    "filter_params_unique",
    "filter_same_hash",
    "hashes_of_psweep",
    "joblib_hash",
    "pset_hash",
    "sha1_or_nan",
    "unique_psets",
]

_to_json = json.JSONEncoder(sort_keys=True).encode


class PsweepHashError(UsageError):
    """A pset has no hash, because a value of it cannot be written as JSON.

    Raised by `pset_hash`. Use values of plain types, such as ``int(n)`` for a number of NumPy, or
    ``method="joblib"``.
    """


def pset_hash(
    dct: Mapping[str, Any],
    method: str = "sha1",
    raise_error: bool = True,
    skip_special_cols: bool = True,
) -> str | float:
    """Return the hash of a pset: the same for the same values, in whatever order.

    Parameters
    ----------
    dct : mapping
    method : str
        ``"sha1"`` of the pset as JSON, as in the column ``_pset_sha1``; or ``"joblib"``, the
        ``_pset_hash`` of newer psweeps, which takes values of any type, and for which names that
        end with an underscore do not count either.
    raise_error : bool
        Whether a pset that has none is an error; else its hash is NaN.
    skip_special_cols : bool
        Whether names that begin with an underscore do not count.

    Returns
    -------
    str or float

    Raises
    ------
    PsweepHashError
        If a value is nothing that JSON has.

    Examples
    --------
    >>> pset_hash({"a": 1, "b": 88, "_run_seq": 0})
    '088056f830758f949823ddc52bf8527f3e727b45'
    >>> pset_hash({"a": {1, 2}}, raise_error=False)
    nan
    """
    hash_of = _METHODS.get(method)
    if hash_of is None:
        raise UsageError(f"There is no method {method!r}. Known: {', '.join(_METHODS)}.")
    try:
        counted = {n: v for n, v in dct.items() if not skip_special_cols or n[:1] != "_"}
        return hash_of(counted)
    except Exception as error:
        if raise_error:
            raise PsweepHashError(
                f"The pset {safe_repr(dict(dct), 200)} has no hash: {error}."
            ) from error
        return math.nan


def _sha1(values: Mapping[str, Any]) -> str:
    return hashlib.sha1(_to_json(values).encode(), usedforsecurity=False).hexdigest()


def _joblib(values: Mapping[str, Any]) -> str:
    import joblib

    counted = {name: value for name, value in values.items() if name[-1:] != "_"}
    return str(joblib.hash(counted, hash_name="sha1"))


_METHODS: dict[str, Callable[[Mapping[str, Any]], str]] = {"sha1": _sha1, "joblib": _joblib}


def sha1_or_nan(pset: Mapping[str, Any]) -> str | float:
    """Return the ``_pset_sha1`` of a pset, NaN if it has none."""
    return pset_hash(pset, raise_error=False)


def joblib_hash(pset: Mapping[str, Any]) -> str | float:
    """Return the ``_pset_hash`` of a pset, NaN if it has none."""
    return pset_hash(pset, "joblib", raise_error=False)


def hashes_of_psweep(frame: pandas.DataFrame) -> set[str | float]:
    """Return the ``_pset_hash`` of rows that a newer psweep made, which have no ``_pset_sha1``.

    What it keeps as such is of the row with all names that others have, absent values included.
    Results have names that end with an underscore there.
    """
    rows = frame[frame["_pset_sha1"].isna()] if "_pset_sha1" in frame else frame
    names = [name for name in rows if name[:1] != "_" and name[-1:] != "_"]
    absent = rows[names].isna()
    values = (
        {n: v for n, v, is_absent in zip(names, row, gone, strict=True) if not is_absent}
        for row, gone in zip(
            rows[names].itertuples(index=False, name=None),
            absent.itertuples(index=False, name=None),
            strict=True,
        )
    )
    return {joblib_hash(pset) for pset in values}


def filter_same_hash(params: Iterable[Mapping[str, Any]], **kwds: Any) -> list[dict[str, Any]]:
    """Return the psets without those whose hash an earlier one has.

    Parameters
    ----------
    params : iterable of dicts
    **kwds
        As for `pset_hash`.

    Returns
    -------
    list of dict

    Raises
    ------
    PsweepHashError
        If a pset has no hash.

    Examples
    --------
    >>> filter_same_hash([{"a": 1}, {"a": 1.0}, {"a": 1}])
    [{'a': 1}, {'a': 1.0}]
    """
    return _first_of_each((pset_hash(pset, **kwds), pset) for pset in params)


def filter_params_unique(params: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the psets without those whose hash an earlier one has: `filter_same_hash`.

    Parameters
    ----------
    params : iterable of dicts

    Examples
    --------
    >>> filter_params_unique([{"a": 1}, {"a": 1}])
    [{'a': 1}]
    """
    return filter_same_hash(params)


def filter_params_dup_hash(
    params: Iterable[Mapping[str, Any]], hashes: Collection[str]
) -> list[dict[str, Any]]:
    """Return the psets whose hash is none of some.

    Parameters
    ----------
    params : iterable of dicts
    hashes : collection of str
        Such as ``df._pset_sha1``.

    Examples
    --------
    >>> from psyflow.study import pset_hash
    >>> filter_params_dup_hash([{"a": 1}, {"a": 2}], {pset_hash({"a": 1})})
    [{'a': 2}]
    """
    known = set(hashes)
    return [dict(pset) for pset in params if known.isdisjoint((pset_hash(pset),))]


def unique_psets(params: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the psets without those whose hash an earlier one has; what has none stays."""
    return _first_of_each(_numbered((sha1_or_nan(pset), pset) for pset in params))


def _numbered(
    hashed: Iterable[tuple[str | float, Mapping[str, Any]]],
) -> Iterator[tuple[str | float, Mapping[str, Any]]]:
    """Give each pset without a hash one of its own."""
    for number, (found, pset) in enumerate(hashed):
        yield found if isinstance(found, str) else number, pset


def _first_of_each(
    hashed: Iterable[tuple[str | float, Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    first: dict[str | float, dict[str, Any]] = {}
    for found, pset in hashed:
        first.setdefault(found, dict(pset))
    return list(first.values())
