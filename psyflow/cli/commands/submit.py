"""``psy submit``: another name for ``psy run``."""

from __future__ import annotations

from psyflow.cli.commands.run import execute, server

__all__ = ["execute", "server"]
