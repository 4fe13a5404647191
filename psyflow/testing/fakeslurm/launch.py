"""Starting a job as a process, in the environment and with the files that Slurm gives it."""

from __future__ import annotations

import getpass
import os
import re
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from psyflow.testing.fakeslurm.jobs import Job, Member
from psyflow.testing.fakeslurm.processes import MARK
from psyflow.testing.fakeslurm.settings import Settings

__all__ = ["file_of", "launch", "mark_of", "write_script"]

NO_INDEX = 4294967294
"""What Slurm writes for ``%a`` where there is no index."""

_SPECIAL = re.compile(r"%(\d*)([%AajJNux])")


def mark_of(folder: str, member: Member) -> str:
    """Return the mark of one start of a member, with which that of no other begins."""
    return f"{folder}#{member.raw_id}.{member.restarts}#"


def write_script(folder: str, job: Job) -> None:
    """Keep the script of a job for its members."""
    path = _script(folder, job)
    path.write_text(job.script, encoding="utf-8", errors="surrogateescape")
    path.chmod(stat.S_IRWXU)


def launch(folder: str, member: Member, settings: Settings) -> subprocess.Popen[bytes]:
    """Start a member in a session of its own.

    Parameters
    ----------
    folder : str
    member : Member
    settings : Settings
        They say whether it is told when its time will be over, and where it is.

    Raises
    ------
    OSError
        If a file or folder is not there, or there is no such interpreter.
    """
    job = member.job
    here = Path(job.cwd)
    mode = "ab" if job.append else "wb"
    with (
        (here / (file_of(job.input, member) or os.devnull)).open("rb") as stdin,
        (here / file_of(job.output, member)).open(mode) as stdout,
        (here / (file_of(job.error, member) or os.devnull)).open(mode) as stderr,
    ):
        return subprocess.Popen(
            [_script(folder, job), *job.arguments],
            cwd=job.cwd,
            env={
                **_environment(folder, member),
                "SLURM_CLUSTER_NAME": settings.cluster,
                **(_times(member) if settings.tell_end else {}),
            },
            stdin=stdin,
            stdout=stdout,
            stderr=stderr if job.error else stdout,
            start_new_session=True,
        )


def file_of(pattern: str, member: Member) -> str:
    """Fill in the name of a file. A backslash switches that off, and is taken out."""
    if "\\" in pattern:
        return re.sub(r"\\(.?)", r"\1", pattern)
    meanings = {
        "%": "%",
        "A": str(member.job.id),
        "a": str(NO_INDEX if member.index is None else member.index),
        "j": str(member.raw_id),
        "J": str(member.raw_id),
        "N": member.node,
        "u": getpass.getuser(),
        "x": member.job.name,
    }
    return _SPECIAL.sub(lambda match: meanings[match[2]].zfill(int(match[1] or 0)), pattern)


def _script(folder: str, job: Job) -> Path:
    return Path(folder) / f"script.{job.id}"


def _environment(folder: str, member: Member) -> dict[str, str]:
    job = member.job
    environment = {
        # Like the real one, it keeps what the submitting process has, even if that was a job.
        **job.environment,
        MARK: mark_of(folder, member),
        "ENVIRONMENT": "BATCH",
        "SLURM_JOBID": str(member.raw_id),
        "SLURM_JOB_ID": str(member.raw_id),
        "SLURM_JOB_NAME": job.name,
        "SLURM_JOB_NODELIST": member.node,
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NODELIST": member.node,
        "SLURM_SUBMIT_DIR": job.cwd,
        "SLURMD_NODENAME": member.node,
        **_of_array(member),
    }
    if member.restarts:
        environment["SLURM_RESTART_COUNT"] = str(member.restarts)
    return environment


def _times(member: Member) -> Mapping[str, str]:
    limit = member.job.time_limit
    if limit is None:
        return {}
    return {
        "SLURM_JOB_START_TIME": str(int(member.started)),
        "SLURM_JOB_END_TIME": str(int(member.started + limit)),
    }


def _of_array(member: Member) -> Mapping[str, str]:
    indices = member.job.indices
    if indices is None:
        return {}
    return {
        "SLURM_ARRAY_JOB_ID": str(member.job.id),
        "SLURM_ARRAY_TASK_ID": str(member.index),
        "SLURM_ARRAY_TASK_COUNT": str(len(indices)),
        "SLURM_ARRAY_TASK_MIN": str(indices[0]),
        "SLURM_ARRAY_TASK_MAX": str(indices[-1]),
    }
