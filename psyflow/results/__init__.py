"""Tables of what was computed."""

from psyflow.results.loading import load

__all__ = ["load"]
