"""Grid Engine."""

from psyflow.scheduler.gridengine.gridengine import GridEngine

__all__ = ["GridEngine"]
