"""The algebra of parameter spaces: products, sums, differences and selections.

Nodes are immutable and lazy: they compute on first use what they need. Chains of ``+``, ``*`` and
``-`` are flattened without recursion, so that ten thousand operands are as good as two. What is
nested deeply becomes a table. A pickled space holds its operands' values and the selected
positions, but neither predicates nor caches.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeGuard, overload

import numpy as np

from psyflow.columns import Column, concatenate, from_rows, take
from psyflow.exceptions import AmbiguousOperationError
from psyflow.pspace import select
from psyflow.pspace.depth import shallow
from psyflow.pspace.keys import Keys, add_keys, no_keys
from psyflow.pspace.show import about, joined
from psyflow.pspace.table import Items, LazyTable, Show, by_part

__all__ = ["Difference", "ParameterSpace", "Product", "Selection", "Sum"]

Positions: TypeAlias = "range | Items"

NAN = float("nan")
_MOST_ITEMS = 2**63 - 1


def _is_space(other: object) -> TypeGuard[ParameterSpace]:
    """Tell whether it is a space, and what to write instead of a dict or a list."""
    if isinstance(other, dict | list):
        kind = type(other).__name__
        space = "Param(**{...})" if kind == "dict" else "Param.from_psets([...])"
        raise TypeError(f"Spaces are combined with spaces: for a {kind}, write {space}.")
    return isinstance(other, ParameterSpace)


class ParameterSpace(LazyTable):
    """A lazy, finite, ordered, indexable sequence of psets.

    Spaces are made with `Param` and combined: ``a * b`` is the Cartesian product (`b` varies
    fastest), ``a + b`` is `a` followed by `b` (names that one lacks are NaN there), ``a - b`` is
    `a` without the psets that equal one of `b` on the names of `b`. ``space[i]`` is a pset,
    ``space[i:j:k]`` a space.

    A class of your own derives from this and has ``__len__`` and ``iterate``; its psets are listed
    when they are first needed.

    Parameters
    ----------
    keys : iterable of str, optional
        For such a class: the names of its parameters. Its psets tell them as well.

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> space = Param(a=[1, 2, 3]) * Param(b=["x", "y"]) - Param(a=[2])
    >>> len(space), space[-1]
    (4, {'a': 3, 'b': 'y'})
    >>> space[::2].build()
    {'a': [1, 3], 'b': ['x', 'x']}
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._given = tuple(keys)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls._take is ParameterSpace._take:
            # What is frozen has to be found without the class, which is the task file's.
            cls.__reduce__ = _as_listed  # type: ignore[method-assign,assignment]

    @functools.cached_property
    def _listed(self) -> ParameterSpace:
        psets = list(self.iterate())
        columns = from_rows(psets, absent=NAN) or {name: [] for name in self._given}
        listed: ParameterSpace = LazyTable.of_columns(columns, len(psets))
        return listed

    def _repr_html_(self) -> str:
        from psyflow.pspace.shown import as_html  # only notebooks need it

        return as_html(self)

    def _text(self, show: Show) -> str:
        return f"{type(self).__name__}({', '.join(self._sorted_names())})"

    def _sorted_names(self) -> tuple[str, ...]:
        return self._listed._sorted_names()

    def _take(self, items: Items) -> dict[str, Column]:
        return self._listed._take(items)

    def _key_take(self, items: Items, names: frozenset[str] | None) -> Keys:
        return self._listed._key_take(items, names)

    def __mul__(self, other: ParameterSpace) -> ParameterSpace:
        return Product(self, other) if _is_space(other) else NotImplemented

    def __add__(self, other: ParameterSpace) -> ParameterSpace:
        return Sum(self, other) if _is_space(other) else NotImplemented

    def __sub__(self, other: ParameterSpace) -> ParameterSpace:
        return Difference(self, other) if _is_space(other) else NotImplemented

    @overload
    def __getitem__(self, index: slice) -> ParameterSpace: ...

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> dict[str, Any]: ...

    def __getitem__(self, index: int | np.integer[Any] | slice) -> dict[str, Any] | ParameterSpace:
        return self._sliced(index) if isinstance(index, slice) else self._pset(index)

    def _sliced(self, rows: slice) -> ParameterSpace:
        return Selection(self, range(len(self))[rows])

    def where(self, predicate: Callable[..., Any]) -> ParameterSpace:
        """Return the psets for which `predicate` is true.

        The predicate is called for every pset when the space is first used: narrow a large product
        by leaving levels out of its factors before you filter it.

        Parameters
        ----------
        predicate : callable
            Called with keyword arguments, pset by pset; it may take some of the names only.

        Raises
        ------
        TypeError
            If `predicate` is no function.
        UnknownNameError
            When the space is first used, if the predicate needs a name that the space lacks.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> square = Param(a=[1, 2, 3]) * Param(b=[1, 2, 3])
        >>> square.where(lambda a, b: a < b).build()
        {'a': [1, 1, 2], 'b': [2, 3, 3]}
        """
        if not callable(predicate):
            raise TypeError(
                f"`where` takes a function, such as where(lambda a: a > 1), not {predicate!r:.60}."
            )
        return Selection(self, select.accepted(predicate))

    def unique(self) -> ParameterSpace:
        """Return the space without the psets that equal an earlier one.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> Param(a=[2, 1, 2.0]).unique().build()
        {'a': [2, 1]}
        """
        return Selection(self, select.unique)

    def limit(self, n: int) -> ParameterSpace:
        """Return the first `n` psets; 0 means all.

        Parameters
        ----------
        n : int

        Raises
        ------
        ValueError
            If `n` is negative.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> Param(a=[1, 2, 3]).limit(2).build()
        {'a': [1, 2]}
        """
        if n < 0:
            raise ValueError(f"The limit must be positive, or 0 for no limit; it is {n}.")
        return self[:n] if n else self


def _as_listed(space: ParameterSpace) -> tuple[type[ParameterSpace], tuple[ParameterSpace]]:
    return Sum, (space._listed,)


def _grouped(operand: LazyTable, show: Show) -> str:
    return f"({show(operand)})" if isinstance(operand, Sum | Difference) else show(operand)


class Sum(ParameterSpace):
    """The psets of the operands, one operand after the other; NaN for names that one lacks.

    Parameters
    ----------
    *operands : ParameterSpace

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> Sum(Param(a=[1, 2]), Param(a=3, b="x")).build()
    {'a': [1, 2, 3], 'b': [nan, nan, 'x']}
    """

    def __init__(self, *operands: ParameterSpace) -> None:
        # A sum of sums becomes one sum, so it is no deeper than they are.
        self._operands = tuple(op if type(op) is Sum else shallow(op) for op in operands)
        self.depth = max((op.depth + (type(op) is not Sum) for op in self._operands), default=0)
        self._length: int | None = None
        self._names: tuple[str, ...] | None = None

    def __reduce__(self) -> tuple[type[Sum], tuple[ParameterSpace, ...]]:
        return Sum, self._parts

    def _text(self, show: Show) -> str:
        return joined(" + ", [show(part) for part in self._parts])

    def __len__(self) -> int:
        if self._length is None:
            known = self._leaves(lambda node: node._length is not None)
            self._length = sum(len(node) for node in known)
        return self._length

    def _sorted_names(self) -> tuple[str, ...]:
        if self._names is None:
            known = self._leaves(lambda node: node._names is not None)
            self._names = tuple(sorted(set().union(*(node._sorted_names() for node in known))))
        return self._names

    def _leaves(self, stop_at: Callable[[Sum], bool]) -> Iterator[ParameterSpace]:
        """Yield the operands in order, with sums among them replaced by theirs in turn."""
        stack: list[ParameterSpace] = [self]
        while stack:
            node = stack.pop()
            if type(node) is Sum and not stop_at(node):
                stack.extend(reversed(node._operands))
            else:
                yield node

    @functools.cached_property
    def _parts(self) -> tuple[ParameterSpace, ...]:
        # The intermediate sums of a long chain are not needed any more.
        self._operands = tuple(self._leaves(lambda node: False))
        return self._operands

    @functools.cached_property
    def _ends(self) -> Items:
        return np.cumsum([len(part) for part in self._parts], dtype=np.int64)

    def _take(self, items: Items) -> dict[str, Column]:
        order, visits = by_part(items, self._ends)
        names = self._sorted_names()
        joined_rows = concatenate((self._rows(part, own) for part, own in visits), absent=NAN)
        columns = {name: joined_rows.get(name, [NAN] * len(items)) for name in names}
        if len(visits) <= 1:
            return columns
        back = np.argsort(order)
        return {name: take(column, back) for name, column in columns.items()}

    def _rows(self, part: int, own: Items) -> dict[str, Column]:
        # A part without any names has rows all the same; one name shows how many.
        rows = self._parts[part]._take(own)
        return rows or {name: [NAN] * len(own) for name in self._sorted_names()[:1]}

    def _key_take(self, items: Items, names: frozenset[str] | None) -> Keys:
        order, visits = by_part(items, self._ends)
        found = [self._parts[part]._key_take(own, names) for part, own in visits]
        keys = no_keys(len(items))
        keys[order] = np.concatenate([no_keys(0), *found])
        return keys


class Product(ParameterSpace):
    """Every pset of one factor joined with every pset of the next; the last varies fastest.

    Parameters
    ----------
    *factors : ParameterSpace
        ``Param()``, which has neither names nor psets, is neutral.

    Raises
    ------
    AmbiguousOperationError
        If two factors share a name.
    OverflowError
        When its length is asked for, if there are 2**63 psets or more.

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> Product(Param(a=[1, 2]), Param(b=[3, 4])).build()
    {'a': [1, 1, 2, 2], 'b': [3, 4, 3, 4]}
    """

    def __init__(self, *factors: ParameterSpace) -> None:
        self._factors: list[ParameterSpace] = []
        self._names: set[str] = set()
        for factor in factors:
            if isinstance(factor, Product):
                self._append(factor._factors, factor._names, factor.depth)
            elif factor._sorted_names() or len(factor):
                own = shallow(factor)
                self._append([own], set(own._sorted_names()), 1 + own.depth)

    def _append(self, factors: list[ParameterSpace], names: set[str], depth: int) -> None:
        if shared := sorted(self._names & names):
            raise AmbiguousOperationError(
                about(shared, "is in both factors of a product")
                + " Rename it in one of them, or use + to put one space after the other."
            )
        self._factors += factors
        self._names |= names
        self.depth = max(self.depth, depth)

    @property
    def factors(self) -> tuple[ParameterSpace, ...]:
        """What is multiplied, the one that varies fastest last; no product, and none neutral."""
        return tuple(self._factors)

    def __reduce__(self) -> tuple[type[Product], tuple[ParameterSpace, ...]]:
        return Product, self.factors

    def _text(self, show: Show) -> str:
        return joined(" * ", [_grouped(factor, show) for factor in self._factors])

    def __len__(self) -> int:
        length = math.prod(map(len, self._factors)) if self._factors else 0
        if length > _MOST_ITEMS:
            raise OverflowError(f"The product has {length} psets, the limit is {_MOST_ITEMS}.")
        return length

    def _sorted_names(self) -> tuple[str, ...]:
        return self._ordered_names

    @functools.cached_property
    def _ordered_names(self) -> tuple[str, ...]:
        return tuple(sorted(self._names))

    def _digits(self, items: Items) -> Iterator[tuple[ParameterSpace, Items]]:
        """Yield each factor, the last first, with its own item numbers."""
        for factor in reversed(self._factors):
            size = len(factor)
            yield factor, items % size if size > 1 else np.zeros_like(items)
            items = items // size if size > 1 else items

    def _take(self, items: Items) -> dict[str, Column]:
        columns: dict[str, Column] = {}
        for factor, own in self._digits(items):
            columns |= factor._take(own)
        return {name: columns[name] for name in self._ordered_names}

    def _key_take(self, items: Items, names: frozenset[str] | None) -> Keys:
        keys = no_keys(len(items))
        for factor, own in self._digits(items):
            if names is None or not names.isdisjoint(factor._sorted_names()):
                keys = add_keys(keys, factor._key_take(own, names))
        return keys


class Selection(ParameterSpace):
    """The psets at some positions of another space.

    Parameters
    ----------
    base : ParameterSpace
    positions : range, ndarray of int64 or callable
        Where to look in `base`, or what finds it, given `base`, when it is first needed.
    *others : ParameterSpace
        What else is evaluated for that.
    """

    def __init__(
        self,
        base: ParameterSpace,
        positions: Positions | Callable[[ParameterSpace], Items],
        *others: ParameterSpace,
    ) -> None:
        base = shallow(base)
        self.depth = 1 + max(base.depth, *(other.depth for other in others), 0)
        # One attribute, so that threads see both change at once.
        self._source = base, positions

    def __reduce__(self) -> tuple[type[Selection], tuple[ParameterSpace, Positions]]:
        return Selection, self._resolved()

    def _text(self, show: Show) -> str:
        base, positions = self._source
        if not isinstance(positions, range):
            return f"selection of ({show(base)})"
        stop = positions.stop if positions.stop >= 0 else ""
        return f"({show(base)})[{positions.start}:{stop}:{positions.step}]"

    def _resolved(self) -> tuple[ParameterSpace, Positions]:
        base, positions = self._source
        if callable(positions):
            positions = positions(base)
            while isinstance(base, Selection):
                # Selections of selections are flattened, lest chains of them grow deep.
                base, positions = base._in_base(positions)
            self._source = base, positions
        return base, positions

    def _sorted_names(self) -> tuple[str, ...]:
        return self._source[0]._sorted_names()

    def __len__(self) -> int:
        return len(self._resolved()[1])

    def _sliced(self, rows: slice) -> ParameterSpace:
        base, positions = self._resolved()
        return Selection(base, positions[rows])

    def _in_base(self, items: Items) -> tuple[ParameterSpace, Items]:
        base, positions = self._resolved()
        if isinstance(positions, range):
            return base, positions.start + positions.step * items
        return base, positions[items]

    def _take(self, items: Items) -> dict[str, Column]:
        base, own = self._in_base(items)
        return base._take(own)

    def _key_take(self, items: Items, names: frozenset[str] | None) -> Keys:
        base, own = self._in_base(items)
        return base._key_take(own, names)


class Difference(Selection):
    """The psets of the minuend that equal none of the subtrahend, on the subtrahend's names.

    Parameters
    ----------
    minuend, subtrahend : ParameterSpace

    Raises
    ------
    AmbiguousOperationError
        If the subtrahend has names that the minuend lacks.

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> Difference(Param(a=[1, 2, 3], b=[4, 5, 6]), Param(a=[2])).build()
    {'a': [1, 3], 'b': [4, 6]}
    """

    def __init__(self, minuend: ParameterSpace, subtrahend: ParameterSpace) -> None:
        subtrahend = shallow(subtrahend)
        names = frozenset(subtrahend._sorted_names())
        if unknown := sorted(names.difference(minuend._sorted_names())):
            raise AmbiguousOperationError(
                about(unknown, "not existent in minuend")
                + " To find what the subtrahend lacks, whatever else it has, use"
                " missing(minuend, subtrahend)."
            )
        # Linked, not copied, so that a chain of differences costs no more than its links.
        earlier, pending, base = None, None, minuend
        self._root = minuend
        if isinstance(minuend, Difference):
            self._root, earlier = minuend._root, minuend._removals
            if callable(minuend._source[1]):  # What it has not removed yet is removed in one go.
                base, pending = minuend._source[0], minuend._pending
        self._removals: select.Removals = (earlier, subtrahend, names)
        self._pending: select.Removals = (pending, subtrahend, names)
        super().__init__(base, select.remaining(self._pending), subtrahend)

    def _text(self, show: Show) -> str:
        operands = [self._root, *(table for table, _ in select.unlinked(self._removals))]
        return joined(" - ", [_grouped(operand, show) for operand in operands])
