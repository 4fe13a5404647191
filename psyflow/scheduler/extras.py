"""Arguments that mean the same for every cluster: further words, and what to wait for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from numbers import Number
from typing import NamedTuple

from psyflow.exceptions import UsageError, did_you_mean

__all__ = [
    "AFTER_END",
    "DEPENDENCY",
    "EXTRAS",
    "EXTRA_ARGS",
    "After",
    "check_extra_args",
    "check_switch",
    "check_values",
    "extra_args",
    "joined",
    "named_amounts",
    "read_dependency",
]

EXTRA_ARGS, DEPENDENCY = "extra_args", "dependency"
EXTRAS = frozenset({EXTRA_ARGS, DEPENDENCY})
AFTER_END = "afterany"
"""However the other job ended, as psyflow's own jobs wait for each other."""


class After(NamedTuple):
    """What a run waits for: jobs, and how they have to end."""

    how: str
    jobids: tuple[str, ...]


def read_dependency(
    value: object, kinds: Collection[str] = (AFTER_END,), pattern: str = r"\d+"
) -> list[After]:
    """Read the argument ``dependency``.

    Parameters
    ----------
    value : object
        The id of a job, ``"afterok:12:13"``, several of these with commas between them, or a list.
        A bare id waits for the end of the job, however it ends.
    kinds : collection of str
        What the cluster can wait for.
    pattern : str
        Regular expression of its ids.

    Raises
    ------
    ValueError
        If it is not understood; says what it may be.

    Examples
    --------
    >>> read_dependency("afterok:12:13,14", ["afterany", "afterok"])
    [After(how='afterok', jobids=('12', '13')), After(how='afterany', jobids=('14',))]
    """
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(
        isinstance(one, int | str) and not isinstance(one, bool) for one in values
    ):
        raise ValueError('the id of a job, such as "1234", or a list of such')
    terms = [term.strip() for one in values for term in str(one).split(",")]
    return [_after(term, kinds, pattern) for term in terms]


def _after(term: str, kinds: Collection[str], pattern: str) -> After:
    how, colon, rest = term.partition(":")
    if not colon or re.fullmatch(pattern, term):
        how, rest = AFTER_END, term
    if how not in kinds:
        known = ", ".join(kinds)
        raise ValueError(
            f"one of {known} with the id of a job.{did_you_mean(how, kinds)}".rstrip()
        )
    jobids = tuple(rest.split(":"))
    if not all(re.fullmatch(pattern, jobid) for jobid in jobids):
        raise ValueError(f'such as "{kinds[0] if isinstance(kinds, tuple) else how}:1234"')
    return After(how, jobids)


def check_extra_args(kind: str, value: object, own: Iterable[str]) -> None:
    """Raise `UsageError` if ``extra_args`` are no words, or are psyflow's to give.

    Parameters
    ----------
    kind : str
        Name of the scheduler.
    value : object
    own : iterable of str
        Options that psyflow gives itself.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(w, str) and w for w in value):
        raise UsageError(
            f'{kind} argument "extra_args" is a list of words, such as ["--image=debian"], '
            f"not {value!r}."
        )
    own = set(own)
    for word in value:
        option = word.partition("=")[0]
        glued = re.match(r"-[a-zA-Z](?=.)", word) if not word.startswith("--") else None
        is_own = option in own or (glued is not None and f"{glued[0]}*" in own)
        if is_own or "\0" in word or "\n" in word:
            raise UsageError(
                f'{kind} argument "extra_args" has {word!r}, which is psyflow\'s own to give. '
                f"Take it out."
            )


def extra_args(options: Mapping[str, object]) -> list[str]:
    """Return the words of ``extra_args``; none if it is not given."""
    words = options.get(EXTRA_ARGS, ())
    assert isinstance(words, list | tuple)
    return list(words)


def check_switch(kind: str, option: str, value: object) -> None:
    """Raise `UsageError` if `value` neither sets a switch nor leaves it."""
    if not isinstance(value, bool):
        raise UsageError(f'{kind} argument "{option}" is True or False, not {value!r}.')


def check_values(
    kind: str, option: str, value: object, counts: Collection[str], lists: Collection[str]
) -> None:
    """Raise `UsageError` for a value that no word of a command can be made of.

    Parameters
    ----------
    kind : str
        Name of the scheduler.
    option : str
    value : object
    counts : collection of str
        Options that are whole numbers above 0.
    lists : collection of str
        Options of which there may be several.
    """
    about = f'{kind} argument "{option}"'
    if option in counts:
        if isinstance(value, bool) or not re.fullmatch(r"\s*0*[1-9]\d*\s*", str(value)):
            raise UsageError(f"{about} is a whole number above 0, not {value!r}.")
        return
    several = isinstance(value, list | tuple)
    if several and option not in lists:
        raise UsageError(f"{about} is a single value, not {value!r}.")
    for one in value if isinstance(value, list | tuple) else [value]:
        is_word = isinstance(one, str | Number) and not isinstance(one, bool)
        if not is_word or not str(one).strip() or not str(one).isprintable():
            listed = ", or a list of such" if option in lists else ""
            raise UsageError(f"{about} is a text or a number{listed}, not {value!r}.")
    if several and not value:
        raise UsageError(f"{about} is an empty list. Leave it out.")


def joined(value: object) -> str:
    """Return a value, or several with commas between them."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def named_amounts(kind: str, value: object) -> list[tuple[str, str]]:
    """Return the names and amounts of ``resources``: a dict, or a list of ``"name=amount"``.

    An amount that is a list stands for as many resources of the name.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> named_amounts("PBS", {"scratch": "10G", "host": ["a", "b"]})
    [('scratch', '10G'), ('host', 'a'), ('host', 'b')]
    >>> named_amounts("PBS", ["scratch=10G"])
    [('scratch', '10G')]
    """
    about = f'{kind} argument "resources" is a dict, such as {{"scratch": "10G"}}, or a list'
    if isinstance(value, Mapping):
        pairs = [
            (str(name), one)
            for name, amount in value.items()
            for one in (amount if isinstance(amount, list | tuple) else [amount])
        ]
    elif isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        pairs = [(one.partition("=")[0], one.partition("=")[2]) for one in value]
    else:
        raise UsageError(f"{about}, not {value!r}.")
    for name, amount in pairs:
        if not name.strip() or not isinstance(amount, str | Number) or not str(amount).strip():
            raise UsageError(f'{about} of such as "scratch=10G", not {value!r}.')
    return [(name, str(amount)) for name, amount in pairs]
