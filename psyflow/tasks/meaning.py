"""What task files may say of their columns: what axes, units, labels and `derive` may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from psyflow.tasks.settings import Kind
from psyflow.tasks.signature import Takes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["COORDS", "DIMS", "FUNCTIONS", "TEXTS"]


def _named(value: Any, convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Return what a dict whose keys are text says, each value converted."""
    if value is None:  # as for all that is named
        return {}
    if not isinstance(value, Mapping):
        raise TypeError
    found = {}
    for name, element in value.items():
        if not isinstance(name, str):
            raise TypeError(f"{name!r} is no text")
        try:
            found[name] = convert(element)
        except Exception as error:
            raise ValueError(f'of "{name}", {error}') from error
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return str(value)


def _axes(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        raise TypeError(f"{value!r} is no list of names")
    axes = [_text(name) for name in value]
    if len(set(axes)) < len(axes):
        raise ValueError(f"{axes!r} has a name twice")
    return axes


def _places(value: Any) -> str | npt.NDArray[np.generic]:
    """Return the places along an axis as an array of plain values; a name as it is."""
    if isinstance(value, str):
        return value
    import numpy as np  # only task files that have some need it here

    places = np.asarray(value)
    if places.ndim != 1:
        raise ValueError(f"the values have {places.ndim} dimensions instead of 1")
    if places.dtype.kind not in "biufUMm":
        raise TypeError(f"the values are no numbers, texts or dates, but {places.dtype}")
    return places


def _function(value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise TypeError(f"{value!r} is no function")
    Takes.of(value)
    return value  # type: ignore[no-any-return]


DIMS = Kind(
    'a dict from outputs to the names of their axes, such as {"trace": ["time"]}',
    lambda value: _named(value, _axes),
)
COORDS = Kind(
    "a dict from axes to values, one for each place, or to the name of a column",
    lambda value: _named(value, _places),
)
TEXTS = Kind("a dict from columns or axes to text", lambda value: _named(value, _text))
FUNCTIONS = Kind(
    "a dict from names to functions of columns, such as "
    '{"snr": lambda signal, noise: signal / noise}',
    lambda value: _named(value, _function),
)
