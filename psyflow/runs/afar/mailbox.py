"""A line from workers to the driver, beside what the engine returns of a block as a whole.

By it outcomes come back while others of their block are running, and workers hear that they are to
stop, whatever the engine is; and that the driver is gone. Where a worker cannot reach the driver,
which only a firewall keeps from it, outcomes come at the end of their block.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import numpy as np

from psyflow.runs.afar.block import Address, Items, Reply

__all__ = ["DriverGoneError", "Line", "Mailbox", "Told"]

CONNECT_SECONDS = 2.0


class DriverGoneError(Exception):
    """Nobody is at the other end of a line any more."""


@dataclass(frozen=True)
class _Begin:
    """A worker begins with a block, and asks what of it is done."""

    number: int


@dataclass(frozen=True)
class _Part:
    """A worker tells what is done of a block, and asks how soon it is to stop."""

    number: int
    reply: Reply


@dataclass(frozen=True)
class Told:
    """What a worker hears from the driver.

    Attributes
    ----------
    stop_level : int
        How soon it is to stop: 0, not at all; 1, after the running item; 2, at once.
    asked : tuple of int
        Items of which somebody wants to know where they are.
    done : ndarray of int64
        Items of the block that are done; empty if it was not asked.
    """

    stop_level: int
    asked: tuple[int, ...] = ()
    done: Items = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class Mailbox:
    """The driver's end of all lines.

    Attributes
    ----------
    stop_level : int
        How soon workers are to stop: 1, after the running item; 2, at once.
    asked : tuple of int
        Items of which somebody wants to know where they are.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._names = _names_of_here()
        self._listener = socket.create_server(("", 0))
        self._port: int = self._listener.getsockname()[1]
        self._parts: queue.SimpleQueue[tuple[int, Reply]] = queue.SimpleQueue()
        self._settled: dict[int, set[int]] = {}
        self._over: set[int] = set()
        self.stop_level = 0
        self.asked: tuple[int, ...] = ()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> Address:
        """Where workers find it."""
        return Address(self._names, self._port, self._key)

    def parts(self) -> list[tuple[int, Reply]]:
        """Return what has come since the last call: numbers of blocks, and parts of replies."""
        parts = []
        with contextlib.suppress(queue.Empty):
            while True:
                parts.append(self._parts.get_nowait())
        return parts

    def settled(self, number: int) -> Items:
        """Return the items of a block that have come as part of it."""
        return np.array(sorted(self._settled.get(number, ())), dtype=np.int64)

    def forget(self, number: int) -> None:
        """Forget a block that has come back, or is lost; whoever is still at it is to end."""
        self._over.add(number)
        self._settled.pop(number, None)

    def is_over(self, number: int) -> bool:
        """Tell whether a block was forgotten."""
        return number in self._over

    def _level(self, number: int) -> int:
        return 2 if self.is_over(number) else self.stop_level

    def close(self) -> None:
        """Let nobody in any more."""
        # A thread that waits for somebody would keep the port.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # it is closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        connection: Connection[Any, Any] = Connection(accepted.detach())
        with contextlib.suppress(EOFError, OSError, AuthenticationError), connection:
            # Nothing is unpickled of somebody who has not got the key.
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            while True:
                message = connection.recv()
                if isinstance(message, _Begin):
                    done = self.settled(message.number)
                    connection.send(Told(self._level(message.number), done=done))
                    continue
                settled = self._settled.setdefault(message.number, set())
                settled.update(message.reply.settled().tolist())
                self._parts.put((message.number, message.reply))
                connection.send(Told(self._level(message.number), self.asked))


class Line:
    """A worker's end of a line.

    Parameters
    ----------
    address : Address

    Raises
    ------
    OSError
        If the driver cannot be reached.
    """

    def __init__(self, address: Address) -> None:
        self._connection = _connected(address)

    def begin(self, number: int) -> Told:
        """Return which items of a block are done already, and whether to begin with the others.

        Raises
        ------
        DriverGoneError
            If the driver is gone.
        """
        told: Told = self._ask(_Begin(number))
        return told

    def tell(self, number: int, reply: Reply) -> Told:
        """Tell what is done of a block, and hear what is to be done.

        Raises
        ------
        DriverGoneError
            If the driver is gone.
        """
        told: Told = self._ask(_Part(number, reply))
        return told

    def _ask(self, message: object) -> Any:
        try:
            self._connection.send(message)
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise DriverGoneError from error

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _connected(address: Address) -> Connection[Any, Any]:
    for host in address.hosts:
        try:
            reached = socket.create_connection((host, address.port), CONNECT_SECONDS)
        except OSError:
            continue
        reached.settimeout(None)
        connection: Connection[Any, Any] = Connection(reached.detach())
        try:
            # Another service may have this port there, and say nothing.
            if connection.poll(CONNECT_SECONDS):
                answer_challenge(connection, address.key)
                deliver_challenge(connection, address.key)
                return connection
        except (OSError, EOFError, AuthenticationError):
            pass
        connection.close()
    raise ConnectionError("the driver cannot be reached")


def _names_of_here() -> tuple[str, ...]:
    """Return by what others may reach this host; the last one only from itself."""
    names = [socket.gethostname(), socket.getfqdn()]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: it is only asked which address would be used.
        probe.connect(("10.255.255.255", 1))
        names.insert(0, probe.getsockname()[0])
    return (*dict.fromkeys(names), "127.0.0.1")
