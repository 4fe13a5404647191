"""The words of ``psy doctor``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.amounts import seconds
from psyflow.cli.arguments import add_json, add_taskdir
from psyflow.cli.grammar import Command
from psyflow.conventions import WORKDIR

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--workdir",
        metavar="DIR",
        default=WORKDIR,
        help="folder for runs, whose file system is tried (default: %(default)s)",
    )
    parser.add_argument(
        "--probe",
        action="store_true",
        help="submit a small job, and measure how fast hosts see each other's files",
    )
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=seconds,
        default=300.0,
        help="how long to wait for that job (default: %(default)g)",
    )
    parser.add_argument(
        "--write",
        metavar="FILE",
        nargs="?",
        const="",
        help="write the site profile; to ~/.config/psyflow/site.yaml unless FILE says otherwise",
    )
    parser.add_argument(
        "-s",
        "--scheduler",
        metavar="SCHED",
        help="scheduler for the job and the profile, if several are found",
    )
    add_taskdir(parser)
    add_json(parser)


COMMAND = Command(
    summary="look at this site, and write its profile",
    description="""\
Look which schedulers there are, and their limits, and whether the file system of the
workdir does what psyflow needs. With --write, put what was found into site.yaml, whose
`scheduler` and `scheduler_args` are the defaults of task files. Never replaces a file.""",
    examples="""\
  psy doctor
  psy doctor --probe       also see whether a job runs, and sees our files
  psy doctor --write       write ~/.config/psyflow/site.yaml""",
    acts=False,
    add_arguments=_add_arguments,
)
