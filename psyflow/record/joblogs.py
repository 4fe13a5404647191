"""What the logs of jobs say last, of those above all that ended before their first item."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.system.reading import is_there, no_pipe
from psyflow.texts import cut

__all__ = ["Stillborn", "has_heading", "last_words", "stillborn"]

_LAST_BYTES = 1 << 20
_LAST_LINES = 8
_MOST_CHARACTERS = 4000
_MOST_LOGS = 100
_SLACK_SECONDS = 2.0
_GAVE_UP = re.compile(r"Worker \d+ gave up")
_PROLOGUE = "prologue"
"""What stands in the place of a step's name where a node is prepared for it."""
_HEADING = re.compile(r"^=== \S+ \S+ (.+) of (\S+), process \d+ on .+$", re.MULTILINE)
_OURS = ("psyflow: a line of the prologue", "psyflow: the prologue")
_NOT_BEGUN = (
    "(psyflow did not begin in this job. Where nothing above says why, a line of the `prologue` "
    "has ended it, by `exec` or `exit`, or the job was ended before the prologue was done.)"
)
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*.*$", re.M)


@dataclass(frozen=True)
class Stillborn:
    """Jobs that ended before their first item, and said the same about it.

    Attributes
    ----------
    jobs : list of str
        ``split``, ``process:0``, …
    log : Path
        Of the first one.
    words : str
        With what it ends.
    """

    jobs: list[str]
    log: Path
    words: str

    @property
    def name(self) -> str:
        """The jobs in words.

        Examples
        --------
        >>> Stillborn(["process:0", "process:1", "process:2"], Path("a"), "").name
        'job process:0 and 2 more'
        """
        more = f" and {len(self.jobs) - 1} more" if len(self.jobs) > 1 else ""
        return f"job {self.jobs[0]}{more}"


def stillborn(plan: Plan) -> list[Stillborn]:
    """Return which jobs of a plan that is not at work have ended before their first item."""
    if not plan.n_pending:
        return []
    found: dict[str, list[str]] = {}
    began = _time_of(plan.frozen.plan_file)
    for job in _without_outcomes(plan):
        log = plan.layout.log(job)
        # That of another plan says nothing of this one. Clocks are coarse.
        if began is not None and (_time_of(log) or 0.0) >= began - _SLACK_SECONDS:
            words = _end_of(log, plan.run_id)
            if words:
                found.setdefault(words, []).append(job)
    return [Stillborn(jobs, plan.layout.log(jobs[0]), words) for words, jobs in found.items()]


def _without_outcomes(plan: Plan) -> Iterator[str]:
    """Yield the names of the first jobs that have written nothing."""
    layout = plan.layout
    if not is_there(plan.frozen.batch(0)):
        yield "split"
        return
    have_some = {Layout.job_of(shard) for shard in layout.shards(plan.run_id)}
    jobs = (job for job in range(plan.n_jobs) if str(job) not in have_some)
    for job, _ in zip(jobs, range(_MOST_LOGS), strict=False):
        yield f"process:{job}"


def _time_of(file: Path) -> float | None:
    with contextlib.suppress(OSError):
        return file.stat().st_mtime
    return None


def _end_of(log: Path, run_id: str) -> str:
    """Return what a log says last of a run; nothing if that is only that the job has begun."""
    text = _tail(log, 0)
    headings = [found for found in _HEADING.finditer(text) if found[2] == run_id]
    words = _words_in(text[headings[-1].end() :] if headings else text)
    has_begun = not headings or headings[-1][1] != _PROLOGUE
    return words if has_begun or "psyflow: " in words else f"{words}\n{_NOT_BEGUN}".lstrip("\n")


def has_heading(log: Path, start: int, run_id: str) -> bool:
    """Tell whether psyflow has begun a job of a run, by its log from byte `start` on."""
    with no_pipe(log).open("rb") as file:
        file.seek(start)
        text = file.read(_LAST_BYTES).decode(errors="replace")
    return any(found[2] == run_id and found[1] != _PROLOGUE for found in _HEADING.finditer(text))


def last_words(log: Path, start: int) -> str:
    """Return the last traceback in a log from byte `start` on, or else the last lines.

    That a worker gave up is left out: it follows what it gave up for.
    """
    try:
        return _words_in(_tail(log, start), n_lines=1)
    except OSError as error:
        return f"The log cannot be read: {error}"


def _tail(log: Path, start: int) -> str:
    with no_pipe(log).open("rb") as file:
        file.seek(max(start, log.stat().st_size - _LAST_BYTES))
        return file.read().decode(errors="replace")


def _words_in(text: str, n_lines: int = _LAST_LINES) -> str:
    tracebacks = list(_TRACEBACK.finditer(text))
    if tracebacks:
        # What was said of it stands before it: that `setup` failed, for example.
        return cut(
            _said_before(text, tracebacks[-1].start()) + tracebacks[-1][0], _MOST_CHARACTERS
        )
    lines = [line for line in text.splitlines() if line.strip() and not _GAVE_UP.match(line)]
    ours = [number for number, line in enumerate(lines) if line.startswith(_OURS)]
    if ours:  # an epilogue may say more than anybody wants to know
        n_lines = min(max(n_lines, len(lines) - ours[0]), _LAST_LINES)
    return cut("\n".join(lines[-n_lines:]), _MOST_CHARACTERS)


def _said_before(text: str, end: int) -> str:
    """Return the sentence that stands right before a traceback, if it is psyflow's."""
    line = text[:end].rstrip("\n").rpartition("\n")[2]
    is_of_task = line.endswith((".", ":")) and ".py" in line
    return f"{line}\n" if is_of_task else ""
