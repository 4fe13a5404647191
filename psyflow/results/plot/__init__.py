"""Pictures of results: what they show is chosen, worked out, said in words, and drawn."""

from psyflow.results.plot.caption import caption
from psyflow.results.plot.choose import choose
from psyflow.results.plot.draw import draw
from psyflow.results.plot.wish import Wish
from psyflow.results.plot.work_out import work_out

__all__ = ["Wish", "caption", "choose", "draw", "work_out"]
