"""Whether a job of the site runs, and how fast its host and this one see each other's files."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from psyflow.doctor.folder import nearest_folder
from psyflow.doctor.place import PlaceFacts
from psyflow.exceptions import SchedulerError
from psyflow.messages import duration
from psyflow.scheduler import Scheduler
from psyflow.scheduler.base import OVER
from psyflow.system.lease import server_time

__all__ = ["Probe", "ProbeFacts"]

ASK_SECONDS = 5.0
LOOK_SECONDS = 0.02
SKEW_SECONDS = 30.0
_ENDING = (signal.SIGTERM, signal.SIGHUP)

_JOB = """
import json, os, pathlib, socket, sys, time
folder = pathlib.Path(sys.argv[1])

def write(name, content):
    temporary = folder / f".{name}"
    temporary.write_text(json.dumps(content))
    os.replace(temporary, folder / name)

def now():
    probe = folder / ".now-there"
    probe.touch()
    return probe.stat().st_mtime

try:
    from dataclasses import asdict
    from psyflow.doctor.place import look_at_place
    about = asdict(look_at_place())
except ImportError as error:
    about = {"problem": str(error)}
write("about", {**about, "skew": time.time() - now()})
write("there", socket.gethostname())
deadline = time.monotonic() + float(sys.argv[2])
while "here" not in os.listdir(folder) and time.monotonic() < deadline:
    time.sleep(0.02)
if (folder / "here").exists():
    write("seen", now() - (folder / "here").stat().st_mtime)
"""


@dataclass(frozen=True)
class ProbeFacts:
    """How a job fared.

    Attributes
    ----------
    scheduler : str
    host : str
        Where it ran; empty if it did not.
    queued : float
        Seconds from its submission until its first file was seen.
    seen_here, seen_there : float or None
        Seconds until this host saw a file of the job's, and the other way round.
    about : PlaceFacts or None
        What the job found there; None if psyflow cannot be imported there.
    skew : float
        Seconds by which the clock there is ahead of the file server's.
    lost : list of str
        Variables of the environment that did not reach the job.
    problem : str
        What went wrong, empty if nothing did.
    """

    scheduler: str
    host: str = ""
    queued: float = 0.0
    seen_here: float | None = None
    seen_there: float | None = None
    about: PlaceFacts | None = None
    skew: float = 0.0
    lost: list[str] = field(default_factory=list)
    problem: str = ""

    def lines(self) -> Iterator[str]:
        """Say it in words."""
        if not self.host:
            return
        waited = duration(self.queued)
        yield f"A job of {self.scheduler} ran on {self.host}, {waited} after its submission"
        for seconds, where in ((self.seen_here, "here"), (self.seen_there, "there")):
            if seconds is not None:
                yield f"  a new file was seen {where} after {max(seconds, 0.0):.2f} s"
        if abs(self.skew) > SKEW_SECONDS:
            yield f"  its clock is {self.skew:+.0f} s ahead of the file server's, which counts"
        if self.about is not None:
            yield f"  it ran as {self.about.user}"
            yield from self.about.lines()
        if self.lost:
            shown = ", ".join(self.lost[:5]) + (", …" if len(self.lost) > 5 else "")
            yield f"  {len(self.lost)} variables of the environment did not reach it: {shown}"
        else:
            yield "  the environment of the submission reached it"


class Probe:
    """Submits one small job, and sees to it that it ends.

    Parameters
    ----------
    name : str
    scheduler : Scheduler
    scheduler_args : mapping
    workdir : Path
        On the file system that is tried.
    say : callable
        Told what is waited for.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        scheduler_args: Mapping[str, object],
        workdir: Path,
        say: Callable[[str], None],
    ) -> None:
        self._name = name
        self._scheduler = scheduler
        self._args = scheduler_args
        self._workdir = workdir
        self._say = say

    def run(self, patience: float) -> ProbeFacts:
        """Submit the job, wait at most `patience` seconds for it, and return how it fared."""
        place = nearest_folder(self._workdir)
        with (
            tempfile.TemporaryDirectory(prefix=".psyflow-doctor-", dir=place) as folder,
            _terminated_as_interrupted(),
        ):
            return self._try(Path(folder), patience)

    def _try(self, folder: Path, patience: float) -> ProbeFacts:
        words = [sys.executable, "-P", "-c", _JOB, str(folder), str(patience)]
        begin = time.monotonic()
        jobid = None
        try:
            jobid = self._scheduler.submit(
                words, folder / "log", "psyflow-doctor", None, self._args
            )
            self._say(f"Waiting at most {duration(patience)} for job {jobid} of {self._name} …")
            if not self._wait_for(folder / "there", jobid, begin + patience):
                return ProbeFacts(self._name, problem=self._why(jobid, folder, patience))
            seen_here = server_time(folder) - (folder / "there").stat().st_mtime
            queued = time.monotonic() - begin
            about = json.loads((folder / "about").read_text())
            skew, problem = about.pop("skew"), about.pop("problem", "")
            (folder / "here").touch()
            self._wait_for(folder / "seen", jobid, time.monotonic() + patience)
            return ProbeFacts(
                self._name,
                host=json.loads((folder / "there").read_text()),
                queued=queued,
                seen_here=seen_here,
                seen_there=json.loads((folder / "seen").read_text()),
                about=None if problem else PlaceFacts.from_json(about),
                skew=skew,
                lost=sorted(os.environ.keys() - set(about.get("variables", os.environ))),
                problem=f"psyflow cannot be imported in a job: {problem}" if problem else "",
            )
        except (SchedulerError, FileNotFoundError) as error:
            return ProbeFacts(self._name, problem=f"{self._name}: {error}")
        finally:
            if jobid is not None:
                with contextlib.suppress(SchedulerError, OSError):  # it may be over, and forgotten
                    self._scheduler.kill(jobid)

    def _wait_for(self, path: Path, jobid: str, deadline: float) -> bool:
        asked = time.monotonic()
        # Listing a folder makes NFS look; asking for a name that was not there may not.
        while not any(entry.name == path.name for entry in path.parent.iterdir()):
            if time.monotonic() > deadline:
                return False
            if time.monotonic() - asked > ASK_SECONDS:
                asked = time.monotonic()
                status = self._scheduler.get_status(jobid)
                if status is not None and status.status in OVER:
                    # A last look: it may have ended well.
                    return path.exists()
            time.sleep(LOOK_SECONDS)
        return True

    def _why(self, jobid: str, folder: Path, patience: float) -> str:
        status = self._scheduler.get_status(jobid)
        log = folder / "log"
        said = log.read_text(errors="replace").strip() if log.exists() else ""
        told = "" if status is None else f", state {status.status} {status.reason}".rstrip()
        return (
            f"{self._name}: job {jobid} has made no file within {duration(patience)}{told}. "
            f"{said or 'Try a longer --patience.'}"
        )


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have signals unwind the stack, so that the job is ended."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
