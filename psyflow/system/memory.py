"""How much memory this process takes at most."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

__all__ = ["peak_kib"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = b"5"
_UNITS_PER_KIB = 1024 if sys.platform == "darwin" else 1


def peak_kib() -> int:
    """Return the peak of this process's resident memory since the last call, in KiB.

    Where the system cannot begin anew with it, it is the peak since the process began.

    Returns
    -------
    int
        From the second call on, of the time between two calls: what was freed before the first
        does not count, what was there all the time does.

    Examples
    --------
    >>> peak_kib() > 1000
    True

    References
    ----------
    ``VmHWM`` and ``clear_refs`` in proc(5) of the Linux manual.
    """
    try:
        peak = _high_water_mark()
        _CLEAR.write_bytes(_RESET_PEAK)
    except (OSError, LookupError, ValueError):
        # No Linux, or a container that hides it.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _UNITS_PER_KIB
    return peak


def _high_water_mark() -> int:
    _, found, rest = _STATUS.read_bytes().partition(b"VmHWM:")
    if not found:
        raise LookupError
    return int(rest.split(None, 1)[0])
