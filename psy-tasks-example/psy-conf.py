"""Defaults for every task of this folder. A task file may set the same names differently."""

pool_size = "auto"  # as many workers as this process may use CPUs
