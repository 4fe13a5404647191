"""What `sacctmgr` says of how many jobs somebody may have. Nothing here asks Slurm anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["ASSOC_FORMAT", "QOS_FORMAT", "parse_limits", "told_limits"]

ASSOC_FORMAT = "Account,QOS,MaxJobs,MaxSubmitJobs,GrpSubmitJobs"
QOS_FORMAT = "Name,MaxJobsPU,MaxSubmitPU,MaxSubmitPA,GrpSubmit"
_WHOSE = ("Name", "Account", "QOS")
_RUNNING = ("MaxJobs", "MaxJobsPU")


def parse_limits(stdout: str) -> list[dict[str, str]]:
    r"""Read the table that ``sacctmgr --parsable2`` prints, whose first line names the columns.

    Examples
    --------
    >>> parse_limits("Account|MaxSubmit\nphysics|10\n")
    [{'Account': 'physics', 'MaxSubmit': '10'}]
    """
    head, *rows = [line.split("|") for line in stdout.splitlines() if "|" in line] or [[]]
    return [dict(zip(head, row, strict=True)) for row in rows if len(row) == len(head)]


def told_limits(rows: Iterable[Mapping[str, str]], account: str | None = None) -> list[str]:
    """Return limits in words.

    Parameters
    ----------
    rows : iterable of mapping
        As `parse_limits` reads them.
    account : str, optional
        The only one that counts, if jobs name one.

    Examples
    --------
    >>> told_limits([{"Account": "physics", "MaxSubmit": "10", "MaxJobs": ""}])
    ['MaxSubmit = 10 jobs submitted (account physics)']
    """
    found = []
    for row in rows:
        if account is not None and row.get("Account", account) != account:
            continue
        whose = f"QOS {row['Name']}" if "Name" in row else f"account {row.get('Account', '?')}"
        for name, value in row.items():
            if name not in _WHOSE and value.isdecimal():
                what = "running" if name in _RUNNING else "submitted"
                found.append(f"{name} = {value} jobs {what} ({whose})")
    return list(dict.fromkeys(found))
