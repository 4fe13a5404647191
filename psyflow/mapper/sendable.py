"""Whether psets can be sent to where they are evaluated, and what to write if not."""

from __future__ import annotations

from psyflow.columns import Columns
from psyflow.exceptions import UsageError
from psyflow.pspace.unpicklable import culprit, why_not, write_instead
from psyflow.reprs import safe_repr
from psyflow.texts import exception_text

__all__ = ["check_sendable", "unsendable"]

_PLAIN = {bool, int, float, complex, str, bytes, type(None)}


def check_sendable(columns: Columns) -> None:
    """Raise UsageError if some psets have a value that cannot be sent.

    Parameters
    ----------
    columns : mapping from str to column
    """
    if all(type(c) is not list or _PLAIN.issuperset(map(type, c)) for c in columns.values()):
        return
    import cloudpickle

    try:
        cloudpickle.dumps(columns)
    except Exception as error:
        raise unsendable(columns, error) from error


def unsendable(columns: Columns, error: Exception) -> UsageError:
    """Return what is said of psets of which sending raised `error`: which parameter, and why."""
    for name, column in columns.items():
        if (part := culprit(column)) is not column:
            return UsageError(
                f"`{name}` has a value that cannot be sent to a worker, "
                f"{safe_repr(part, 60)}: {why_not(part, error)}. {write_instead(part, error)}"
            )
    return UsageError(f"A pset cannot be sent to a worker: {exception_text(error)}")
