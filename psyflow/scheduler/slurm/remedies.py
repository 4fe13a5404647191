"""The reasons of Slurm's for which a job waits until somebody does something."""

from __future__ import annotations

import re

from psyflow.scheduler.base import CANCELLED, HELD, QUEUED, RUNNING, JobStatus
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.slurm.clusters import cluster_option, number_of

__all__ = ["remedy"]

_RELEASED = {
    "JobHeldUser": "is held, by you or your group",
    "JobHeldAdmin": "is held by an administrator, whom to ask, if it cannot be released",
    "JobHoldMaxRequeue": "was requeued too often, and is held",
    "launch_failed_requeued_held": "could not be launched, and is held: see `sinfo -R`",
    "launch_failed_requeued_hold": "could not be launched, and is held: see `sinfo -R`",
    "job_requeued_in_held_state": "was requeued, and is held",
    "SPECIAL_EXIT": "was held when it ended in a special way",
    "REQUEUE_HOLD": "was requeued, and is held",
    "requeue_hold": "was requeued, and is held",
    "RESV_DEL_HOLD": "was held when its reservation was deleted",
}
_NEVER = {
    "DependencyNeverSatisfied": "waits for a job that did not end as it has to",
    "BadConstraints": "asks for what no node has",
    "InvalidAccount": "has an account that is not valid",
    "InvalidQOS": "has a QOS that is not valid",
    "AccountNotAllowed": "has an account that its partition does not take",
    "QOSNotAllowed": "has a QOS that its partition does not take",
    "PartitionNodeLimit": "asks for more nodes than its partition gives",
    "PartitionTimeLimit": "asks for more time than its partition gives",
    "JobArrayTaskFailed": "was not launched",
    "ReservationDeleted": "has a reservation that is gone",
    "TimeLimit": "has used up its time",
}
_DOWN = {
    "PartitionDown": "is in a partition that is down",
    "PartitionInactive": "is in a partition that is inactive",
    "NodeDown": "needs a node that is down",
    "ReqNodeNotAvail": "needs nodes that are down, drained or reserved for maintenance",
}
_SUSPENDED = {
    "suspended": "is suspended, by an administrator or for jobs that go first",
    "stopped": "was stopped by a signal",
}
# A limit on each job, or on the time of one, is never met; the others leave room when jobs end.
_LIMIT = re.compile(r"(QOS|Assoc)\w*")
_TOO_LARGE = re.compile(r"(QOS|Assoc)Max\w*(PerJob|PerNode|WallDuration\w*|MinutesPerJob)\w*")
_BUDGET = re.compile(r"(QOS|Assoc)Grp\w*(Minutes|Billing)\w*")


def remedy(status: JobStatus) -> Remedy | None:
    """Return what somebody has to do about a job; None if it goes on by itself.

    Examples
    --------
    >>> remedy(JobStatus("12_3", "*Q", "t", "JobHeldUser"))
    Remedy(why='is held, by you or your group', command='scontrol release 12_3')
    >>> remedy(JobStatus("12", "Q", "t", "Priority")) is None
    True
    """
    if status.status == CANCELLED and status.reason.startswith("by "):
        return Remedy(f"was cancelled {status.reason}, not by you")
    if status.status == RUNNING and status.reason in _SUSPENDED:
        return Remedy(_SUSPENDED[status.reason], _control("resume", status))
    if status.status not in (HELD, QUEUED):
        return None
    # "ReqNodeNotAvail, UnavailableNodes:n1", and in squeue's own words "(Nodes required for …)".
    reason = re.split(r"[,(:]", status.reason.strip("()"))[0].strip()
    release = _control("release", status)
    if why := _RELEASED.get(reason.replace(" ", "_")):
        return Remedy(why, release)
    if status.status == HELD and reason in ("", "None"):
        return Remedy("is held", release)
    if why := _NEVER.get(reason):
        return Remedy(why)
    if why := _DOWN.get(reason):
        return Remedy(why, "sinfo -R")
    if "required for job are DOWN" in status.reason or "Nodes_required_for_job" in status.reason:
        return Remedy(_DOWN["ReqNodeNotAvail"], "sinfo -R")
    return _of_limit(reason)


def _control(verb: str, status: JobStatus) -> str:
    return " ".join(["scontrol", *cluster_option([status.id]), verb, number_of(status.id)])


def _of_limit(reason: str) -> Remedy | None:
    if _TOO_LARGE.fullmatch(reason):
        return Remedy(f"asks for more than one job may have ({reason})")
    if _BUDGET.fullmatch(reason):
        return Remedy(f"waits for a budget that is used up ({reason})", "sshare -U")
    if _LIMIT.fullmatch(reason):
        return Remedy(f"waits for a limit of yours or of your group's ({reason})", "squeue --me")
    return None
