"""Tables of what was computed."""

from psyflow.results.folders import folder
from psyflow.results.loading import load
from psyflow.results.table import Results

__all__ = ["Results", "folder", "load"]
