"""The figures of earlier runs, beside which those of this one are told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.figures import Figure

NOTEWORTHY = 1.33
"""By what factor a score has to differ to be told: what a machine varies by, from hour to hour."""

Key: TypeAlias = tuple[str, str, str]
"""What was measured, the peer and the unit."""


@dataclass(frozen=True)
class Previous:
    """The last measurement of each figure.

    Attributes
    ----------
    figures : dict
        As they are in the file, by what they are of.
    """

    figures: Mapping[Key, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Previous:
        """Return what `with_those_of` has written to a file; nothing if it is not there."""
        found = json.loads(path.read_text()) if path.exists() else []
        return cls({(f["what"], f["peer"], f["unit"]): f for f in found})

    def with_those_of(self, date: str, figures: Iterable[Figure]) -> str:
        """Return text for the file: the figures of a run, and of others what that has not."""
        new = {_key(figure): {"date": date, **figure.to_json()} for figure in figures}
        return json.dumps([*{**self.figures, **new}.values()], indent=1, ensure_ascii=False) + "\n"

    def told(self, figure: Figure) -> str:
        """Return what a figure was, for a table."""
        before = self.figures.get(_key(figure))
        return "" if before is None else f"{before['score']:.3g}"

    def changes(self, figures: Iterable[Figure]) -> list[str]:
        """Say which figures are others than they were, the worst first.

        Examples
        --------
        >>> run, look = Figure("a run", "", 1.0, "s", 3.0), Figure("a look", "", 1.0, "s", 2.0)
        >>> previous = Previous(
        ...     {_key(f): {"date": "2026-11-27", **f.to_json()} for f in (run, look)}
        ... )
        >>> previous.changes([Figure("a run", "", 2.0, "s", 3.0), look])
        ['a run: 2 s, on 2026-11-27 it was 1 s (2.0 × worse)']
        """
        told = []
        for figure in figures:
            before = self.figures.get(_key(figure))
            if before is None or min(before["score"], figure.score) <= 0:
                continue
            ratio = figure.score / before["score"]
            ratio = 1 / ratio if figure.at_least else ratio
            if not 1 / NOTEWORTHY <= ratio <= NOTEWORTHY:
                how = f"{ratio:.1f} × worse" if ratio > 1 else f"{1 / ratio:.1f} × better"
                peer = f", against {figure.peer}" if figure.peer else ""
                was = f"on {before['date']} it was {before['score']:.3g} {figure.unit}"
                told.append(
                    (
                        ratio,
                        f"{figure.what}{peer}: {figure.score:.3g} {figure.unit}, {was} ({how})",
                    )
                )
        return [text for _, text in sorted(told, reverse=True)]


def _key(figure: Figure) -> Key:
    return figure.what, figure.peer, figure.unit
