"""The words of paramsurvey for `psyflow.map`: change the import, and keep the program.

::

    from psyflow import survey as paramsurvey

Everything is evaluated, counted and kept from harm as by `psyflow.map`; here are words only.
"""

from psyflow.survey import params, stats, utils
from psyflow.survey.results import MapResults
from psyflow.survey.session import (
    backend,
    current_core_count,
    current_resources,
    finalize,
    init,
)
from psyflow.survey.surveying import map

__all__ = [
    "MapResults",
    "backend",
    "current_core_count",
    "current_resources",
    "finalize",
    "init",
    "map",
    "params",
    "stats",
    "utils",
]
