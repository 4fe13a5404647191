"""How small do the usual programs make a text, and how long do they take? As a program is told.

`Command` runs a command line for each pset, and makes columns of what it prints. Of the four
programs, those take part that are on this machine.
"""

import shutil
import warnings

from psyflow import Command, Param

programs = list(filter(shutil.which, ["gzip", "bzip2", "xz", "zstd"]))
if not programs:
    warnings.warn("none of gzip, bzip2, xz and zstd is there, so nothing to run", stacklevel=1)

pspace = Param(program=programs) * Param(level=range(1, 10))
units = {"size": "bytes", "time": "ms"}
labels = {"size": "compressed size", "level": "compression level"}

execute = Command(
    "python3 stopwatch.py {program} -{level} -c",
    stdin="data/constitution.txt",
    parse={"size": r"bytes after: (@int@)", "time": r"milliseconds: (@float@)"},
)
