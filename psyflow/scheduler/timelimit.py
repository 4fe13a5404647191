"""How long a job may take, as users write it: read in one way for every scheduler."""

from __future__ import annotations

import math
import re
from datetime import timedelta

__all__ = ["clock", "duration_text", "minutes_clock", "read_time_limit"]

_NONE = {"unlimited", "infinite", "infinity", "inf", "none"}
_LONGEST = 100 * 366 * 86400.0
_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<numbers>\d+(?::\d+){0,2})")
_PART = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]+)[\s,]*", re.IGNORECASE)
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_SHORT = {
    "s": "second",
    "sec": "second",
    "m": "minute",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "d": "day",
    "w": "week",
}


def read_time_limit(value: object) -> float:
    """Return a time limit in seconds; infinity if there is to be none.

    Parameters
    ----------
    value : timedelta, int, float or str
        A number, or its text, is minutes. Text may also be ``15m``, ``1h 30min``, ``2 days``,
        ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours[:minutes[:seconds]]``; and
        ``UNLIMITED``, like 0, is no limit, as for Slurm.

    Raises
    ------
    ValueError
        If it is nothing of that; it says what it may be.

    Examples
    --------
    >>> [read_time_limit(value) for value in (15, "15m", "15:00", "0:15:00", "0-0:15")]
    [900.0, 900.0, 900.0, 900.0, 900.0]
    >>> read_time_limit(timedelta(hours=1.5)), read_time_limit("1-12"), read_time_limit("1h 30min")
    (5400.0, 129600.0, 5400.0)
    >>> read_time_limit("UNLIMITED"), read_time_limit("0")
    (inf, inf)
    """
    seconds = _seconds(value)
    if seconds is not None and _LONGEST < seconds < math.inf:
        raise ValueError('under a hundred years, or "UNLIMITED" if there is to be none')
    if seconds is None or math.isnan(seconds) or seconds < 0:
        raise ValueError(
            'minutes, or a time such as "15m", "1h 30m", "2:00:00" (hours:minutes:seconds), '
            '"1-12:00:00" (after days) or "UNLIMITED"'
        )
    return seconds or math.inf


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return 60.0 * value
    text = str(value).strip()
    if text.lower() in _NONE:
        return math.inf
    if re.fullmatch(r"\d+\.\d+", text):
        return 60.0 * float(text)
    return _of_clock(text) if _CLOCK.fullmatch(text) else _of_units(text)


def _of_clock(text: str) -> float:
    match = _CLOCK.fullmatch(text)
    assert match is not None
    numbers = [int(number) for number in match["numbers"].split(":")]
    if match["days"] is None and len(numbers) < 3:
        numbers.insert(0, 0)  # without days, one or two numbers begin with the minutes
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return int(match["days"] or 0) * 86400.0 + hours * 3600 + minutes * 60 + seconds


def _of_units(text: str) -> float | None:
    seconds, at = 0.0, 0
    while match := _PART.match(text, at):
        name = match["unit"].lower()
        unit = _SHORT.get(name) or (name.removesuffix("s") if len(name) > 2 else "")
        unit = _SHORT.get(unit, unit)
        if unit not in _UNITS:
            return None
        seconds, at = seconds + float(match["number"]) * _UNITS[unit], match.end()
    return seconds if at and at == len(text) else None


def clock(seconds: float) -> str:
    """Return whole seconds, rounded up, as ``hours:minutes:seconds``.

    Examples
    --------
    >>> clock(900.0), clock(129600.5)
    ('0:15:00', '36:00:01')
    """
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def minutes_clock(seconds: float) -> str:
    """Return whole minutes, rounded up, as ``hours:minutes``.

    Examples
    --------
    >>> minutes_clock(900.0), minutes_clock(61.0)
    ('0:15', '0:02')
    """
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def duration_text(seconds: float) -> str:
    """Return a time in plain words.

    Examples
    --------
    >>> duration_text(900), duration_text(131400), duration_text(math.inf)
    ('15 minutes', '1 day 12 hours 30 minutes', 'no limit')
    """
    if math.isinf(seconds):
        return "no limit"
    rest, words = math.ceil(seconds), []
    for unit in ("day", "hour", "minute", "second"):
        number, rest = divmod(rest, _UNITS[unit])
        if number:
            words.append(f"{number} {unit}{'s' * (number > 1)}")
    return " ".join(words)
