"""A space as notebooks show it: how many psets, of which factors, and the first of them."""

from __future__ import annotations

import html

from psyflow.pspace.space import ParameterSpace, Product
from psyflow.reprs import safe_repr

__all__ = ["as_html"]

_MOST_PSETS = 5
_MOST_FACTORS = 12
_WIDTH = 40


def as_html(space: ParameterSpace) -> str:
    r"""Return a table of the first psets, below a line about all of them.

    Examples
    --------
    >>> from psyflow import Param
    >>> print(as_html(Param(a=[1, 2]) * Param(b="x")).replace("<tr>", "\n<tr>"))
    <div><p>2 psets: a (2) × b (1)</p><table>
    <tr><th>a</th><th>b</th></tr>
    <tr><td>1</td><td>&#x27;x&#x27;</td></tr>
    <tr><td>2</td><td>&#x27;x&#x27;</td></tr></table></div>
    """
    names, n_psets = list(space.keys()), len(space)
    shown = [space[item] for item in range(min(n_psets, _MOST_PSETS))]
    rows = [[safe_repr(pset[name], _WIDTH) for name in names] for pset in shown]
    if n_psets > len(shown):
        rows.append(["…"] * len(names))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<div><p>{html.escape(_about(space))}</p><table><tr>{head}</tr>{body}</table></div>"


def _about(space: ParameterSpace) -> str:
    number = f"{len(space)} pset{'s' * (len(space) != 1)}"
    if not isinstance(space, Product):
        return number
    factors = [f"{', '.join(factor.keys())} ({len(factor)})" for factor in space.factors]
    more = ["…"] if len(factors) > _MOST_FACTORS else []
    return f"{number}: {' × '.join([*factors[:_MOST_FACTORS], *more])}"
