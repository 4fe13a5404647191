"""What is said of random numbers that are not what they seem, with what to write instead."""

from __future__ import annotations

from psyflow.exceptions import DrawnAnewWarning, SeededOnceWarning, TaskWarning
from psyflow.fingerprint.randomness import RandomTrap, Trap

__all__ = ["about_trap"]

_ADVICE = {
    Trap.GENERATOR: "is run anew by each worker, and by each later run, so psets get random "
    "numbers that others have had. Instead, set a `seed` and let `execute` take an argument "
    "`rng`, such as: seed = 1; def execute(..., rng).",
    Trap.GLOBAL: "is not heeded: it would give each worker, and each later run, the same random "
    "numbers. For numbers that can be had again, set: seed = 1; seed_globals = True.",
    Trap.DRAWN: "is drawn anew by each job, and by each later run, so rows of one table are of "
    "different numbers. Draw them from a generator with a seed, such as: "
    "np.random.default_rng(1).normal(size=3).",
}


def about_trap(task: str, trap: RandomTrap) -> TaskWarning:
    """Return the warning of random numbers at the top of a file."""
    place = f"{trap.file}, line {trap.line}: `{trap.text}`"
    kind = DrawnAnewWarning if trap.kind is Trap.DRAWN else SeededOnceWarning
    return kind(task, f"{place} {_ADVICE[trap.kind]}")
