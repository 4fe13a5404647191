"""What the schedulers have in common that know their arguments by name."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import JobId, Scheduler, Words
from psyflow.scheduler.extras import (
    AFTER_END,
    DEPENDENCY,
    EXTRA_ARGS,
    After,
    check_extra_args,
    read_dependency,
)
from psyflow.scheduler.logs import checked_log
from psyflow.scheduler.request import SubmitRequest
from psyflow.scheduler.timelimit import read_time_limit

__all__ = ["CheckedScheduler"]


class CheckedScheduler(Scheduler):
    """A scheduler that checks a submission and makes one `SubmitRequest` of it."""

    ARGS: ClassVar[frozenset[str]] = frozenset()
    """Names of the scheduler arguments, with underscores."""
    REQUIRED_ARGS: ClassVar[tuple[str, ...]] = ()
    TIME_LIMIT: ClassVar[str | None] = None
    """Name in `SubmitRequest.options` of what limits the time of a job; `seconds_of` reads it."""
    HAS_ARRAYS: ClassVar[bool] = False
    OWN_WORDS: ClassVar[tuple[str, ...]] = ()
    """Options that ``extra_args`` must not have; ``-J*`` is one that its value may follow."""
    DEPENDENCIES: ClassVar[tuple[str, ...]] = (AFTER_END,)
    """How jobs may have to end that ``dependency`` names."""
    JOB_ID: ClassVar[str] = r"\d+"
    """Regular expression of what the cluster calls a job."""

    @abstractmethod
    def submit_request(self, request: SubmitRequest) -> JobId:
        """Hand `request` to the scheduler and return the id it gives to the job."""

    def canonical_arg(self, name: str) -> str:
        """Return the one name under which argument `name` goes into `SubmitRequest.options`.

        Raises
        ------
        UsageError
            If there is no such argument.
        """
        canonical = name.replace("-", "_")
        if canonical not in self.ARGS:
            raise UnknownNameError(f"{type(self).__name__} argument", name, self.ARGS)
        return canonical

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value`, no function and not None, is nothing for `option`."""

    def seconds_of(self, time_limit: object) -> float:
        """Return a value of the option `TIME_LIMIT` in seconds, infinity if it sets no limit.

        See `psyflow.scheduler.timelimit.read_time_limit` for what it may be.

        Raises
        ------
        ValueError
            If it is not understood; says what it may be.
        """
        return read_time_limit(time_limit)

    def time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Return after how many seconds a job is ended, infinity if never; None if nobody said."""
        options = resolve(self._canonical_args(scheduler_args), name)
        given = options.get(self.TIME_LIMIT) if self.TIME_LIMIT is not None else None
        return None if given is None else self._seconds(given)

    def check_args(self, scheduler_args: Mapping[str, object] | None) -> None:
        """Raise `UsageError` for an argument that is unknown, missing, or makes no sense."""
        for option, value in self._canonical_args(scheduler_args).items():
            if not callable(value):
                self._check(option, value)

    def _check(self, option: str, value: object) -> None:
        if option == self.TIME_LIMIT:
            self._seconds(value)
        if option == EXTRA_ARGS:
            check_extra_args(type(self).__name__, value, self.OWN_WORDS)
        elif option == DEPENDENCY:
            self._check_dependency(value)
        else:
            self.check_value(option, value)

    def _check_dependency(self, value: object) -> None:
        try:
            self.read_dependency(value)
        except ValueError as error:
            raise UsageError(
                f'{type(self).__name__} argument "dependency" is {error}, not {value!r}.'
            ) from None

    def read_dependency(self, value: object) -> list[After]:
        """Read what a run is to wait for.

        Raises
        ------
        ValueError
            If it is not understood, or the cluster has no such; says what it may be.
        """
        return read_dependency(value, self.DEPENDENCIES, self.JOB_ID)

    def awaited(self, request: SubmitRequest) -> list[After]:
        """Return what a job has to wait for: earlier jobs of its run, or what the user named."""
        if request.depends_on:
            return [After(AFTER_END, request.depends_on)]
        given = request.options.get(DEPENDENCY)
        return [] if given is None else self.read_dependency(given)

    def _seconds(self, time_limit: object) -> float:
        try:
            return self.seconds_of(time_limit)
        except ValueError as error:
            raise UsageError(
                f'{type(self).__name__} argument "timelimit" is {error}, not {time_limit!r}.'
            ) from None

    def _canonical_args(self, scheduler_args: Mapping[str, object] | None) -> dict[str, object]:
        given: dict[str, object] = {}
        for name, value in (scheduler_args or {}).items():
            option = self.canonical_arg(name)
            if value is None:
                continue
            if option in given:
                raise UsageError(f'Scheduler argument "{name}" is given under two names.')
            given[option] = value
        missing = [name for name in self.REQUIRED_ARGS if name not in given]
        if missing:
            raise UsageError(
                f"{type(self).__name__} needs the scheduler arguments {', '.join(missing)}. "
                f"Add them to scheduler_args in the task file."
            )
        return given

    def request(
        self,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
        array_size: int | None = None,
    ) -> SubmitRequest:
        """Check a submission and return it ready for `submit_command`; nothing is contacted."""
        self.check_args(scheduler_args)
        name = "".join(c if c.isprintable() else "_" for c in name or "psyflow")
        options = resolve(self._canonical_args(scheduler_args), name)
        for option, value in options.items():
            self._check(option, value)
        return SubmitRequest(
            args=tuple(os.fspath(arg) for arg in args),
            output_filename=checked_log(output_filename),
            name=name,
            depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on or ()),
            array_size=array_size,
            options=MappingProxyType(options),
        )

    def submit(
        self,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        """Submit one job; see `Scheduler.submit`."""
        return self.submit_request(
            self.request(args, output_filename, name, depends_on, scheduler_args)
        )

    def submit_array(
        self,
        n: int,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        """Submit `n` jobs as one array; see `Scheduler.submit_array`."""
        if not self.HAS_ARRAYS:
            return super().submit_array(n, args, output_filename)
        if n < 1:
            raise UsageError(f"A job array needs at least one member, not {n}.")
        return self.submit_request(
            self.request(args, output_filename, name, depends_on, scheduler_args, n)
        )
