"""What a survey says of itself: as often as ``verbose`` and ``vstats`` have it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from psyflow.mapper.outcome import Outcome
from psyflow.results.performance import Progress
from psyflow.survey.carbon import Carbon
from psyflow.survey.logfile import LogFile
from psyflow.survey.results import MapResults

__all__ = ["Reporter"]

SECONDS = {0: float("inf"), 1: 30.0, 2: 1.0}
"""Between two lines, by how much is to be said; of every pset beyond that."""
CARBON_SECONDS = 10.0


class Reporter:
    """Says how far a map is, and writes down what went wrong.

    Parameters
    ----------
    name : str
        Of the map.
    chosen : mapping
        The settings.
    log : LogFile
    carbon : Carbon or None
    seconds : float, optional
        Between two lines.
    """

    def __init__(
        self,
        name: str,
        chosen: Mapping[str, Any],
        log: LogFile,
        carbon: Carbon | None,
        seconds: float | None = None,
    ) -> None:
        self._name = name
        self._verbose, self._vstats = chosen["verbose"], chosen["vstats"]
        self._log = log
        self._carbon = carbon
        interval = SECONDS[min(self._verbose, 2)]
        self._seconds = seconds if seconds and self._verbose else interval
        self._begin = time.monotonic()

    def heard(self, outcome: Outcome) -> None:
        """Hear of an outcome."""
        failure = outcome.failure
        if failure is not None:
            pset = dict(outcome.pset)
            self._log.exception(pset, failure.exception, failure.traceback)
            if self._verbose >= 2:
                self._say(f"failed: {pset}: {failure.exception}\n{failure.traceback}".rstrip())
        elif self._verbose >= 3:
            self._say(f"done in {outcome.duration:.3g} s: {outcome.row}")

    @contextlib.contextmanager
    def shown(self, progress: Callable[[], Progress]) -> Iterator[None]:
        """Say how far it is, now and then, while the block is executed; and at its end."""
        is_over = threading.Event()
        beats = [(self._seconds, lambda: self._say(str(progress())))]
        if (carbon := self._carbon) is not None:
            beats.append((CARBON_SECONDS, lambda: carbon.send(self._name, progress())))
        threads = [
            threading.Thread(target=_each, args=[*beat, is_over], daemon=True)
            for beat in beats
            if beat[0] < float("inf")
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
            if carbon is not None:
                carbon.send(self._name, progress())
            self._log.write(f"map {self._name}: {progress()}")

    def end(self, results: MapResults) -> None:
        """Say what it came to."""
        progress, elapsed = results.progress, time.monotonic() - self._begin
        if self._verbose >= 2 or progress.failures or elapsed > self._seconds:
            self._say(str(progress))
        stats = f"{results.stats}"
        self._log.write(f"map {self._name}: {stats}")
        if self._vstats >= 2 or (self._vstats and elapsed > SECONDS[1]):
            self._say(stats)

    def _say(self, text: str) -> None:
        if self._verbose:
            with contextlib.suppress(OSError, ValueError):
                print(f"{self._name}: {text}", file=sys.stderr, flush=True)


def _each(seconds: float, beat: Callable[[], None], is_over: threading.Event) -> None:
    while not is_over.wait(seconds):
        beat()
