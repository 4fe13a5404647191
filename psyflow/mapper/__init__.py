"""Evaluating a parameter space without a task file."""

from psyflow.mapper.iterating import imap
from psyflow.mapper.mapping import map
from psyflow.mapper.maps import get_result, map_pspace, map_pspace_hdd_backed, map_pspace_parallel
from psyflow.mapper.outcome import Outcome

__all__ = [
    "Outcome",
    "get_result",
    "imap",
    "map",
    "map_pspace",
    "map_pspace_hdd_backed",
    "map_pspace_parallel",
]
