"""Map after map, each around the best pset of the one before."""

from __future__ import annotations

from typing import Any

import numpy as np

from psyflow import survey

__all__ = ["main"]


def height(pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
    """Return how high the ground is, with its top at (3, -1)."""
    return {"height": -((pset["x"] - 3) ** 2) - (pset["y"] + 1) ** 2}


def main() -> None:
    """Print the way to the top."""
    survey.init(verbose=0)
    x, y, step = 0.0, 0.0, 4.0
    while step > 0.01:
        near = {"x": list(x + step * np.arange(-1, 2)), "y": list(y + step * np.arange(-1, 2))}
        results = survey.map(height, survey.params.product(near))
        assert results is not None
        best = results.results.loc[results.results["height"].idxmax()]
        if (best["x"], best["y"]) == (x, y):
            step /= 2
        x, y = float(best["x"]), float(best["y"])
    print(f"{x:.2f} {y:.2f}")
    survey.finalize()
