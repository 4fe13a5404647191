"""How a variable of a task file is declared: its default, what it may be, what it is for."""

from __future__ import annotations

import math
import operator
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import TaskFileError, did_you_mean
from psyflow.system.allotted import AsManyAsCpus, usable_cpus

if TYPE_CHECKING:
    from psyflow.backend import Backend
    from psyflow.pspace import ParameterSpace
    from psyflow.scheduler import Scheduler
    from psyflow.store import Store

__all__ = ["Default", "Kind", "Setting", "setting"]

_SHOWN_LENGTH = 60
_NAME = re.compile(r"\w[\w.+,@~-]*")
_NAME_PART = re.compile(r"[\w.+,@~:-]*")


@dataclass(frozen=True)
class Kind:
    """What the values of a setting may be.

    Attributes
    ----------
    allowed : str
        In words, to follow "must be".
    convert : callable
        Turns a value into what psyflow works with, or raises ValueError or TypeError.
    """

    allowed: str
    convert: Callable[[Any], Any]


@dataclass(frozen=True)
class Default:
    """A default that is made anew for each task.

    Attributes
    ----------
    text : str
        What help and documentation show.
    make : callable
        Makes it, when it is asked for.
    """

    text: str
    make: Callable[[], Any]


class Setting:
    """A variable of a task file: a descriptor that checks what it is set to.

    Parameters
    ----------
    default : object
        The value if the task file does not set it; a `Default` if it has to be made.
    kind : Kind
        What it may be; what is set to something else raises TaskFileError.
    doc : str
        What it is for, in a sentence or two.

    Examples
    --------
    >>> from psyflow.tasks import Config
    >>> found = Config.settings()["timeout"]
    >>> found.default_text, found.kind.allowed, found.doc
    ('None', 'a number of seconds above 0, or None', 'Seconds that one evaluation may take.')
    """

    def __init__(self, default: object, kind: Kind, doc: str) -> None:
        self.name = ""
        self.default = default
        self.kind = kind
        self.doc = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, config: Any, owner: type | None = None) -> Any:
        if config is None:
            return self
        values = vars(config)
        if self.name not in values:
            made = self.default.make() if isinstance(self.default, Default) else self.default
            values[self.name] = made
        return values[self.name]

    def __set__(self, config: Any, value: Any) -> None:
        vars(config)[self.name] = self._checked(value, config.source)
        config.given.add(self.name)

    def _checked(self, value: Any, source: str) -> Any:
        try:
            return self.kind.convert(value)
        except Exception as error:
            why = f" ({error})" if str(error) else ""
            raise TaskFileError(
                f"{source}: `{self.name}` must be {self.kind.allowed}, not {_shown(value)}{why}."
            ) from error

    @property
    def default_text(self) -> str:
        """The default as help and documentation show it."""
        return self.default.text if isinstance(self.default, Default) else repr(self.default)


def setting(default: object, kind: Kind, doc: str) -> Any:
    """Declare a variable of a task file; see `Setting`.

    The result is typed Any, so that the class attribute can be annotated with the variable's type.
    """
    return Setting(default, kind, doc)


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _refuse(accepted: bool, why: str = "") -> None:
    if not accepted:
        raise TypeError(why)


def _integer_from(lowest: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        _refuse(not isinstance(value, bool))
        number = operator.index(value)
        _refuse(number >= lowest)
        return number

    return convert


def _pool_size(value: Any) -> int:
    if isinstance(value, str) and value == "auto":
        return AsManyAsCpus(usable_cpus())
    return _integer_from(1)(value)


def _boolean(value: Any) -> bool:
    plain = value.item() if hasattr(value, "item") else value  # numpy.bool
    _refuse(isinstance(plain, bool))
    return bool(plain)


def _function(value: Any) -> Callable[..., Any]:
    _refuse(callable(value))
    return value  # type: ignore[no-any-return]


def _function_or_none(value: Any) -> Callable[..., Any] | None:
    return None if value is None else _function(value)


def _text(value: Any) -> str:
    _refuse(isinstance(value, str) and value != "")
    return str(value)


def _path(value: Any) -> Path:
    path = os.fspath(value)
    _refuse(isinstance(path, str) and path != "")
    return Path(path).expanduser()


def _program(value: Any) -> str | list[str]:
    if not isinstance(value, list | tuple):
        text = os.fspath(value)
        _refuse(isinstance(text, str) and bool(shlex.split(text)))
        return str(text)
    words = [os.fspath(word) for word in value]
    _refuse(bool(words) and all(isinstance(word, str) and word for word in words))
    return words


def _shell_lines(value: Any) -> list[str]:
    if isinstance(value, str):
        # A text of several lines is a script: each of them is told of by itself.
        return [line.strip() for line in value.splitlines() if line.strip()]
    lines = _list_of(_text)(value)
    _refuse(not any("\0" in line for line in lines), "a line cannot have a NUL")
    return [line for line in lines if line.strip()]


def _job_prefix(value: Any) -> str:
    _refuse(isinstance(value, str) and _NAME_PART.fullmatch(value) is not None)
    return str(value)


def _path_or_none(value: Any) -> Path | None:
    return None if value is None else _path(value)


def _list_of(convert: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def convert_all(value: Any) -> list[Any]:
        if value is None:  # for psyrun's users, as below
            return []
        if isinstance(value, str | os.PathLike):
            return [convert(value)]
        _refuse(isinstance(value, Iterable) and not isinstance(value, Mapping | bytes))
        return [convert(element) for element in value]

    return convert_all


def _named_values(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    _refuse(isinstance(value, Mapping) and all(isinstance(name, str) for name in value))
    return dict(value)


def _space(value: Any) -> ParameterSpace:
    from psyflow.pspace import Param, ParameterSpace

    if isinstance(value, ParameterSpace):
        return value
    _refuse(not isinstance(value, type | str | bytes))
    return Param.from_psets(value)


def _store(value: Any) -> Store:
    from psyflow.store import as_store, store_for

    if isinstance(value, str):
        return store_for(f"result{value}" if value.startswith(".") else value)
    return as_store(value() if isinstance(value, type) else value)


def _backend(value: Any) -> type[Backend]:
    from psyflow.backend import Backend

    _refuse(not isinstance(value, Backend), "it is an instance; give the class itself")
    _refuse(isinstance(value, type) and issubclass(value, Backend))
    return value  # type: ignore[no-any-return]


def _scheduler(value: Any) -> Scheduler:
    from psyflow.scheduler import Scheduler, scheduler_by_name

    made = scheduler_by_name(value) if isinstance(value, str) else value
    made = made() if isinstance(made, type) else made
    _refuse(isinstance(made, Scheduler))
    return made  # type: ignore[no-any-return]


def _seconds_or_none(value: Any) -> float | None:
    if value is None:
        return None
    _refuse(not isinstance(value, bool | str))
    seconds = float(value)
    _refuse(0 < seconds < math.inf)
    return seconds


def _failure_limit(value: Any) -> int | float | None:
    """Return a count, a share of the items between 0 and 1, or None."""
    if value is None:
        return None
    if isinstance(value, str):
        _refuse(value.endswith("%"))
        share = float(value[:-1]) / 100
        _refuse(0 <= share <= 1)
        return share
    return _integer_from(1)(value)


def _kinds_of_failure(value: Any) -> list[str]:
    kinds = _list_of(_text)(value)
    unknown = [kind for kind in kinds if kind not in RETRYABLE]
    _refuse(not unknown, did_you_mean(unknown[0], RETRYABLE).strip() if unknown else "")
    return sorted(set(kinds))


def _integer_or_none(lowest: int) -> Callable[[Any], int | None]:
    return lambda value: None if value is None else _integer_from(lowest)(value)


def _repeats_or_none(value: Any) -> int | None:
    _refuse(not callable(value), "it is a setting: import a function by another name")
    return _integer_or_none(1)(value)


def _names_or_none(value: Any) -> list[str] | None:
    return None if value is None else _list_of(_text)(value)


def _words_or_none(value: Any) -> str | list[str] | None:
    return value if value is None or isinstance(value, str) else _list_of(_text)(value)


def _task_name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        # The name becomes a folder, a job's name and an argument of `psy`.
        raise ValueError("it may be made of letters, digits and the signs _ . - + , @ ~")
    return value


RETRYABLE = ("crash", "error", "oom", "timeout")
SPACE = Kind("a parameter space, a list of dicts, a dict of columns or a DataFrame", _space)
FUNCTION = Kind("a function", _function)
FUNCTION_OR_NONE = Kind("a function or None", _function_or_none)
STORE = Kind('a store, such as H5Store(), or the extension of one, such as ".h5"', _store)
BACKEND = Kind("a class that derives from Backend, such as LoadBalancingBackend", _backend)
SCHEDULER = Kind('a scheduler, such as Slurm(), or the name of one, such as "slurm"', _scheduler)
NAMED_VALUES = Kind("a dict whose keys are text", _named_values)
SECONDS_OR_NONE = Kind("a number of seconds above 0, or None", _seconds_or_none)
FAILURE_LIMIT = Kind('an integer of 1 or more, a share such as "5%", or None', _failure_limit)
FAILURE_KINDS = Kind(f"some of {', '.join(RETRYABLE)}", _kinds_of_failure)
COUNT = Kind("an integer of 0 or more", _integer_from(0))
COUNT_OR_NONE = Kind("an integer of 0 or more, or None", _integer_or_none(0))
# None is for those who know it from psyrun; so it is for no names, paths or named values.
POSITIVE_OR_NO_LIMIT = Kind("an integer of 1 or more", _integer_or_none(1))
POSITIVE_OR_NONE = Kind("an integer of 1 or more, or None", _integer_or_none(1))
REPEATS_OR_NONE = Kind(POSITIVE_OR_NONE.allowed, _repeats_or_none)
NAMES_OR_NONE = Kind("a list of names, or None", _names_or_none)
POSITIVE = Kind("an integer of 1 or more", _integer_from(1))
POOL_SIZE = Kind('an integer of 1 or more, or "auto"', _pool_size)
BOOLEAN = Kind("True or False", _boolean)
PROGRAM = Kind("the path of a program, a command line, or a list of its words", _program)
SHELL_LINES = Kind("a list of lines for the shell", _shell_lines)
JOB_PREFIX = Kind("made of letters, digits and the signs _ . - + , @ ~ :", _job_prefix)
PATH = Kind("a path", _path)
PATH_OR_NONE = Kind("a path or None", _path_or_none)
NAMES = Kind("a list of names", _list_of(_text))
WORDS_OR_NONE = Kind("a command line, a list of its words, or None", _words_or_none)
PATHS = Kind("a list of paths", _list_of(_path))
NAME = Kind("a name that begins with a letter, a digit or _ and has no spaces", _task_name)
