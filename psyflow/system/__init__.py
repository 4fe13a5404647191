"""The machine: files, processes, and who may use what. Private."""
