"""What Slurm's controller counts: limits of accounts, of those above them, and what is taken.

Nothing here asks Slurm anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Associations", "parse_associations"]

_QOS = re.compile(r"^QOS=([^\s(]+)")
_COUNT = re.compile(r"(\d*|N)\((\d+)\)")
_NAMES = {"MaxSubmit": "MaxSubmitJobs", "GrpSubmit": "GrpSubmitJobs", "MaxJobs": "MaxJobs"}
_OF_ONE = {
    "MaxSubmitPU": ("User", "MaxSubmitJobsPU"),
    "MaxSubmitPA": ("Account", "MaxSubmitJobsPA"),
}


@dataclass(frozen=True)
class Associations:
    """The accounts and QOS of a cluster, with what their jobs take up.

    Attributes
    ----------
    accounts : dict
        Of each account, what is said of all its jobs.
    users : dict
        The same of the user's own jobs, by account and partition.
    qos : dict
        Of each QOS, the line that tells all of it.
    """

    accounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    users: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    qos: Mapping[str, str] = field(default_factory=dict)

    def above(self, account: str) -> Iterator[tuple[str, str]]:
        """Yield the accounts that count a job of `account`, itself first, with their GrpSubmit.

        A limit is '' if there is none.
        """
        seen: set[str] = set()
        while account in self.accounts and account not in seen:
            seen.add(account)
            row = self.accounts[account]
            yield account, _count(row.get("GrpSubmitJobs", ""))[0]
            account = _before_bracket(row.get("ParentAccount", ""))

    def taken_of_account(self, account: str) -> int:
        """Return how many jobs of an account there are, with those of accounts below it."""
        return _count(self.accounts.get(account, {}).get("GrpSubmitJobs", ""))[1]

    def taken_of_user(self, account: str, partition: str, name: str) -> int:
        """Return how much the user's jobs take of a limit that the user has in an account."""
        row = self.users.get((account, partition), {})
        return _count(row.get(_NAMES.get(name, name), ""))[1]

    def taken_of_qos(self, qos: str, name: str, user: str, uid: int, account: str) -> int:
        """Return how much is taken of a limit that a QOS has for all, a user or an account."""
        text = self.qos.get(qos, "")
        if name not in _OF_ONE:
            match = re.search(rf"\b{_NAMES.get(name, name)}=(\S+)", text)
            return _count(match[1])[1] if match else 0
        whose, column = _OF_ONE[name]
        one = rf"(?:{re.escape(user)}\()?{uid}\)?" if whose == "User" else re.escape(account)
        match = re.search(
            rf"{whose} Limits=.*?(?<![\w.-]){one}=\{{[^}}]*?{column}=([^\s}}]+)", text
        )
        return _count(match[1])[1] if match else 0


def parse_associations(stdout: str, user: str) -> Associations:
    r"""Read what ``scontrol --oneliner show assoc_mgr`` prints.

    Examples
    --------
    >>> told = parse_associations(
    ...     "ClusterName=lab Account=all UserName= ParentAccount=root(1) GrpSubmitJobs=9(4)\n"
    ...     "ClusterName=lab Account=a UserName= ParentAccount=all(2) GrpSubmitJobs=N(4)\n"
    ...     "ClusterName=lab Account=a UserName=ada(7) Partition= MaxSubmitJobs=5(3)\n", "ada")
    >>> list(told.above("a"))
    [('a', ''), ('all', '9')]
    >>> told.taken_of_account("all"), told.taken_of_user("a", "", "MaxSubmit")
    (4, 3)
    """
    accounts, users, qos = {}, {}, {}
    for line in stdout.splitlines():
        if match := _QOS.match(line):
            qos[match[1]] = line
        if not line.startswith("ClusterName="):
            continue
        row = {name: value for name, _, value in (word.partition("=") for word in line.split())}
        account, owner = row.get("Account", ""), _before_bracket(row.get("UserName", ""))
        if not owner:
            accounts[account] = row
        elif owner == user:
            users[account, row.get("Partition", "")] = row
    return Associations(accounts, users, qos)


def _before_bracket(text: str) -> str:
    return text.partition("(")[0]


def _count(text: str) -> tuple[str, int]:
    """Read ``10(4)``: the limit, '' if there is none, and what is taken of it."""
    match = _COUNT.fullmatch(text)
    return ("", 0) if match is None else (match[1].replace("N", ""), int(match[2]))
