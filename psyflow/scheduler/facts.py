"""What a scheduler tells of its site: for `psy doctor`, not for submissions."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Partition", "SiteFacts", "are_here"]


@dataclass(frozen=True)
class Partition:
    """A partition, or a queue.

    Attributes
    ----------
    name : str
    is_default : bool
        Whether jobs go there that name none.
    time_limit : str
        As the scheduler writes it; empty if it is not told.
    n_nodes, n_cpus, memory : str
        Nodes in it, processors and memory of each, as the scheduler writes them.
    """

    name: str
    is_default: bool = False
    time_limit: str = ""
    n_nodes: str = ""
    n_cpus: str = ""
    memory: str = ""


@dataclass(frozen=True)
class SiteFacts:
    """What is known of a cluster.

    Attributes
    ----------
    version : str
    partitions : tuple of Partition
    max_array_size : int or None
    has_accounting : bool or None
        Whether it remembers jobs that are over; None if that is not told.
    problems : tuple of str
        What keeps jobs from being submitted, and what to do about it.
    """

    version: str = ""
    partitions: tuple[Partition, ...] = ()
    max_array_size: int | None = None
    has_accounting: bool | None = None
    problems: tuple[str, ...] = field(default=())

    @property
    def default_partition(self) -> Partition | None:
        """The partition of jobs that name none."""
        return next((p for p in self.partitions if p.is_default), None)


def are_here(programs: Sequence[str]) -> bool:
    """Tell whether all of `programs` are on PATH."""
    return all(shutil.which(program) for program in programs)
