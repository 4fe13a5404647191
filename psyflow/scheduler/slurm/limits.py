"""What Slurm says of limits, and which of them concern a job. Nothing here asks Slurm anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psyflow.scheduler.limits import AT_ONCE, JOBS, MEMBERS, SECONDS, Limit
from psyflow.scheduler.slurm.associations import Associations
from psyflow.scheduler.slurm.texts import parse_time_limit

__all__ = [
    "QOS_FORMAT",
    "USER_FORMAT",
    "Told",
    "config_limits",
    "parse_partitions",
    "parse_table",
    "partition_limits",
    "partition_time_limit",
]

USER_FORMAT = (
    "DefaultAccount,Cluster,Account,Partition,DefaultQOS,MaxJobs,MaxSubmit,GrpSubmit,MaxWall"
)
QOS_FORMAT = "Name,Flags,MaxJobsPU,MaxJobsPA,MaxSubmitPU,MaxSubmitPA,GrpSubmit,MaxWall"
_NORMAL = "normal"
"""The QOS of an account that has no other as its default."""
_MOST = re.compile(r"(?:^|,)max_array_tasks=(\d+)")


def parse_table(stdout: str) -> list[dict[str, str]]:
    r"""Read the table that ``sacctmgr --parsable2`` prints, whose first line names the columns.

    Examples
    --------
    >>> parse_table("Account|MaxSubmit\nphysics|10\n")
    [{'Account': 'physics', 'MaxSubmit': '10'}]
    """
    head, *rows = [line.split("|") for line in stdout.splitlines() if "|" in line] or [[]]
    return [dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)]


def parse_partitions(stdout: str) -> list[dict[str, str]]:
    """Read what ``scontrol --oneliner show partition`` prints.

    Examples
    --------
    >>> parse_partitions("PartitionName=a Default=YES MaxTime=1:00:00")
    [{'PartitionName': 'a', 'Default': 'YES', 'MaxTime': '1:00:00'}]
    """
    rows = ([word.partition("=") for word in line.split()] for line in stdout.splitlines())
    found = [{name: value for name, equals, value in row if equals} for row in rows]
    return [row for row in found if "PartitionName" in row]


def of_job(partitions: Iterable[Mapping[str, str]], named: str) -> list[Mapping[str, str]]:
    """Return those of `partitions` in which a job may start.

    Parameters
    ----------
    partitions : iterable of mapping
    named : str
        What the job asks for, with commas between them; empty: the default one.
    """
    names = named.split(",")
    return [p for p in partitions if p["PartitionName"] in names or _is_default(p, named)]


def _is_default(partition: Mapping[str, str], named: str) -> bool:
    return not named and partition.get("Default") == "YES"


def partition_time_limit(partitions: Sequence[Mapping[str, str]]) -> float | None:
    """Return after how many seconds a job ends that asks for no limit; None if nobody knows.

    Parameters
    ----------
    partitions : sequence of mapping
        Those in which it may start.

    Examples
    --------
    >>> partition_time_limit([{"DefaultTime": "NONE", "MaxTime": "1:00:00"}])
    3600.0
    """
    if len(partitions) != 1:
        return None  # whichever is free first
    default, longest = (partitions[0].get(name, "") for name in ("DefaultTime", "MaxTime"))
    return parse_time_limit(longest if default in ("", "NONE") else default)


def partition_limits(partitions: Sequence[Mapping[str, str]]) -> list[Limit]:
    """Return the longest time that a job may have in one of the partitions where it may start.

    Examples
    --------
    >>> print(*partition_limits([{"PartitionName": "short", "MaxTime": "10:00"}]))
    MaxTime = 10 minutes (partition short)
    """
    limits = [
        Limit(
            "MaxTime", _seconds(p.get("MaxTime", "")), SECONDS, f"partition {p['PartitionName']}"
        )
        for p in partitions
    ]
    longest = max(limits, key=lambda limit: limit.amount, default=None)
    return [] if longest is None or math.isinf(longest.amount) else [longest]


def _seconds(text: str) -> float:
    limit = parse_time_limit(text)
    return math.inf if limit is None else limit


def config_limits(config: Mapping[str, str]) -> list[Limit]:
    """Return what the configuration says of arrays, and of jobs of everybody.

    Examples
    --------
    >>> print(*config_limits({"MaxArraySize": "101", "SchedulerParameters": "max_array_tasks=50"}))
    MaxArraySize = 101 max_array_tasks = 50
    """
    found = []
    if config.get("MaxArraySize", "").isdecimal():
        found.append(Limit("MaxArraySize", int(config["MaxArraySize"]), MEMBERS))
    if match := _MOST.search(config.get("SchedulerParameters", "")):
        found.append(Limit("max_array_tasks", int(match[1]), MEMBERS))
    if config.get("MaxJobCount", "").isdecimal():
        count = int(config["MaxJobCount"])
        found.append(Limit("MaxJobCount", count, JOBS, "everybody's", is_certain=False))
    return found


@dataclass(frozen=True)
class Told:
    """What the accounting says of a user, and which of it concerns a job.

    Attributes
    ----------
    users : list of dict
        The user's accounts, as `USER_FORMAT` has them.
    qos : list of dict
        As `QOS_FORMAT` has them.
    cluster, account, partition, asked : str
        The cluster, and what the job asks for: an account, a partition, a QOS; empty if it
        does not.
    qos_of_partition : str
        The QOS that all jobs of the partition have besides their own; empty if there is none.
    is_enforced : bool
        Whether Slurm keeps to these limits; many sites only note them.
    associations : Associations
        What the controller says of accounts above that of the job, and of what is taken.
    user : str
    uid : int
    """

    users: list[dict[str, str]]
    qos: list[dict[str, str]] = field(default_factory=list)
    cluster: str = ""
    account: str = ""
    partition: str = ""
    asked: str = ""
    qos_of_partition: str = ""
    is_enforced: bool = True
    associations: Associations = field(default_factory=Associations)
    user: str = ""
    uid: int = 0

    def limits(self) -> list[Limit]:
        """Return the limits that count: of a QOS, or where it does not say, of the account."""
        levels, row = self._levels(), self._row()
        found = [
            *self._first(levels, "MaxSubmitPU", JOBS),
            *self._first(levels, "MaxSubmitPA", JOBS),
        ]
        if not found:
            found += self._of_account(row, "MaxSubmit", JOBS)
        found += list(self._first(levels, "GrpSubmit", JOBS)) or self._of_groups(row)
        found += list(self._first(levels, "MaxWall", SECONDS)) or list(
            self._of_account(row, "MaxWall", SECONDS)
        )
        running = list(self._first(levels, "MaxJobsPU", AT_ONCE))
        return found + (running or list(self._of_account(row, "MaxJobs", AT_ONCE)))

    def outdoes_partition(self) -> bool:
        """Tell whether a QOS lets jobs run for longer than their partition does."""
        return any("PartitionTimeLimit" in q.get("Flags", "") for q in self._levels())

    def _row(self) -> Mapping[str, str]:
        """Return the account of the job, as it is in its partition if that has one of its own."""
        rows = [row for row in self.users if row.get("Cluster", self.cluster) == self.cluster]
        account = self.account or next((row.get("Def Acct", "") for row in rows), "")
        rows = [row for row in rows if row.get("Account") == account]
        own = [row for row in rows if row.get("Partition") == self.partition]
        return next(iter(own or [row for row in rows if not row.get("Partition")]), {})

    def _levels(self) -> list[Mapping[str, str]]:
        """Return the QOS that the job has, that first which counts where both say something."""
        names = [self.qos_of_partition, self.asked or self._row().get("Def QOS") or _NORMAL]
        found: list[Mapping[str, str]] = [
            q for name in names for q in self.qos if q.get("Name") == name
        ]
        is_above = len(found) == 2 and "OverPartQOS" in found[1].get("Flags", "")
        return found[::-1] if is_above else found

    def _first(self, levels: Iterable[Mapping[str, str]], name: str, of: str) -> Iterator[Limit]:
        account = self._row().get("Account", "")
        for row in levels:
            taken = 0
            if of == JOBS:
                taken = self.associations.taken_of_qos(
                    row["Name"], name, self.user, self.uid, account
                )
            if limits := list(self._limit(row, name, of, f"QOS {row['Name']}", taken)):
                yield from limits
                return

    def _of_account(self, row: Mapping[str, str], name: str, of: str) -> Iterator[Limit]:
        account, partition = row.get("Account", ""), row.get("Partition", "")
        taken = self.associations.taken_of_user(account, partition, name) if of == JOBS else 0
        return self._limit(row, name, of, f"account {account}", taken)

    def _of_groups(self, row: Mapping[str, str]) -> list[Limit]:
        """Return the limits that all jobs of an account have together, and of those above it."""
        above = [
            Limit(
                "GrpSubmit",
                int(text),
                JOBS,
                f"account {account} with those below it",
                self.is_enforced,
                self.associations.taken_of_account(account),
            )
            for account, text in self.associations.above(row.get("Account", ""))
            if text
        ]
        return [*self._of_account(row, "GrpSubmit", JOBS), *above]

    def _limit(
        self, row: Mapping[str, str], name: str, of: str, whose: str, taken: int
    ) -> Iterator[Limit]:
        text = row.get(name, "")
        amount = parse_time_limit(text) if of == SECONDS else _count(text)
        if amount is not None:
            yield Limit(name, amount, of, whose, self.is_enforced, taken)


def _count(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
