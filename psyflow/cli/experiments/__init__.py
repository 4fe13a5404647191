"""Programs over grids without a task file: what ``psy exec`` is told, and the file it writes."""
