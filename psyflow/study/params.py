"""Lists of psets, as psweep's users build them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UsageError
from psyflow.reprs import safe_repr
from psyflow.study.hashes import unique_psets

__all__ = [
    "Pset",
    "intspace",
    "itr2params",
    "logspace",
    "merge_dicts",
    "pgrid",
    "plist",
    "stargrid",
]

Pset: TypeAlias = dict[str, Any]

_SHOWN = 60


def plist(name: str, seq: Iterable[Any]) -> list[Pset]:
    """Return the psets of one parameter that is varied.

    Parameters
    ----------
    name : str
    seq : iterable
        Its values.

    Returns
    -------
    list of dict

    Raises
    ------
    UsageError
        If the name is no text, or there is nothing to iterate on.

    Examples
    --------
    >>> plist("a", [1, 2])
    [{'a': 1}, {'a': 2}]
    """
    if not isinstance(name, str):
        raise UsageError(
            f"plist takes a name and its values, as plist('a', [1, 2]); {safe_repr(name, _SHOWN)} "
            "is no name."
        )
    if not isinstance(seq, Iterable):
        value = safe_repr(seq, _SHOWN)
        raise UsageError(
            f"The values of {name!r} are a list, not {value}: plist({name!r}, [{value}])."
        )
    return [{name: value} for value in seq]


def itr2params(loops: Iterable[Any]) -> list[Pset]:
    """Return the psets that loops over psets stand for.

    Parameters
    ----------
    loops : iterable
        Each element is a pset, or a nesting of sequences of psets, as `zip` and
        `itertools.product` give it. Those of one element are merged to one pset.

    Returns
    -------
    list of dict

    Raises
    ------
    UsageError
        If there is something else than dicts at the ends of the nesting.

    Examples
    --------
    >>> from psyflow.study import plist
    >>> a, b = plist("a", [1, 2]), plist("b", ["x", "y"])
    >>> itr2params(zip(a, b))
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'y'}]
    """
    return [merge_dicts(list(_psets_in(element))) for element in loops]


def _psets_in(element: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(element, Mapping):
        yield element
    elif isinstance(element, Iterable) and not isinstance(element, str | bytes):
        for part in element:
            yield from _psets_in(part)
    else:
        raise UsageError(
            f"A loop over psets has {safe_repr(element, _SHOWN)} in it, which is no dict. "
            "Begin with plist('a', [1, 2])."
        )


def pgrid(*plists: Any) -> list[Pset]:
    """Return the psets of nested loops: all combinations, of which the last varies fastest.

    Parameters
    ----------
    *plists : iterables of dicts
        As several arguments, or as one list of them: ``pgrid(a, b)`` or ``pgrid([a, b])``. What is
        varied together is ``zip(a, b)``, what is constant a list with one pset.

    Returns
    -------
    list of dict

    Raises
    ------
    UsageError
        For ``pgrid(a)`` and ``pgrid(zip(a, b))``: of one list, write ``pgrid([a])``. Or if
        there is something else in the place of a list.

    Examples
    --------
    >>> from psyflow.study import plist
    >>> a, b = plist("a", [1, 2]), plist("b", [8, 9])
    >>> pgrid(a, b)
    [{'a': 1, 'b': 8}, {'a': 1, 'b': 9}, {'a': 2, 'b': 8}, {'a': 2, 'b': 9}]
    >>> pgrid([zip(a, b)])
    [{'a': 1, 'b': 8}, {'a': 2, 'b': 9}]
    """
    loops = [_psets_of(loop) for loop in _loops(plists)]
    for loop in loops:
        if any(isinstance(element, str) for element in loop):
            raise _one_list()
    return itr2params(itertools.product(*loops))


def _loops(plists: Sequence[Any]) -> list[Any]:
    if len(plists) != 1:
        return list(plists)
    loops = _psets_of(plists[0])
    # A pset is a mapping, whose names a product would loop over; what zip gives are tuples.
    if any(isinstance(loop, Mapping | tuple) for loop in loops):
        raise _one_list()
    return loops


def _psets_of(loop: Any) -> list[Any]:
    if not isinstance(loop, Iterable):
        raise UsageError(
            "pgrid takes lists of psets, as plist('a', [1, 2]) gives, not "
            f"{safe_repr(loop, _SHOWN)}."
        )
    return list(loop)


def _one_list() -> UsageError:
    return UsageError(
        "pgrid got one list of psets, not a list of such lists. Write pgrid([a]) for one "
        "parameter, and pgrid([zip(a, b)]) for some that are varied together."
    )


def merge_dicts(*args: Any, allow_dup_keys: bool = True) -> Pset:
    """Return one dict of several; of a key that more have, the last value counts.

    Parameters
    ----------
    *args : dicts, or one sequence of dicts
    allow_dup_keys : bool
        Whether several may have a key.

    Raises
    ------
    UsageError
        If several have a key that may not.

    Examples
    --------
    >>> merge_dicts({"a": 1, "b": 2}, {"b": 3})
    {'a': 1, 'b': 3}
    """
    dicts = args[0] if len(args) == 1 and not isinstance(args[0], Mapping) else args
    merged: Pset = {}
    for some in dicts:
        shared = [] if allow_dup_keys else sorted(merged.keys() & some.keys())
        if shared:
            raise UsageError(f"Several dicts have the key {shared[0]!r}.")
        merged.update(some)
    return merged


def stargrid(
    const: Mapping[str, Any],
    vary: Sequence[Sequence[Mapping[str, Any]]],
    vary_labels: Sequence[str] | None = None,
    vary_label_col: str = "_vary",
    filter_dups: bool = True,
    skip_dups: bool | None = None,
) -> list[Pset]:
    """Return psets in which one parameter after the other leaves a middle where all others stay.

    Parameters
    ----------
    const : mapping
        The middle of the star.
    vary : sequence of lists of psets
        One for each ray.
    vary_labels : sequence of str, optional
        Names of the rays, one for each.
    vary_label_col : str
        The parameter that gets them.
    filter_dups : bool
        Whether the middle, which all rays may have, comes once.
    skip_dups : bool, optional
        The same by its newer name.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> from psyflow.study import plist
    >>> stargrid({"a": 1, "b": 7}, [plist("a", [1, 2]), plist("b", [7, 8])])
    [{'a': 1, 'b': 7}, {'a': 2, 'b': 7}, {'a': 1, 'b': 8}]
    """
    labels = [None] * len(vary) if vary_labels is None else list(vary_labels)
    if len(labels) != len(vary):
        raise UsageError(f"There are {len(vary)} rays in `vary`, and {len(labels)} labels.")
    params = [
        merge_dicts(const, pset, {} if label is None else {vary_label_col: label})
        for ray, label in zip(vary, labels, strict=True)
        for pset in ray
    ]
    return unique_psets(params) if (filter_dups if skip_dups is None else skip_dups) else params


def intspace(*args: Any, dtype: npt.DTypeLike = np.int64, **kwds: Any) -> npt.NDArray[Any]:
    """Return whole numbers that are as evenly spaced as whole numbers can be.

    Parameters
    ----------
    *args, **kwds
        As for `numpy.linspace`: start, stop, num.
    dtype : data type
        Of whole numbers.

    Returns
    -------
    ndarray of at most `num` numbers
        Ascending, none twice.

    Examples
    --------
    >>> intspace(0, 10, 4)
    array([ 0,  3,  7, 10])
    """
    return np.unique(np.round(np.linspace(*args, **kwds)).astype(dtype))


def logspace(
    start: float,
    stop: float,
    num: int = 50,
    offset: float = 0,
    log_func: Callable[[Any], Any] = np.log10,
    **kwds: Any,
) -> npt.NDArray[Any]:
    """Return numbers between two bounds, spaced evenly on a logarithmic scale.

    Parameters
    ----------
    start, stop : float
        The bounds themselves, not their exponents.
    num : int
    offset : float
        The larger, the more even they are on a linear scale.
    log_func : callable
        The logarithm to the keyword `base`, which is 10.
    **kwds
        As for `numpy.logspace`.

    Returns
    -------
    ndarray of shape (num,)

    Raises
    ------
    UsageError
        If a bound has no logarithm.

    Examples
    --------
    >>> logspace(1, 100, 3)
    array([  1.,  10., 100.])
    """
    if min(start, stop) + offset <= 0:
        raise UsageError(
            f"The bounds {start} and {stop}, with the offset {offset}, have no logarithm: both "
            "have to be above 0 with it."
        )
    ends = log_func(start + offset), log_func(stop + offset)
    return np.asarray(np.logspace(*ends, num=num, **kwds)) - offset
