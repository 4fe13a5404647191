"""Slurm: `sbatch`, `squeue`, `sacct`, `scontrol`, `scancel`."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import JobId, JobStatus, array_of
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
from psyflow.scheduler.extras import DEPENDENCY, extra_args, joined
from psyflow.scheduler.facts import SiteFacts, are_here
from psyflow.scheduler.limits import MEMBERS, Limit, least
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import quoted
from psyflow.scheduler.slurm.associations import parse_associations
from psyflow.scheduler.slurm.clusters import (
    by_cluster,
    cluster_option,
    jobid_of,
    number_of,
    of_cluster,
)
from psyflow.scheduler.slurm.limits import (
    QOS_FORMAT,
    USER_FORMAT,
    Told,
    config_limits,
    of_job,
    parse_partitions,
    parse_table,
    partition_limits,
    partition_time_limit,
)
from psyflow.scheduler.slurm.options import (
    CLUSTERS,
    MAX_RUNNING,
    OWN_WORDS,
    asked_for,
    canonical_option,
    check_option,
    read_terms,
    render_option,
)
from psyflow.scheduler.slurm.remedies import remedy
from psyflow.scheduler.slurm.texts import (
    SACCT_FORMAT,
    SINFO_FORMAT,
    SQUEUE_FORMAT,
    parse_config,
    parse_sacct,
    parse_scontrol,
    parse_sinfo,
    parse_squeue,
)

__all__ = ["Slurm"]

_SACCTMGR = ("sacctmgr", "--parsable2", "--readonly")
_CONFIG = ("scontrol", "show", "config")
_PARTITIONS = ("scontrol", "--oneliner", "show", "partition")
_ASSOCIATIONS = ("scontrol", "--oneliner", "show", "assoc_mgr", "flags=assoc,qos")
_USUAL_ARRAY_SIZE = 1001


class Slurm(BatchScheduler):
    r"""Submits to the Slurm Workload Manager.

    The scheduler arguments are ``timelimit``, ``memory``, ``memory_per_cpu``, ``n_cpus``,
    ``n_gpus``, ``n_nodes``, every other option of ``sbatch`` by its long name (``partition``,
    ``account``, …), ``max_running``, the number of members of an array that may run at once, and
    ``extra_args``, words that are passed on as they are.
    Options without a value are switched by True: ``exclusive=True``.

    Parameters
    ----------
    workdir : str or path, optional
        Slurm needs no files of its own; this is here so that it can be exchanged for `Sqsub`.

    Examples
    --------
    >>> request = Slurm().request(["echo", "a b"], "/tmp/log", "t:process", ["7"],
    ...                           {"timelimit": "1:00:00", "max_running": 5}, array_size=10)
    >>> print(*Slurm().submit_command(request), sep="\n")
    sbatch
    --parsable
    --job-name=t:process
    --output=/tmp/log
    --open-mode=append
    --dependency=afterany:7
    --array=0-9%5
    --time=1:00:00
    >>> print(Slurm().submit_script(request))
    #!/bin/sh
    exec echo 'a b'
    """

    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {
        "timelimit": "01:00:00",
        "memory": "1G",
        "n_cpus": 1,
    }
    OWN_WORDS = OWN_WORDS
    TIME_LIMIT = "time"
    HAS_ARRAYS = True
    tells_names = True
    HINT = (
        "Is this a login node of a Slurm cluster? If so, try `module load slurm`; if not, set "
        "scheduler = ImmediateRun() in the task file to run on this machine."
    )

    def canonical_arg(self, name: str) -> str:
        """Return the long option of sbatch that argument `name` stands for."""
        return canonical_option(name)

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        check_option(option, value)

    def _check_dependency(self, value: object) -> None:
        try:
            read_terms(value)
        except ValueError as error:
            raise UsageError(f'Slurm argument "dependency" is {error} Not {value!r}.') from None

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``sbatch`` command; it reads the script from stdin."""
        after = _dependency(request)
        return [
            "sbatch",
            "--parsable",
            f"--job-name={request.name}",
            f"--output={_log_pattern(request)}",
            "--open-mode=append",
            *([f"--dependency={after}"] if after else []),
            *_array_option(request),
            *_clusters(request),
            *(word for item in request.options.items() for word in render_option(*item)),
            *extra_args(request.options),
        ]

    def submit_script(self, request: SubmitRequest) -> str:
        """Return the script of the job, in which the shell sees nothing of the arguments."""
        # sbatch looks for "#SBATCH" up to the first command: nothing may come before it.
        index = '"$SLURM_ARRAY_TASK_ID"' if request.array_size is not None else None
        return f"#!/bin/sh\nexec {' '.join(quoted(arg, index) for arg in request.args)}\n"

    def parse_job_id(self, stdout: str) -> JobId:
        """Read ``id`` or ``id;cluster``."""
        match = re.search(r"^(\d+)(?:;(\S*))?\s*\Z", stdout, re.MULTILINE)
        return jobid_of(match[1], match[2]) if match else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``squeue`` command for all of `jobids`."""
        return [
            *("squeue", "--noheader", "--array", "--states=all", *cluster_option(jobids)),
            *(f"--format={SQUEUE_FORMAT}", f"--jobs={_arrays(jobids)}"),
        ]

    def list_command(self) -> list[str]:
        """Return the ``squeue`` command for all jobs of the user that are not over."""
        return ["squeue", "--noheader", f"--user={getpass.getuser()}", f"--format={SQUEUE_FORMAT}"]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``squeue``."""
        return parse_squeue(stdout)

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``scancel`` command for all of `jobids`."""
        return ["scancel", *cluster_option(jobids), *map(number_of, jobids)]

    def kill_jobs(self, jobids: Iterable[JobId]) -> None:
        """Kill `jobids`, with one command for each cluster."""
        for some in by_cluster(jobids).values():
            super().kill_jobs(some)

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether squeue, asked about a single job, only wants to say that it is gone."""
        return "Invalid job id specified" in stderr

    def query_environment(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Return `environment` without the user's filters, which would hide jobs."""
        cleaned = {
            name: value
            for name, value in environment.items()
            if not name.startswith(("SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_"))
        }
        return {
            **cleaned,
            "SLURM_BITSTR_LEN": "0",
        }  # long lists of array members are cut otherwise

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask squeue, then sacct and scontrol about what it does not list.

        squeue forgets a job some minutes after its end; sacct is not there on every cluster.
        """
        found: dict[JobId, JobStatus] = {}
        for cluster, some in by_cluster(jobids).items():
            plain = [number_of(jobid) for jobid in some]
            found |= of_cluster(self._look_up_in(cluster, some, plain), cluster)
        return found

    def _look_up_in(
        self, cluster: str | None, jobids: Sequence[JobId], plain: Sequence[JobId]
    ) -> dict[JobId, JobStatus]:
        """Ask one cluster about `jobids`, which are `plain` there, and return what it says."""
        try:
            found, failure = super().look_up(jobids), None
        except SchedulerError as error:
            found, failure = {}, error
        # What squeue says goes before the others, which are late or look only at the past.
        where = [] if cluster is None else [f"--clusters={cluster}"]
        if left := _not_in(found, plain):
            found = parse_sacct(self.try_query([*_sacct_command(left), *where]) or "") | found
        if left := _not_in(found, plain):
            found = self._ask_scontrol(left, where) | found
        if failure and _not_in(found, plain):
            raise failure
        return found

    def _ask_scontrol(
        self, jobids: Sequence[JobId], where: Sequence[str]
    ) -> dict[JobId, JobStatus]:
        found: dict[JobId, JobStatus] = {}
        for array in _arrays(jobids).split(","):
            stdout = self.try_query(["scontrol", *where, "--oneliner", "show", "job", array])
            if stdout is None:
                break  # it would fail for the others too, after a long wait each
            found |= parse_scontrol(stdout)
        return found

    def limits_of(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Ask for the configuration, the partitions, and what the accounting says of the user."""
        return self._limits(scheduler_args, name, self.ask_once)

    def limits_now(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Ask also what the controller counts at this moment."""
        return self._limits(scheduler_args, name, self.ask_now)

    def _limits(
        self,
        scheduler_args: Mapping[str, object] | None,
        name: str,
        count: Callable[[Sequence[str]], str],
    ) -> list[Limit]:
        options = resolve(self._canonical_args(scheduler_args), name)
        if CLUSTERS in options:
            return []  # whichever takes the job first
        config = parse_config(self.ask_once(_CONFIG))
        partitions = self._partitions(options)
        found, of_partition = config_limits(config), partition_limits(partitions)
        if config.get("AccountingStorageType", "/none").endswith("/none"):
            return found + of_partition
        user = getpass.getuser()
        told = Told(
            users=self._ask_sacctmgr(USER_FORMAT, "user", f"name={user}", "withassoc"),
            qos=self._ask_sacctmgr(QOS_FORMAT, "qos"),
            cluster=config.get("ClusterName", ""),
            account=asked_for("account", options),
            partition=partitions[0]["PartitionName"] if len(partitions) == 1 else "",
            asked=asked_for("qos", options),
            qos_of_partition=partitions[0].get("QoS", "") if len(partitions) == 1 else "",
            is_enforced="limits" in config.get("AccountingStorageEnforce", ""),
            associations=parse_associations(count([*_ASSOCIATIONS, f"users={user}"]), user),
            user=user,
            uid=os.getuid(),
        )
        return found + told.limits() + ([] if told.outdoes_partition() else of_partition)

    def _partitions(self, options: Mapping[str, object]) -> list[Mapping[str, str]]:
        told = parse_partitions(self.ask_once(_PARTITIONS))
        return of_job(told, asked_for("partition", options))

    def _ask_sacctmgr(self, columns: str, *words: str) -> list[dict[str, str]]:
        return parse_table(self.ask_once([*_SACCTMGR, "show", *words, f"format={columns}"]))

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        return remedy(status)

    def get_jobs(self, *, of_user: bool = False) -> Sequence[JobId]:
        """Return the jobs that are queued or running.

        Parameters
        ----------
        of_user : bool
            All jobs of this user, whoever submitted them, instead of those submitted through
            this object.
        """
        if not of_user:
            return super().get_jobs()
        stdout = self.query(["squeue", "--noheader", "--me", "--format=%F"])
        return list(dict.fromkeys(stdout.split()))

    def site(self) -> SiteFacts | None:
        """Look at the site; None if Slurm is not here."""
        if not are_here(["sbatch", "squeue", "scancel"]):
            return None
        config = parse_config(self.try_query(_CONFIG) or "")
        told = self.try_query(["sinfo", "--noheader", f"--format={SINFO_FORMAT}"])
        accounting = config.get("AccountingStorageType")
        return SiteFacts(
            version=(self.try_query(["sinfo", "--version"]) or "").strip(),
            partitions=parse_sinfo(told or ""),
            max_array_size=int(config.get("MaxArraySize", 0)) or None,
            has_accounting=None if accounting is None else not accounting.endswith("/none"),
            problems=() if told else (f"Slurm does not answer. {self.HINT}",),
        )

    def default_time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Ask for the limit of the job's partition."""
        options = resolve(self._canonical_args(scheduler_args), name)
        if CLUSTERS in options:
            return None  # whichever takes the job first
        return partition_time_limit(self._partitions(options))

    def cluster_name(self) -> str | None:
        """Return the cluster's name (``ClusterName``)."""
        told = parse_config(self.ask_once(_CONFIG)).get("ClusterName")
        # Not every node of a cluster can ask, but jobs are told.
        return told or os.environ.get("SLURM_CLUSTER_NAME") or None

    def max_array_size(self) -> int:
        """Return how many members an array may have; as on most clusters, if it is not told."""
        limit = least(config_limits(parse_config(self.ask_once(_CONFIG))), MEMBERS)
        return _USUAL_ARRAY_SIZE if limit is None else int(limit.amount)


def _sacct_command(jobids: Sequence[JobId]) -> list[str]:
    return ["sacct", "-n", "-X", "-P", f"--format={SACCT_FORMAT}", f"--jobs={_arrays(jobids)}"]


def _arrays(jobids: Iterable[JobId]) -> str:
    return ",".join(dict.fromkeys(array_of(number_of(jobid)) for jobid in jobids))


def _not_in(found: Mapping[JobId, JobStatus], jobids: Sequence[JobId]) -> list[JobId]:
    arrays = {array_of(jobid) for jobid in found}
    return [
        jobid
        for jobid in jobids
        if jobid not in found and (array_of(jobid) != jobid or jobid not in arrays)
    ]


def _dependency(request: SubmitRequest) -> str:
    """Return what a job waits for: earlier jobs of its run, or what the user named."""
    if request.depends_on:
        # afterany, not afterok: a job that depends on a failed one would be pending for ever.
        return ":".join(["afterany", *map(number_of, request.depends_on)])
    given = request.options.get(DEPENDENCY)
    return "" if given is None else read_terms(given)


def _clusters(request: SubmitRequest) -> list[str]:
    """Return where a job is to go: to the cluster on which the others of its run are, if any."""
    if option := cluster_option(request.depends_on):
        return option
    given = request.options.get(CLUSTERS)
    return [] if given is None else [f"--clusters={joined(given)}"]


def _array_option(request: SubmitRequest) -> list[str]:
    if request.array_size is None:
        return []
    throttle = request.options.get(MAX_RUNNING)
    return [f"--array=0-{request.array_size - 1}{f'%{throttle}' if throttle else ''}"]


def _log_pattern(request: SubmitRequest) -> str:
    """Write the log's name so that sbatch replaces nothing in it but ``%a``."""
    log, is_array = request.output_filename, request.array_size is not None
    if "\\" in log:
        # A backslash switches all replacing off, and is taken out.
        if is_array and "%a" in log:
            raise UsageError(
                f"Slurm cannot number log files with a backslash in their path: {log}"
            )
        return log.replace("\\", "\\\\")
    return "%a".join(part.replace("%", "%%") for part in (log.split("%a") if is_array else [log]))
