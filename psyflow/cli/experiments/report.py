"""What the user of `psy exec` hears before the runs, and after them."""

from __future__ import annotations

import shlex
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from psyflow.cli.experiments.settings import Experiment
from psyflow.cli.output import say
from psyflow.messages import counted, duration, shown_path
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.plan import Plan
from psyflow.system.allotted import usable_cpus

__all__ = ["Report"]

_LONG_SECONDS = 60.0
_MANY_RUNS = 100


class Report:
    """A summary with an estimate, and a last line.

    Parameters
    ----------
    arguments : Namespace
        Of `psy run`.
    experiments : sequence of Experiment
    n_workers : int or None
        How many runs there are at once; None if nobody knows.

    Attributes
    ----------
    summary : str
    is_long : bool
        Whether it is worth asking first.
    """

    def __init__(
        self, arguments: Namespace, experiments: Sequence[Experiment], n_workers: int | None
    ) -> None:
        self._runs = Path(arguments.taskdir).parent
        self._experiments = experiments
        self._n_workers = n_workers or usable_cpus()
        self._begin = time.monotonic()
        found = [self._before(one) for one in experiments]
        self.summary = " ".join(text for text, _ in found)
        self.is_long = any(is_long for _, is_long in found)

    def end(self) -> None:
        """Say how it went."""
        seconds = duration(time.monotonic() - self._begin)
        for experiment in self._experiments:
            self._say_end(experiment, seconds)

    def _before(self, experiment: Experiment) -> tuple[str, bool]:
        n_done, mean = self._so_far(experiment)
        n_runs = experiment.n_combinations * experiment.repeat
        n_left = max(0, n_runs - n_done)
        times = f" × {experiment.repeat}" if experiment.repeat > 1 else ""
        combinations = counted(experiment.n_combinations, "combination")
        text = f"{experiment.name}: {combinations}{times}, {counted(n_left, 'run')}"
        if n_done:
            text += f" to go after {n_done}"
        if mean is None:
            return f"{text}.", n_left >= _MANY_RUNS
        seconds = n_left * mean / self._n_workers
        if n_left:
            text += f", about {duration(seconds)} with {self._n_workers} at once"
        return f"{text}.", seconds >= _LONG_SECONDS

    def _so_far(self, experiment: Experiment) -> tuple[int, float | None]:
        """Return how many rows there are, and how many seconds one took."""
        plan = Plan.read(self._runs / experiment.name / "plan.json")
        items_file = ItemsFile(plan.layout) if plan is not None else None
        about = items_file.about() if items_file is not None else None
        if items_file is None or about is None or not about.n_rows:
            return 0, None
        return about.n_rows, float(items_file.arrays()["duration"].mean())

    def _say_end(self, experiment: Experiment, seconds: str) -> None:
        folder = self._runs / experiment.name
        plan = Plan.read(folder / "plan.json")
        about = ItemsFile(plan.layout).about() if plan is not None else None
        if about is None:
            return
        given_up = f"{about.n_failed} given up" if about.n_failed else "none given up"
        line = f"{experiment.name}: {about.n_rows} of {about.n_items} runs done, {given_up}, "
        line += f"in {seconds}."
        if about.n_rows and not experiment.patterns:
            command = f"psy parse -e {shlex.quote(str(shown_path(folder)))} -p NAME REGEX"
            line += f" Make a table of what they printed: {command}"
        say(line)
