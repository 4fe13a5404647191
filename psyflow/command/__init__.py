"""Programs as tasks: their command lines, their folders, and what they print."""
