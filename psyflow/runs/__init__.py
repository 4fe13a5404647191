"""Changing the folder of a run: planning, splitting, processing, merging, clearing. Private."""
