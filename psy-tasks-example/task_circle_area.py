"""How large is a quarter circle? Throw random points at the unit square and count the hits.

The seed of the random numbers is a parameter, so the same pset gives the same result every time,
and a trial throws the same points at every radius.
"""

import numpy as np

from psyflow import Param
from psyflow.store.npz import NpzStore

pspace = Param(radius=np.linspace(0.0, 1.0, 41)) * Param(trial=np.arange(50))
store = NpzStore()


def execute(radius, trial):
    points = np.random.default_rng(trial).random((100, 2))
    hits = np.linalg.norm(points, axis=1) < radius
    return {"area": np.mean(hits), "points": points}
