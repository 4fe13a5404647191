"""Evaluating a parameter space without a task file."""

from psyflow.mapper.maps import get_result, map_pspace, map_pspace_hdd_backed, map_pspace_parallel

__all__ = ["get_result", "map_pspace", "map_pspace_hdd_backed", "map_pspace_parallel"]
