"""Hosts without a batch system, over ssh."""

from psyflow.scheduler.ssh.ssh import Ssh

__all__ = ["Ssh"]
