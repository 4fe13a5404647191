"""The machines that programs run on, as users say them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from psyflow.exceptions import UsageError

__all__ = ["Cluster", "Node", "node_of"]

# None of them begins with a -, or ssh would take it for an option.
_USER = r"[^-@\s][^@\s]*"
_HOST = r"\[[^\]\s]+\]|[^-:@*\s\[\]][^:@*\s\[\]]*"
_BARE_IPV6 = r"[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:%\w+)?"
_TARGET = re.compile(
    rf"(?:ssh://)?(?:(?P<user>{_USER})@)?(?P<host>{_HOST})(?::(?P<port>\d+))?(?:\*(?P<workers>\d+))?"
)
_SSH_PORT = 22
_END_OF_PORTS = 1 << 16


@dataclass(frozen=True)
class Node:
    """A machine.

    Attributes
    ----------
    name : str
    host : str
        As `ssh` takes it.
    workers : int or None
        How many programs it runs at once; None for as many as it has processors.
    tags : tuple of str
    """

    name: str
    host: str
    workers: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """Machines; none of them stands for this one.

    Attributes
    ----------
    name : str
    nodes : tuple of Node
    ssh : str
        How `ssh` is called; ``""`` for just that.
    """

    name: str = "quick_cluster"
    nodes: tuple[Node, ...] = field(default=())
    ssh: str = ""

    def with_tags(self, tags: Collection[str]) -> Cluster:
        """Return the cluster of those nodes that have all of the tags."""
        if not tags:
            return self
        kept = tuple(node for node in self.nodes if set(tags) <= {*node.tags, node.name})
        if not kept:
            raise UsageError(f"No node has the tags {', '.join(sorted(tags))}.")
        return replace(self, nodes=kept)

    def check(self) -> None:
        """Raise `UsageError` if two nodes have one name, or are one machine."""
        for what in ("name", "host"):
            found = [getattr(node, what) for node in self.nodes]
            for one in found:
                if found.count(one) > 1:
                    raise UsageError(f'Two nodes of the cluster have the {what} "{one}".')


def node_of(words: Sequence[str]) -> Node:
    """Return the node of ``--node [NAME] USER@HOST:PORT[*WORKERS] [WORKERS] [TAG …]``.

    Examples
    --------
    >>> node_of(["ada@lab1:2222*8"])
    Node(name='lab1', host='ssh://ada@lab1:2222', workers=8, tags=())
    >>> node_of(["fast", "ada@lab1", "4", "gpu"])
    Node(name='fast', host='ada@lab1', workers=4, tags=('gpu',))
    """
    name, words = _name_and_rest(words)
    match = _TARGET.fullmatch(words[0])
    if match is None:
        raise UsageError(
            f"--node {words[0]}: a node is user@host:port, or user@host:port*4 for 4 workers."
        )
    rest = list(words[1:])
    workers = match["workers"] or (rest.pop(0) if rest and rest[0].isdigit() else None)
    if workers is not None and int(workers) < 1:
        raise UsageError(f"--node {words[0]}: a node has 1 worker or more.")
    return Node(
        name or match["host"].strip("[]"),
        target(match["user"], match["host"], int(match["port"]) if match["port"] else None),
        None if workers is None else int(workers),
        tuple(rest),
    )


def _name_and_rest(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Tell a name from an address: that has an @ or a port, or stands alone or before a number."""
    is_named = len(words) > 1 and not words[1].isdigit() and not any(s in words[0] for s in "@:*")
    return (words[0], words[1:]) if is_named else ("", words)


def target(user: str | None, host: str, port: int | None) -> str:
    """Return a machine as `ssh` takes it.

    Raises
    ------
    UsageError
        If it is none.
    """
    if re.fullmatch(_BARE_IPV6, host) and port is not None:
        host = f"[{host}]"
    if not re.fullmatch(f"{_HOST}|{_BARE_IPV6}", host):
        raise UsageError(f"{host!r} is no host that ssh could reach.")
    if user and not re.fullmatch(_USER, user):
        raise UsageError(f"{user!r} is no user at {host}.")
    if port is not None and not 0 < port < _END_OF_PORTS:
        raise UsageError(f"{host}: a port is a number from 1 to {_END_OF_PORTS - 1}, not {port}.")
    at = f"{user}@{host}" if user else host
    return at if port in (None, _SSH_PORT) else f"ssh://{at}:{port}"
