"""The figures that benchmarks give, and tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    what : str
    value : str
        What psyflow took.
    peer, peer_value : str
        What it is compared with, and what that took.
    score : float
        The number that has a target: a ratio, seconds, megabytes …
    unit : str
        Of the score: ``"×"``, ``"s"``, ``"MB"``, …
    limit : float
    at_least : bool
        The score has to be at least the limit, instead of at most.
    note : str
    """

    what: str
    value: str
    score: float
    unit: str
    limit: float
    peer: str = ""
    peer_value: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the target is met."""
        return self.score >= self.limit if self.at_least else self.score <= self.limit

    @property
    def target(self) -> str:
        """The target, in words."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it, for programs."""
        return {**asdict(self), "target": self.target, "is_met": self.is_met}


def seconds(wall: float, cpu: float | None = None) -> str:
    """Return a time as text.

    Examples
    --------
    >>> seconds(1.234, 2.3), seconds(0.0123), seconds(0.0000042)
    ('1.23 s (2.30 s CPU)', '12.3 ms', '4.2 µs')
    """
    if wall < 1e-3:
        text = f"{wall * 1e6:.1f} µs"
    else:
        text = f"{wall * 1e3:.1f} ms" if wall < 0.1 else f"{wall:.2f} s"
    return text if cpu is None else f"{text} ({cpu:.2f} s CPU)"


HEAD = ("figure", "psyflow", "peer", "peer took", "score", "before", "target", "met", "note")


def table(figures: Iterable[Figure], before: Callable[[Figure], str] | None = None) -> str:
    """Return a Markdown table; with `before`, each figure beside what that says of it."""
    told = before or (lambda figure: "")
    rows = [HEAD, tuple("-" * len(name) for name in HEAD)]
    rows += [_cells(figure, told(figure)) for figure in figures]
    if before is None:
        place = HEAD.index("before")
        rows = [(*row[:place], *row[place + 1 :]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _cells(figure: Figure, before: str) -> tuple[str, ...]:
    return (
        figure.what,
        figure.value,
        figure.peer,
        figure.peer_value,
        f"{figure.score:.3g} {figure.unit}",
        before,
        figure.target,
        "yes" if figure.is_met else "**no**",
        figure.note,
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"| {' | '.join(cells)} |"
