"""A Slurm for tests: its programs on PATH, which really run jobs on this machine.

`FakeSlurm` starts one process, the controller (`server`, `controller`), which keeps the table of
jobs. The programs are thin (`client`): each hands its command line to the controller, and prints
what that answers.
"""

from __future__ import annotations

from psyflow.testing.fakeslurm.cluster import FakeSlurm

__all__ = ["FakeSlurm"]
