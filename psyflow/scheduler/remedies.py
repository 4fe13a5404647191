"""What somebody has to do so that a job goes on that waits for a person."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Remedy"]


class Remedy(NamedTuple):
    """What keeps a job from going on, and what to do about it.

    Attributes
    ----------
    why : str
        In words, to follow the id of the job.
    command : str
        What to type; empty if that is `psy kill`, and then to change something.
    """

    why: str
    command: str = ""
