"""Names of jobs, for clusters that do not take just any."""

from __future__ import annotations

import re

__all__ = ["from_name", "to_name"]

LONGEST = 200
# Clusters take no colon, and psyflow no equals sign in the name of a task.
_FORBIDDEN = re.compile(r"""[\s/@\\*?"'`$&|;<>()\[\]{}!#,%^]""")


def to_name(name: str) -> str:
    """Return a job's name as every cluster takes it.

    Examples
    --------
    >>> to_name("circle:process"), to_name("2:merge")
    ('circle=process', '_2=merge')
    """
    text = _FORBIDDEN.sub("_", name.replace(":", "="))[:LONGEST]
    return text if text[:1].isalpha() else f"_{text}"


def from_name(text: str) -> str:
    """Return the name that `to_name` made `text` of, as far as that can be told.

    Examples
    --------
    >>> from_name("circle=process")
    'circle:process'
    """
    return text.replace("=", ":")
