"""``scancel``: end jobs, or signal them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.jobs import LONG_STATES, Member
from psyflow.testing.fakeslurm.options import Grammar, RefusedError
from psyflow.testing.fakeslurm.request import Request
from psyflow.testing.fakeslurm.sbatch import signal_number
from psyflow.testing.fakeslurm.squeue import selected
from psyflow.testing.fakeslurm.texts import user

__all__ = ["answer"]

GRAMMAR = Grammar(
    "scancel",
    ["name", "signal", "state", "user"],
    ["batch", "full", "me", "quiet", "verbose"],
    short="b=batch f=full n=name Q=quiet s=signal t=state u=user v=verbose",
)
FILTERS = ("me", "name", "state", "user")
_ID = re.compile(r"\d+(_\d+)?")


def answer(request: Request, controller: Controller) -> str:
    """End or signal what is meant; ids that nobody knows are no error."""
    options, operands = GRAMMAR.parse(request.words)
    if not operands and not any(name in options for name in FILTERS):
        raise RefusedError("scancel: error: No job identification provided\n")
    for jobid in operands:
        if not _ID.fullmatch(jobid):
            raise RefusedError(f"scancel: error: Invalid job id {jobid}\n")
    number = _signal(options)
    for member in selected(operands, controller) if operands else controller.members:
        if _matches(member, options):
            _treat(member, number, options, controller)
    controller.advance()
    return ""


def _signal(options: Mapping[str, str]) -> int | None:
    if "signal" not in options:
        return None
    number = signal_number(options["signal"])
    if number is None:
        raise RefusedError(f"Unknown job signal: {options['signal']}\n")
    return number


def _treat(
    member: Member, number: int | None, options: Mapping[str, str], controller: Controller
) -> None:
    if number is None:
        controller.cancel(member)
    elif member.process is not None and ("full" in options or "batch" in options):
        controller.send(member, number, to_all="full" in options)
    # Without either, the signal is for job steps alone, which a fake has none of.


def _matches(member: Member, options: Mapping[str, str]) -> bool:
    state = {"PD": "PENDING", "R": "RUNNING", "CG": "RUNNING"}.get(member.state, "")
    wanted = options.get("state", state).upper()
    return (
        not member.is_over
        and LONG_STATES.get(wanted, wanted) == state
        and options.get("user", user()) == user()
        and options.get("name", member.job.name) == member.job.name
    )
