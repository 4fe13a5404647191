"""Telling a Carbon server how far a survey is, by its pickle protocol."""

from __future__ import annotations

import pickle
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from psyflow.results.performance import Progress

__all__ = ["Carbon"]

SECONDS = 2.0


@dataclass(frozen=True)
class Carbon:
    """A Carbon server.

    Attributes
    ----------
    server : str
    port : int
    prefix : str
        What the names of all values begin with.
    note : callable
        Told what goes wrong: a survey does not suffer from being watched.
    """

    server: str
    port: int
    prefix: str
    note: Callable[[str], None]

    def send(self, name: str, progress: Progress) -> None:
        """Send how far a map is."""
        try:
            with socket.create_connection((self.server, self.port), SECONDS) as connection:
                connection.sendall(self.message(name, progress, time.time()))
        except OSError as error:
            self.note(f"Carbon at {self.server}:{self.port} is not told: {error}")

    def message(self, name: str, progress: Progress, now: float) -> bytes:
        """Return what is sent: a pickle, with its length before it.

        Examples
        --------
        >>> carbon = Carbon("127.0.0.1", 2004, "paramsurvey", print)
        >>> message = carbon.message("sleep worker", Progress(3, 1, 2, 0, 0), 1.0)
        >>> struct.unpack("!L", message[:4])[0] == len(message) - 4
        True
        >>> pickle.loads(message[4:])[0]
        ('paramsurvey.sleep_worker.total', (1.0, 3))
        """
        path = f"{self.prefix}.{re.sub(r'[^A-Za-z0-9_-]', '_', name)}"
        values = [(f"{path}.{what}", (now, n)) for what, n in asdict(progress).items()]
        payload = pickle.dumps(values, protocol=2)
        return struct.pack("!L", len(payload)) + payload
