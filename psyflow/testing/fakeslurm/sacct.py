"""``sacct``: all jobs, as the accounting knows them."""

from __future__ import annotations

from collections.abc import Callable

from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.jobs import LONG_STATES, Member
from psyflow.testing.fakeslurm.options import Grammar, RefusedError
from psyflow.testing.fakeslurm.request import Request
from psyflow.testing.fakeslurm.sbatch import PARTITION
from psyflow.testing.fakeslurm.squeue import selected
from psyflow.testing.fakeslurm.texts import grouped, indices_of, long_clock, moment, user

__all__ = ["answer"]

GRAMMAR = Grammar(
    "sacct",
    ["format", "jobs", "user"],
    ["allocations", "allusers", "noheader", "parsable", "parsable2"],
    short=("a=allusers j=jobs n=noheader o=format p=parsable P=parsable2 u=user X=allocations"),
)
DEFAULT_FORMAT = "JobID,JobName,Partition,State,ExitCode"
# Width, and what it says.
_FIELDS: dict[str, tuple[int, Callable[[Member], str]]] = {
    "JobID": (12, lambda member: member.id),
    "JobIDRaw": (12, lambda member: str(member.raw_id)),
    "JobName": (10, lambda member: member.job.name),
    "Partition": (10, lambda member: PARTITION),
    "State": (10, lambda member: _state(member)),
    "ExitCode": (8, lambda member: "{}:{}".format(*member.exit_code)),
    "Elapsed": (10, lambda member: long_clock(member.seconds)),
    "Submit": (19, lambda member: moment(member.submitted)),
    "Start": (19, lambda member: moment(member.started)),
    "End": (19, lambda member: moment(member.ended)),
    "NodeList": (15, lambda member: member.node or "None assigned"),
    "User": (9, lambda member: user()),
}


def answer(request: Request, controller: Controller) -> str:
    """List jobs, those that everybody else has forgotten too."""
    if not controller.settings.accounting:
        raise RefusedError("Slurm accounting storage is disabled\n")
    options, operands = GRAMMAR.parse(request.words)
    if operands:
        raise RefusedError(f"sacct: error: Unknown arguments: {' '.join(operands)}\n")
    if "allocations" not in options:
        raise RefusedError("sacct: error: FakeSlurm knows no job steps. Say --allocations (-X).\n")
    names = [_canonical(name) for name in options.get("format", DEFAULT_FORMAT).split(",")]
    rows = [] if "noheader" in options else [names]
    members = controller.members
    if "jobs" in options:
        members = selected(options["jobs"].split(","), controller)
    if user() not in options.get("user", user()).split(","):
        members = []
    for group in grouped(members):
        rows.append([_of_group(name, group) for name in names])
    return "".join(f"{_line(row, names, options)}\n" for row in rows)


def _canonical(name: str) -> str:
    for known in _FIELDS:
        if known.lower() == name.lower():
            return known
    raise RefusedError(
        f'sacct: error: Invalid field requested: "{name}". '
        f"FakeSlurm's sacct knows {','.join(_FIELDS)}\n"
    )


def _of_group(name: str, group: list[Member]) -> str:
    if name == "JobID" and len(group) > 1:
        return f"{group[0].job.id}_[{indices_of(group)}]"
    return _FIELDS[name][1](group[0])


def _line(row: list[str], names: list[str], options: dict[str, str]) -> str:
    if "parsable2" in options:
        return "|".join(row)
    if "parsable" in options:
        return "".join(f"{text}|" for text in row)
    widths = (_FIELDS[name][0] for name in names)
    return "".join(f"{_cut(text, width)} " for text, width in zip(row, widths, strict=True))


def _cut(text: str, width: int) -> str:
    return text.rjust(width) if len(text) <= width else f"{text[: width - 1]}+"


def _state(member: Member) -> str:
    if member.state == "CA":
        return "CANCELLED by 0"
    return LONG_STATES["R" if member.state == "CG" else member.state]
