"""``scontrol``: show jobs and the configuration; hold, release and requeue jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.jobs import LONG_STATES, Member
from psyflow.testing.fakeslurm.launch import file_of
from psyflow.testing.fakeslurm.options import Grammar, RefusedError
from psyflow.testing.fakeslurm.request import Request
from psyflow.testing.fakeslurm.sbatch import PARTITION
from psyflow.testing.fakeslurm.texts import grouped, indices_of, long_clock, moment, user

__all__ = ["answer"]

GRAMMAR = Grammar("scontrol", [], ["oneliner"], short="o=oneliner")
_NO_JOB = "Invalid job id specified"


def answer(request: Request, controller: Controller) -> str:
    """Do what the first operand says."""
    options, operands = GRAMMAR.parse(request.words)
    keyword, *rest = operands or [""]
    if keyword == "show":
        return _show(rest, controller, is_oneliner="oneliner" in options)
    if keyword not in _CHANGES:
        raise RefusedError(f"invalid keyword: {keyword}\n")
    if not rest:
        raise RefusedError(f"too few arguments for keyword:{keyword}\n")
    for jobid in (jobid for word in rest for jobid in word.split(",")):
        members = [m for m in controller.find(jobid) if controller.is_remembered(m)]
        if not members:
            raise RefusedError(f"{_NO_JOB} for job {jobid}\n")
        _CHANGES[keyword](jobid, members, controller)
    controller.advance()
    return ""


def _hold(jobid: str, members: Sequence[Member], controller: Controller) -> None:
    for member in members:
        member.held = member.held or not member.is_over


def _release(jobid: str, members: Sequence[Member], controller: Controller) -> None:
    for member in members:
        member.held = False


def _requeue(jobid: str, members: Sequence[Member], controller: Controller) -> None:
    if all(member.state == "PD" for member in members):
        raise RefusedError(f"Job is pending execution for job {jobid}\n")
    for member in members:
        if member.state != "PD":
            controller.requeue(member)


_CHANGES: dict[str, Callable[[str, Sequence[Member], Controller], None]] = {
    "hold": _hold,
    "release": _release,
    "requeue": _requeue,
}


def _show(operands: Sequence[str], controller: Controller, *, is_oneliner: bool) -> str:
    entity, *rest = operands or [""]
    if entity in ("job", "jobs"):
        return _show_jobs(rest[0] if rest else None, controller, is_oneliner=is_oneliner)
    if entity == "config":
        facts = _configuration(controller)
        return "".join(f"{name:<23} = {value}\n" for name, value in facts.items())
    if entity in ("partition", "partitions"):
        return _lay_out(_partition(controller), is_oneliner=is_oneliner)
    raise RefusedError(f"invalid entity:{entity} for keyword:show\n")


def _show_jobs(jobid: str | None, controller: Controller, *, is_oneliner: bool) -> str:
    members = controller.members if jobid is None else controller.find(jobid)
    members = [member for member in members if controller.is_remembered(member)]
    if jobid is None and not members:
        return "No jobs in the system\n"
    if not members:
        raise RefusedError(f"slurm_load_jobs error: {_NO_JOB}\n")
    groups = grouped(members)
    return "".join(_lay_out(_facts(group), is_oneliner=is_oneliner) for group in groups)


def _lay_out(facts: Mapping[str, str], *, is_oneliner: bool) -> str:
    words = [f"{name}={value}" for name, value in facts.items()]
    return " ".join([*words, "\n"]) if is_oneliner else "\n   ".join(words) + "\n\n"


def _facts(group: Sequence[Member]) -> dict[str, str]:
    member = group[0]
    job, options = member.job, member.job.options
    return {
        "JobId": str(member.raw_id),
        **_of_array(group),
        "JobName": job.name,
        "UserId": f"{user()}({os.getuid()})",
        "Nice": options.get("nice") or "0",
        "Account": options.get("account", "(null)"),
        "QOS": options.get("qos", "(null)"),
        "JobState": LONG_STATES[member.state],
        "Reason": member.reason,
        "Dependency": options.get("dependency", "(null)") if member.state == "PD" else "(null)",
        "Requeue": str(int(job.requeue)),
        "Restarts": str(member.restarts),
        "BatchFlag": "1",
        "ExitCode": "{}:{}".format(*member.exit_code),
        "RunTime": long_clock(member.seconds),
        "TimeLimit": long_clock(job.time_limit),
        "SubmitTime": moment(member.submitted),
        "StartTime": moment(member.started),
        "EndTime": moment(member.ended),
        "Partition": PARTITION,
        "ExcNodeList": options.get("exclude", "(null)"),
        "NodeList": member.node,
        "NumNodes": options.get("nodes", "1"),
        "CPUs/Task": options.get("cpus-per-task", "1"),
        **_memory(options),
        **({"Comment": options["comment"]} if "comment" in options else {}),
        "WorkDir": job.cwd,
        "StdErr": file_of(job.error or job.output, member),
        "StdIn": file_of(job.input, member) or os.devnull,
        "StdOut": file_of(job.output, member),
    }


def _of_array(group: Sequence[Member]) -> dict[str, str]:
    job = group[0].job
    if job.indices is None:
        return {}
    throttle = {"ArrayTaskThrottle": str(job.throttle)} if job.throttle else {}
    return {"ArrayJobId": str(job.id), "ArrayTaskId": indices_of(group), **throttle}


def _memory(options: Mapping[str, str]) -> dict[str, str]:
    if "mem-per-cpu" in options:
        return {"MinMemoryCPU": options["mem-per-cpu"]}
    return {"MinMemoryNode": options.get("mem", "0")}


def _configuration(controller: Controller) -> dict[str, str]:
    settings = controller.settings
    kind = "slurmdbd" if settings.accounting else "none"
    return {
        "AccountingStorageType": f"accounting_storage/{kind}",
        "ClusterName": settings.cluster,
        "JobRequeue": "1",
        "KillWait": f"{settings.kill_wait:g} sec",
        "MaxArraySize": str(settings.max_array_size),
        "MinJobAge": f"{settings.min_job_age:g} sec",
        "SLURM_VERSION": "22.05.8",
    }


def _partition(controller: Controller) -> dict[str, str]:
    settings = controller.settings
    return {
        "PartitionName": PARTITION,
        "Default": "YES",
        "DefaultTime": "NONE",
        "MaxTime": "UNLIMITED",
        "Nodes": ",".join(controller.nodes),
        "State": "UP",
        "TotalCPUs": str(settings.nodes * settings.slots),
        "TotalNodes": str(settings.nodes),
    }
