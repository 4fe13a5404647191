"""What is wrong or odd about a command, found out before anything runs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath

from psyflow.command.files import clash
from psyflow.command.place import RESERVED
from psyflow.command.settings import Spec
from psyflow.exceptions import did_you_mean

__all__ = ["remarks_on", "trouble_with"]

_RESERVED = ("ctx", "rng")
_NO_PARAMETERS = {"repeat", "seed"}
"""What has a value, but is for nothing that a program has to know."""


def trouble_with(spec: Spec, known: Collection[str], *, may_be_more: bool) -> str:
    """Say why a command cannot run; nothing if it can.

    Parameters
    ----------
    spec : Spec
    known : collection of str
        The parameters, and what else has a value.
    may_be_more : bool
        Whether there may be more, which are only known when a worker has begun.
    """
    return next((found for found in _troubles(spec, known, may_be_more) if found), "")


def _troubles(spec: Spec, known: Collection[str], may_be_more: bool) -> Iterator[str]:
    yield from (template.trouble(known, may_be_more=may_be_more) for template in spec.templates)
    unknown = [name for name in sorted(spec.names) if name not in known]
    if unknown and not may_be_more:
        yield _about_unknown(unknown[0], known)
    yield from (entry.trouble() for entry in spec.files_in)
    yield _about_one_name(spec)
    yield _about_input(spec)


def _about_one_name(spec: Spec) -> str:
    """Say that two files would have one name in the folder of a pset."""
    there: dict[str, Path | None] = dict.fromkeys(RESERVED)
    wanted = [(entry.target, entry.counts) for entry in spec.files_in if entry.target is not None]
    # What goes into a linked folder would be in the study.
    linked = {name for name, _ in wanted}
    for template in spec.templates:
        first = PurePath(template.target).parts[0]
        name = first if first in linked else os.path.normpath(template.target)
        wanted.append((name, template.path))
    for name, source in wanted:
        if not name or there.get(name, source) != source:
            return clash(source, name, there.get(name))
        there[name] = source
    return ""


def _about_unknown(name: str, known: Collection[str]) -> str:
    if name in _RESERVED:
        return f"the field {{{name}}} cannot be written. {{seed}} is a number for the program."
    advice = did_you_mean(name, known)
    if name == "seed":
        advice = " Set `seed` in the task file: each pset gets a number from it, as {seed}."
    elif not advice and name in os.environ:
        advice = f" The variable of the environment is written ${name}, in `cwd`."
    listed = ", ".join(f"`{name}`" for name in sorted(known)) or "nothing"
    return (
        f"the command has a field {{{name}}}, which the parameter space does not give.{advice} "
        f"The space gives {listed}."
    )


def _about_input(spec: Spec) -> str:
    path = spec.input_file
    # One of the commands before may write it.
    if path is None or len(spec.lines) > 1 or (spec.stdin and spec.stdin.names):
        return ""
    return "" if path.is_file() else f"`stdin`: there is no file {path}."


def remarks_on(spec: Spec, known: Collection[str]) -> list[str]:
    """Say what is hardly meant about a command."""
    return [*_unused(spec, known), *_not_in_folder(spec)]


def _unused(spec: Spec, known: Collection[str]) -> Iterator[str]:
    for name in sorted({*known} - spec.names - _NO_PARAMETERS):
        if f"_VAR_{name}" not in spec.text:
            yield (
                f"the parameter `{name}` stands nowhere in the command or its templates. If the "
                f"program is to know it, write {{{name}}}; it also finds it in its environment, "
                f"as PSYFLOW_VAR_{name}."
            )


def _not_in_folder(spec: Spec) -> Iterator[str]:
    if spec.cwd is not None:
        return
    there = {entry.counts.name for entry in spec.files_in} | {t.target for t in spec.templates}
    for word in spec.words:
        path = spec.base / word
        if word not in there and not Path(word).is_absolute() and path.is_file():
            yield (
                f"`{word}` is in the task folder, but the program runs in a folder of its own for "
                f'each pset: add files_in=["{word}"] if it is to read it.'
            )
