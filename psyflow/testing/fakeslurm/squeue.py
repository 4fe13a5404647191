"""``squeue``: what is queued and runs, and for a while what is over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.jobs import LONG_STATES, Member
from psyflow.testing.fakeslurm.options import Grammar, RefusedError
from psyflow.testing.fakeslurm.request import Request
from psyflow.testing.fakeslurm.sbatch import PARTITION
from psyflow.testing.fakeslurm.texts import clock, grouped, indices_of, user

__all__ = ["answer", "selected"]

GRAMMAR = Grammar(
    "squeue",
    ["format", "jobs", "name", "partition", "states", "user"],
    ["all", "array", "me", "noheader", "version"],
    short=(
        "a=all h=noheader j=jobs n=name o=format p=partition r=array t=states u=user V=version"
    ),
)
DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
DEFAULT_STATES = "PENDING,RUNNING,COMPLETING"
_VARIABLES = {
    "SQUEUE_FORMAT": "format",
    "SQUEUE_NAMES": "name",
    "SQUEUE_PARTITION": "partition",
    "SQUEUE_STATES": "states",
    "SQUEUE_USERS": "user",
}
_FIELD = re.compile(r"%(\.?)(\d*)(.)")
_JOB_ID = re.compile(r"\d+(?:_\d+)?")

_Group = Sequence[Member]
# The heading of each field, and what it says of members that are listed together.
_FIELDS: dict[str, tuple[str, Callable[[_Group], str]]] = {
    "A": ("JOBID", lambda group: str(group[0].raw_id)),
    "C": ("CPUS", lambda group: group[0].job.options.get("cpus-per-task", "1")),
    "D": ("NODES", lambda group: "1"),
    "F": ("ARRAY_JOB_ID", lambda group: str(group[0].job.id)),
    "K": ("ARRAY_TASK_ID", lambda group: "N/A" if _is_plain(group) else indices_of(group)),
    "M": ("TIME", lambda group: clock(group[0].seconds)),
    "N": ("NODELIST", lambda group: group[0].node),
    "P": ("PARTITION", lambda group: PARTITION),
    "R": ("NODELIST(REASON)", lambda group: group[0].node or f"({group[0].reason})"),
    "T": ("STATE", lambda group: LONG_STATES[group[0].state]),
    "i": ("JOBID", lambda group: _id(group)),
    "j": ("NAME", lambda group: group[0].job.name),
    "k": ("COMMENT", lambda group: group[0].job.options.get("comment", "(null)")),
    "l": ("TIME_LIMIT", lambda group: clock(group[0].job.time_limit)),
    "r": ("REASON", lambda group: group[0].reason),
    "t": ("ST", lambda group: group[0].state),
    "u": ("USER", lambda group: user()),
    "%": ("%", lambda group: "%"),
}


def answer(request: Request, controller: Controller) -> str:
    """List jobs."""
    told, operands = GRAMMAR.parse(request.words)
    if operands:
        raise RefusedError(f"squeue: error: Unrecognized option: {operands[0]}\n")
    if "version" in told:
        return "slurm-wlm 22.05.8\n"
    by_variables = {
        option: request.environment[variable]
        for variable, option in _VARIABLES.items()
        if variable in request.environment
    }
    options = by_variables | told
    states = _states(options.get("states", DEFAULT_STATES))
    members = [m for m in _asked_for(options, controller) if m.state in states]
    members = [member for member in members if _matches(member, options)]
    members.sort(key=lambda member: member.state)
    groups = [[member] for member in members] if "array" in options else grouped(members)
    form = options.get("format", DEFAULT_FORMAT)
    lines = [] if "noheader" in options else [_line(form, None)]
    return "".join(f"{line}\n" for line in [*lines, *(_line(form, group) for group in groups)])


def selected(jobids: Iterable[str], controller: Controller) -> list[Member]:
    """Return the members that ids mean, each once."""
    members = (member for jobid in jobids for member in controller.find(jobid))
    return list({member.raw_id: member for member in members}.values())


def _asked_for(options: Mapping[str, str], controller: Controller) -> list[Member]:
    if not options.get("jobs"):
        return [m for m in controller.members if controller.is_remembered(m)]
    jobids = options["jobs"].split(",")
    for jobid in jobids:
        if not _JOB_ID.fullmatch(jobid):
            raise RefusedError(f"squeue: error: Invalid job id: {jobid}\n")
    found = [m for m in selected(jobids, controller) if controller.is_remembered(m)]
    # Asked about a single job that it does not know, it fails; about several, it says nothing.
    if not found and len(jobids) == 1:
        raise RefusedError("slurm_load_jobs error: Invalid job id specified\n")
    return found


def _matches(member: Member, options: Mapping[str, str]) -> bool:
    names = options.get("name", member.job.name).split(",")
    return (
        user() in options.get("user", user()).split(",")
        and PARTITION in options.get("partition", PARTITION).split(",")
        and member.job.name in names
    )


def _states(text: str) -> set[str]:
    codes = {name: code for code, name in LONG_STATES.items()}
    if text.lower() == "all":
        return set(LONG_STATES)
    words = text.upper().split(",")
    for word in words:
        if word not in codes and word not in LONG_STATES:
            known = ",".join(codes)
            raise RefusedError(
                f"squeue: error: Invalid job state specified: {word}\n"
                f"squeue: error: Valid job states include: {known}\n"
            )
    return {codes.get(word, word) for word in words}


def _line(form: str, group: _Group | None) -> str:
    """Fill in a format for members that are listed together; for None, the headings."""

    def fill(match: re.Match[str]) -> str:
        right, width, letter = match.groups()
        if letter not in _FIELDS:
            known = " ".join(f"%{field}" for field in _FIELDS)
            raise RefusedError(f"squeue: error: FakeSlurm's squeue does not know %{letter}, "
                               f"but {known}\n")  # fmt: skip
        heading, field = _FIELDS[letter]
        text = heading if group is None else field(group)
        if not width:
            return text
        text = text[: int(width)]
        return text.rjust(int(width)) if right else text.ljust(int(width))

    return _FIELD.sub(fill, form)


def _is_plain(group: _Group) -> bool:
    return group[0].index is None


def _id(group: _Group) -> str:
    return group[0].id if len(group) == 1 else f"{group[0].job.id}_[{indices_of(group)}]"
