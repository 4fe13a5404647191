"""Results of one map, combined with further parameters, are the psets of the next."""

from __future__ import annotations

from typing import Any

from psyflow import survey

__all__ = ["main"]


def area(pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
    """Return the area of a rectangle."""
    return {"area": pset["width"] * pset["height"]}


def volume(pset: dict[str, Any], system_kwargs: Any, user_kwargs: Any) -> dict[str, Any]:
    """Return the volume above an area."""
    return {"volume": pset["area"] * pset["depth"]}


def main() -> None:
    """Print the volumes of boxes."""
    survey.init()
    areas = survey.map(area, survey.params.product({"width": [1, 2]}, {"height": [3, 4]}))
    assert areas is not None
    boxes = survey.params.product(areas.results, {"depth": [5, 6]})
    volumes = survey.map(volume, boxes)
    assert volumes is not None
    for row in volumes.itertuples():
        print(row.width, row.height, row.depth, row.volume)
    survey.finalize()
