"""Add ten rows to a table of squares in HDF5 by hand: it is read, and written anew."""

import os
import sys
from pathlib import Path

import numpy as np
import tables

path, n = Path(sys.argv[1]), int(sys.argv[2])
if not path.exists():
    x = np.arange(n)
else:
    with tables.open_file(path) as file:
        x = file.root.x[:]
        y = file.root.y[:]
    x = np.arange(len(x) + 10)
with tables.open_file("new.h5", "w") as file:
    file.create_array("/", "x", x)
    file.create_array("/", "y", x**2)
with Path("new.h5").open("rb") as file:
    os.fsync(file.fileno())
Path("new.h5").replace(path)
