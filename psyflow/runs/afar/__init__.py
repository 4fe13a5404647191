"""Runs whose items an engine evaluates, which shares no files with the run's folder."""
