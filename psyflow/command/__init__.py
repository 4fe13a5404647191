"""Programs as tasks: their command lines, their folders, and what they print.

`Command` is what users see. It runs in workers, so it knows neither task files nor schedulers.
"""

from psyflow.command.command import Command
from psyflow.command.parse import Parse

__all__ = ["Command", "Parse"]
