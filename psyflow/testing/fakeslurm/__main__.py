"""Runs the process of a fake Slurm."""

from __future__ import annotations

import sys

from psyflow.testing.fakeslurm.server import main

if __name__ == "__main__":
    main(sys.argv[1:])
