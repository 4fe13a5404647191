"""SHARCNET's `sqsub`, `sqjobs`, `sqkill`."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from psyflow.scheduler.base import DONE, HELD, QUEUED, RUNNING, UNKNOWN, ZOMBIE, JobId, JobStatus
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
from psyflow.scheduler.extras import EXTRAS, check_values, extra_args
from psyflow.scheduler.memory import check_memory, read_memory, sized
from psyflow.scheduler.timelimit import read_time_limit
from psyflow.system.files import make_folder
from psyflow.system.reading import read_whole

__all__ = ["Sqsub"]

_STATES = {"Q": QUEUED, "*Q": HELD, "R": RUNNING, "Z": ZOMBIE, "C": DONE}
_N_HEADER_LINES = 2
_ID_FILE = "idfile"


class Sqsub(BatchScheduler):
    """Submits with SHARCNET's `sqsub`, which has no job arrays.

    The scheduler arguments are ``timelimit`` (required, ``-r``), ``memory`` (required, ``--mpp``),
    ``n_cpus`` (``-n``, 1 if not given) and ``n_nodes`` (``-N``).

    Parameters
    ----------
    workdir : str or path, optional
        Folder for the file in which sqsub leaves the id of a job, which is removed at once; it is
        created when a job is submitted. Not given: the system's folder for temporary files.

    Examples
    --------
    >>> request = Sqsub().request(["echo", "a b"], "/tmp/log", "t:merge", ["7", "8"],
    ...                           {"timelimit": "15m", "memory": "1G"})
    >>> print(*Sqsub().submit_command(request))
    sqsub -o /tmp/log -j t:merge -r 15m --mpp=1G -n 1 -w 7,8 echo a b
    """

    UNVERIFIED: ClassVar[str] = (
        "tried with programs that answer as SHARCNET's do, never with the real ones"
    )
    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {
        "timelimit": "60m",
        "memory": "1G",
        "n_cpus": 1,
    }
    ARGS = frozenset({*EXTRAS, "timelimit", "memory", "n_cpus", "n_nodes"})
    OWN_WORDS = ("--idfile", "--waitfor", "-j", "-o", "-w")
    TIME_LIMIT = "timelimit"
    REQUIRED_ARGS = ("timelimit", "memory")
    KILLS_MANY = False
    PROGRAMS = ("sqsub", "sqjobs", "sqkill")
    HINT = (
        "Is this a login node of SHARCNET? If not, set scheduler = ImmediateRun() in the task "
        "file to run on this machine."
    )

    def seconds_of(self, time_limit: object) -> float:
        """Read a time limit as every scheduler does; sqsub has to be given one."""
        seconds = super().seconds_of(time_limit)
        if math.isinf(seconds):
            raise ValueError("a time that ends, as sqsub needs one")
        return seconds

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option == "memory":
            check_memory("Sqsub", option, value)
        elif option != self.TIME_LIMIT:
            check_values("Sqsub", option, value, ("n_cpus", "n_nodes"), ())

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``sqsub`` command."""
        options = request.options
        awaited = [jobid for after in self.awaited(request) for jobid in after.jobids]
        return [
            *("sqsub", "-o", request.output_filename, "-j", request.name),
            *("-r", _minutes(options["timelimit"]), _memory(options["memory"])),
            *("-n", str(options.get("n_cpus", 1))),
            *(["-N", str(options["n_nodes"])] if "n_nodes" in options else []),
            *(["-w", ",".join(awaited)] if awaited else []),
            *([f"--idfile={options[_ID_FILE]}"] if _ID_FILE in options else []),
            *extra_args(options),
            *request.args,
        ]

    def submit_request(self, request: SubmitRequest) -> JobId:
        """Hand `request` to sqsub, which writes the job's id to a file."""
        if self.workdir is not None:
            make_folder(Path(self.workdir))
        with tempfile.TemporaryDirectory(prefix="psyflow-sqsub-", dir=self.workdir) as folder:
            id_file = Path(folder) / "id"
            options = {**request.options, _ID_FILE: str(id_file)}
            command = self.submit_command(dataclasses.replace(request, options=options))
            self.run_submission(command)
            return self.accept(read_whole(id_file).decode() if id_file.exists() else "", command)

    def parse_job_id(self, stdout: str) -> JobId:
        """Read what sqsub wrote to its id file."""
        words = stdout.split()
        return words[0] if len(words) == 1 else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``sqjobs`` command, which takes one id or lists all jobs of the user."""
        return ["sqjobs", *(jobids if len(jobids) == 1 else [])]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the table that ``sqjobs`` prints; its last column is the command."""
        rows = (line.split(None, 6) for line in stdout.splitlines()[_N_HEADER_LINES:])
        return {
            row[0]: JobStatus(row[0], _STATES.get(row[2], UNKNOWN), row[6].strip())
            for row in rows
            if len(row) == 7
        }

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``sqkill`` command, which takes one id."""
        return ["sqkill", *jobids]

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether sqjobs only wants to say that there is nothing to list."""
        return returncode == 1


def _memory(memory: object) -> str:
    return f"--mpp={sized(read_memory(memory), 'KMG')}"


def _minutes(time_limit: object) -> str:
    return f"{math.ceil(read_time_limit(time_limit) / 60)}m"
