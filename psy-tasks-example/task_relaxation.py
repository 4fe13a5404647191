"""How much over-relaxation solves Poisson's equation fastest? Of a solver in C, with input decks.

Each worker compiles `sor.c` when it starts. The deck of a pset is the template `sor.deck`, with
the parameters put in. Theory knows the answer: 2 / (1 + sin(pi / cells)). Without a C compiler,
there is nothing to compute, and the task says so.
"""

import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

from psyflow import Command, Param


def compiler():
    """Return the path of a C compiler; None if there is none."""
    return next(filter(None, map(shutil.which, ["cc", "gcc", "clang"])), None)


if compiler() is None:
    warnings.warn("there is no C compiler (cc, gcc or clang), so nothing to compute", stacklevel=1)

pspace = Param(cells=[16, 32, 64] if compiler() else []) * Param(
    omega=[round(1 + 0.05 * i, 2) for i in range(20)]
)
file_dep = ["sor.c"]
labels = {"omega": "relaxation factor", "sweeps": "sweeps until it is solved"}

execute = Command(
    "{solver}",
    templates={"sor.deck": "deck.in"},
    stdin="deck.in",
    parse={"sweeps": r"sweeps: (@int@)", "error": r"error: (@float@)"},
)


def setup(proc_id):
    """Compile the solver. Workers that start together do not see half of one another's."""
    solver = Path(f"build/sor-{platform.system()}-{platform.machine()}").absolute()
    solver.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=solver.parent) as folder:
        made = Path(folder) / "sor"
        command = [compiler() or "cc", "-std=c99", "-O2", "-o", str(made), "sor.c", "-lm"]
        subprocess.run(command, check=True)
        made.replace(solver)
    return {"solver": str(solver)}
