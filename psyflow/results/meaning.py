"""What a task file says its columns mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Meaning"]


@dataclass(frozen=True)
class Meaning:
    """What a task file says its columns mean.

    Parameters
    ----------
    dims : mapping from str to sequence of str
        The names of the axes of an output that is an array: ``{"trace": ["time"]}``.
    coords : mapping from str to array-like or str
        The places along such an axis: values, or the name of a column that has them.
    units : mapping from str to str
        Of columns and of axes.
    labels : mapping from str to str
        What a column or an axis is called in a plot.
    """

    dims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    coords: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """Return what a column or an axis is called in a plot, with its unit.

        Examples
        --------
        >>> Meaning(units={"tau": "ms"}, labels={"tau": "time constant"}).label("tau")
        'time constant (ms)'
        >>> Meaning().label("tau")
        'tau'
        """
        unit = self.units.get(name)
        return self.labels.get(name, name) + (f" ({unit})" if unit else "")
