"""Nested sweeps, and a list of combinations that processes share: the words of execo_engine.

Change the import, ``from execo_engine import sweep, ParamSweeper``, to this module.
"""

from psyflow.sweeper.combinations import HashableDict, geom, igeom, sweep
from psyflow.sweeper.statistics import sweep_stats
from psyflow.sweeper.sweeper import ParamSweeper

__all__ = ["HashableDict", "ParamSweeper", "geom", "igeom", "sweep", "sweep_stats"]
