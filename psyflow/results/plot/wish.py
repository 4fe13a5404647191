"""What somebody asks of a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from psyflow.exceptions import UnknownNameError, UsageError

__all__ = ["KINDS", "LOGS", "ROLES", "SPREADS", "Wish"]

ROLES = ("x", "y", "hue", "style", "row", "col")
KINDS = ("line", "scatter", "heatmap", "box", "hist", "parallel")
_OPTIONS = ("kind", "spread", "log", "where", "width", "data")
LOGS = ("auto", "none", "x", "y", "xy")
SPREADS: Mapping[str, str] = {
    "ci95": "95 % confidence intervals (Student's t)",
    "sem": "standard errors of the mean",
    "std": "standard deviations",
    "iqr": "quartiles",
    "range": "smallest to largest",
    "none": "",
}
"""What the bars and bands of means are: their names, and in words."""


@dataclass(frozen=True)
class Wish:
    """What somebody asks of a plot; what is not said is chosen.

    Parameters
    ----------
    roles : mapping from str to str
        Of `ROLES`, the name of the column that has it.
    kind : str, optional
        One of `KINDS`.
    spread : str
        One of `SPREADS`.
    log : str
        Which axes are logarithmic, one of `LOGS`; ``"auto"``: those with geometric levels.

    Raises
    ------
    UnknownNameError
        If there is no such role, kind, spread or choice of axes.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = None
    spread: str = "ci95"
    log: str = "auto"

    def __post_init__(self) -> None:
        for role in self.roles:
            _require("role of a column", role, ROLES)
        _require("spread", self.spread, SPREADS)
        _require("choice of logarithmic axes", self.log, LOGS)
        if self.kind is not None:
            _require("kind of plot", self.kind, KINDS)

    @classmethod
    def parse(
        cls,
        words: Iterable[str],
        kind: str | None = None,
        spread: str = "ci95",
        log: str = "auto",
    ) -> Wish:
        """Return the wish whose roles are written as ``x=a``.

        Raises
        ------
        UsageError
            If a word is nothing of the kind, or gives a role twice.

        Examples
        --------
        >>> Wish.parse(["x=a", "hue=b=c"]).roles
        {'x': 'a', 'hue': 'b=c'}
        """
        roles: dict[str, str] = {}
        for word in words:
            role, sign, name = word.partition("=")
            if not sign or not name:
                raise UsageError(
                    f"{word!r} gives no column a role. Write it like x=a; "
                    f"the roles are {', '.join(ROLES)}."
                )
            if role in _OPTIONS:
                raise UsageError(f"{role} is no role, but an option: --{role} {name}")
            if role in roles:
                raise UsageError(f"{role}= is given twice: {roles[role]!r} and {name!r}.")
            roles[role] = name
        return cls(roles, kind, spread, log)


def _require(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UnknownNameError(what, name, known)
