"""Backends: how the items of a run meet its jobs."""

from psyflow.backend.base import Backend
from psyflow.backend.distribute import DistributeBackend
from psyflow.backend.load_balancing import LoadBalancingBackend

__all__ = ["Backend", "DefaultBackend", "DistributeBackend", "LoadBalancingBackend"]

DefaultBackend = DistributeBackend
