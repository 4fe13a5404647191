"""``psy doctor``: look at the site, and write its profile."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psyflow import __version__
from psyflow.cli.output import OK, TROUBLE, say, tell
from psyflow.doctor.bearing import MOST, Latencies, most_workers
from psyflow.doctor.folder import FolderFacts, look_at_folder
from psyflow.doctor.place import PlaceFacts, look_at_place
from psyflow.doctor.probe import Probe, ProbeFacts
from psyflow.exceptions import PsyflowError, UnknownNameError, UsageError
from psyflow.messages import shown_path
from psyflow.scheduler import Scheduler, scheduler_by_name, scheduler_names
from psyflow.scheduler.facts import SiteFacts
from psyflow.scheduler.profile import Site, find_site, user_site_file
from psyflow.system.files import link_new, make_folder

__all__ = ["execute"]

GIGABYTE = 1e9
LOW_SPACE = 1e9
SKEW_SECONDS = 30.0
_POOL_SIZES = (1, 32)
_TOO_BUSY = {
    "claim log": "more would wait for their claims",
    "leases": "more would say too late that they live",
    "fsync": "of more, rows would be on the disk later",
}


@dataclass(frozen=True)
class _Report:
    """What the doctor has found."""

    site: Site | None
    schedulers: dict[str, SiteFacts]
    folder: FolderFacts
    place: PlaceFacts
    probe: ProbeFacts | None = None

    def problems(self) -> list[str]:
        """Return what does not work, in sentences."""
        folder = f"{shown_path(self.folder.folder)}{_in_brackets(self.folder.kind)}"
        found = [
            f"{folder}: {problem}. Choose another workdir." for problem in self.folder.problems
        ]
        for name, facts in self.schedulers.items():
            if name in self.needed:
                found += [f"{name}: {problem}" for problem in facts.problems]
        if self.site is not None and self.site.scheduler not in (*self.schedulers, "immediate"):
            found.append(_about_missing(self.site))
        if self.probe is not None and self.probe.problem:
            found.append(self.probe.problem)
        return found

    @property
    def answering(self) -> list[str]:
        """The schedulers with which there is no problem."""
        return [name for name, facts in self.schedulers.items() if not facts.problems]

    @property
    def needed(self) -> set[str]:
        """The schedulers that have to work: the site's, or one at least of those found."""
        if self.site is not None:
            return {self.site.scheduler}
        return set() if self.answering else set(self.schedulers)


def _about_missing(site: Site) -> str:
    path, names = shown_path(site.path), scheduler_names()
    if site.scheduler not in names:
        return f"{path}: {UnknownNameError('scheduler', site.scheduler, names)}"
    return (
        f"{path} names the scheduler {site.scheduler}, which was not found here. "
        "Name another one there, or put its programs on PATH."
    )


def execute(arguments: Namespace) -> int:
    """Say what the site offers; write its profile if asked to."""
    report = _look(arguments)
    if arguments.json:
        print(json.dumps(_as_json(report), indent=2))
    else:
        for line in _lines(report, writes=arguments.write is not None):
            tell(line)
    if arguments.write is not None:
        _write(report, arguments)
    for problem in report.problems():
        say(f"Problem: {problem}")
    return TROUBLE if report.problems() else OK


def _look(arguments: Namespace) -> _Report:
    site = find_site(Path(arguments.taskdir).absolute())
    schedulers = {name: f for name in scheduler_names() if (f := _facts_of(name, site))}
    report = _Report(site, schedulers, look_at_folder(Path(arguments.workdir)), look_at_place())
    if not arguments.probe:
        return report
    name, scheduler = _scheduler_to_probe(report, arguments.scheduler)
    args = {} if site is None else site.with_defaults(scheduler, {})
    given = args or dict(scheduler.USER_DEFAULT_ARGS)
    probe = Probe(name, scheduler, given, Path(arguments.workdir), say)
    return dataclasses.replace(report, probe=probe.run(arguments.patience))


def _facts_of(name: str, site: Site | None) -> SiteFacts | None:
    try:
        if site is not None and site.scheduler == name:
            return site.make_scheduler().site()
        kind = scheduler_by_name(name)
        # What nobody can make without being told more is no part of the site.
        return None if _needs_arguments(kind) else kind().site()
    except PsyflowError as error:
        return SiteFacts(problems=(str(error),))


def _needs_arguments(kind: type[Scheduler]) -> bool:
    parameters = inspect.signature(kind).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in variadic for p in parameters)


def _scheduler_to_probe(report: _Report, name: str | None) -> tuple[str, Scheduler]:
    if name is None and report.site is not None:
        return report.site.scheduler, report.site.make_scheduler()
    chosen = _chosen(report, name)
    return chosen, scheduler_by_name(chosen)()


def _chosen(report: _Report, name: str | None) -> str:
    if name is not None:
        scheduler_by_name(name)  # or say what there is
        return name
    # What answers goes first.
    found = sorted(report.schedulers, key=lambda name: len(report.schedulers[name].problems))
    if not found:
        raise UsageError("No scheduler was found here. If there is one, name it: --scheduler NAME")
    return found[0]


# -- in words -------------------------------------------------------------------------------------


def _lines(report: _Report, *, writes: bool) -> Iterator[str]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield f"psyflow {__version__}, Python {python}, {sys.executable}"
    yield "This machine:"
    yield from report.place.lines()
    yield from _about_folder(report.folder)
    if not report.schedulers:
        yield "No scheduler was found: tasks run on this machine."
    for name, facts in report.schedulers.items():
        yield from _about_scheduler(name, facts, is_told_below=name in report.needed)
    if report.probe is not None:
        yield from report.probe.lines()
    if report.site is None:
        # Where there is nothing that it could name, none is needed.
        write = " Write one with: psy doctor --write" if report.answering else ""
        if not writes:
            yield f"There is no site profile.{write}"
    else:
        yield f"Site profile: {shown_path(report.site.path)}, scheduler {report.site.scheduler}"


def _about_folder(facts: FolderFacts) -> Iterator[str]:
    free = f"{facts.free / GIGABYTE:.1f} GB free"
    yield f"Workdir in {facts.folder}{_in_brackets(facts.kind)}: {free}"
    if facts.free < LOW_SPACE:
        yield "  That is not much: results and what workers write need room."
    for problem in facts.problems:
        yield f"  {problem}"
    if not facts.problems:
        yield "  hard links, exclusive creation and renaming work"
    if facts.sync_seconds is not None:
        yield f"  {1000 * facts.sync_seconds:.1f} ms to bring a small file to the disk"
    if facts.latencies is not None:
        yield from _about_workers(facts.latencies)
    if facts.clock_ahead is not None and abs(facts.clock_ahead) > SKEW_SECONDS:
        yield f"  its clock is {facts.clock_ahead:+.0f} s ahead of this host's"


def _about_workers(latencies: Latencies) -> Iterator[str]:
    took = {
        "a new file": latencies.create,
        "a second name": latencies.link,
        "a list of 100 names": latencies.listing,
        "rows to the disk": latencies.append + latencies.sync,
    }
    yield "  " + ", ".join(f"{what} {1000 * seconds:.2g} ms" for what, seconds in took.items())
    shares = (most_workers(latencies, size) for size in _POOL_SIZES)
    told = [
        f"{_at_most(n)} in jobs of {size} ({_TOO_BUSY[limit]})"
        for size, (n, limit) in zip(_POOL_SIZES, shares, strict=True)
    ]
    yield f"  workers that it bears with items of 1 s: {', '.join(told)}"


def _at_most(n: int) -> str:
    return f"{n} or more" if n >= MOST else f"about {n}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _about_scheduler(name: str, facts: SiteFacts, *, is_told_below: bool = False) -> Iterator[str]:
    yield f"Scheduler {name}{_in_brackets(facts.version)}"
    if unverified := scheduler_by_name(name).UNVERIFIED:
        yield f"  unverified: {unverified}"
    if facts.problems and is_told_below:
        yield "  does not work: see below"
    else:
        yield from (f"  problem: {problem}" for problem in facts.problems)
    for partition in facts.partitions:
        told = {
            "nodes": partition.n_nodes,
            "CPUs each": partition.n_cpus,
            "MB each": partition.memory,
        }
        more = [f"{value} {what}" for what, value in told.items() if value]
        limit = [f"time limit {partition.time_limit}"] if partition.time_limit else []
        default = ["default"] if partition.is_default else []
        yield f"  {partition.name}: {', '.join([*default, *limit, *more]) or 'a queue'}"
    if facts.max_array_size is not None:
        yield f"  at most {facts.max_array_size} jobs in an array; more become several arrays"
    if facts.has_accounting is not None:
        yield (
            "  has accounting: it remembers jobs that are over"
            if facts.has_accounting
            else "  has no accounting: it soon forgets jobs that are over"
        )


def _as_json(report: _Report) -> dict[str, object]:
    folder = {**dataclasses.asdict(report.folder), "folder": str(report.folder.folder)}
    return {
        "psyflow": __version__,
        "python": sys.executable,
        "site": None if report.site is None else str(report.site.path),
        "schedulers": {name: dataclasses.asdict(f) for name, f in report.schedulers.items()},
        "workdir": folder,
        "machine": dataclasses.asdict(report.place),
        "probe": None if report.probe is None else dataclasses.asdict(report.probe),
        "problems": report.problems(),
    }


# -- the profile ----------------------------------------------------------------------------------


def _write(report: _Report, arguments: Namespace) -> None:
    path = Path(arguments.write) if arguments.write else user_site_file()
    name = _chosen(report, arguments.scheduler)
    if arguments.scheduler is None and name not in report.answering:
        # All tasks would go by it from now on.
        words = ["psy", "doctor", "--write", *filter(None, [arguments.write]), "-s", name]
        raise UsageError(
            f"No profile is written, for no scheduler answers here. To write one for {name} all "
            f"the same: {shlex.join(words)}"
        )
    text = _profile(name, report.schedulers.get(name, SiteFacts()))
    make_folder(path.absolute().parent)
    if not link_new(path, text.encode()):
        raise UsageError(
            f"{path} exists already, and stays as it is. Remove it, or name another file: "
            "psy doctor --write FILE"
        )
    Site.read(path)
    say(f"Wrote {path}. Have a look at it; task files come before it.")


def _profile(name: str, facts: SiteFacts) -> str:
    import yaml

    # What the cluster would do anyway, so that the profile changes no task that ran before.
    default = facts.default_partition
    args = {} if default is None else {"partition": default.name}
    known = [f"#   {line.strip()}" for line in _about_scheduler(name, facts)]
    body = yaml.safe_dump({"scheduler": name, "scheduler_args": args}, sort_keys=False)
    head = [
        f"# What psy doctor found on {time.strftime('%Y-%m-%d')}; edit it as you like.",
        "# Defaults for `scheduler`, and for `scheduler_args` of tasks with this scheduler.",
        *known,
    ]
    return "\n".join(head) + "\n\n" + body
