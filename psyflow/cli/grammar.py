"""The commands of `psy`: what each is for, and which arguments it takes."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass

from psyflow.cli.amounts import pool_size, seconds
from psyflow.conventions import TASKDIR, WORKDIR

__all__ = ["COMMANDS", "Command"]


@dataclass(frozen=True)
class Command:
    """A command of `psy`.

    Attributes
    ----------
    summary : str
        What it does, for the list of commands.
    description : str
        The same at length.
    examples : str
    add_arguments : callable
    """

    summary: str
    description: str
    examples: str
    add_arguments: Callable[[ArgumentParser], None]


def _trust(parser: ArgumentParser) -> None:
    text = "load whatever is in a run's folder, though that may run code of who wrote it"
    parser.add_argument("--trust", action="store_true", help=text)


def _taskdir(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--taskdir",
        metavar="DIR",
        help=f"folder with the task files (default: {TASKDIR}, here or in a folder above)",
    )


def _tasks(parser: ArgumentParser, otherwise: str) -> None:
    parser.add_argument(
        "tasks",
        metavar="task",
        nargs="*",
        help=f'name of a task, or a pattern such as "fit_*"; {otherwise} if none is given',
    )
    _taskdir(parser)


def _one_task(parser: ArgumentParser) -> None:
    parser.add_argument("tasks", metavar="TASK", nargs=1, help="name of a task")
    _taskdir(parser)


def _dry_run(parser: ArgumentParser, otherwise: str) -> None:
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help=f"only show {otherwise}; change nothing"
    )


def _yes(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask, as psy does on a terminal"
    )


def _json(parser: ArgumentParser, condition: str = "") -> None:
    text = f"{condition}print one JSON document for programs"
    parser.add_argument("--json", action="store_true", help=text)


def _verbose(parser: ArgumentParser, text: str) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help=text)


def _all_with_json(parser: ArgumentParser) -> None:
    _tasks(parser, "all tasks")
    _trust(parser)
    _json(parser)


def _run(parser: ArgumentParser) -> None:
    _tasks(parser, "all tasks")
    parser.add_argument(
        "-c",
        "--continue",
        dest="keep",
        action="store_true",
        help="keep existing results although the code has changed, and add what is missing",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        dest="pool_size",
        metavar="N",
        type=pool_size,
        help='workers per job, instead of the task\'s pool_size; "auto": as many as CPUs',
    )
    choice = parser.add_mutually_exclusive_group()
    for name, text in (
        ("failed", "run only the items that failed, and leave alone those that have not run"),
        ("todo", "run only the items that have not run, and leave alone those that failed"),
    ):
        choice.add_argument(
            f"--{name}", dest="choice", action="store_const", const=name, default="all", help=text
        )
    # Its name until "missing" came to mean only one thing: without a result, failed or not.
    choice.add_argument(
        "--missing", dest="choice", action="store_const", const="todo", help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--fail-fast",
        action="store_true",
        help="stop at the first item that fails, like max_failures = 1 in the task file",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until the jobs that a scheduler runs are over, and say how it went",
    )
    _trust(parser)
    _dry_run(parser, "what would run, why, and how it would be submitted")
    _json(parser, "with -n: ")


def _status(parser: ArgumentParser) -> None:
    _tasks(parser, "all tasks")
    _verbose(parser, "also show missing and queued parameter sets, and failures")
    _trust(parser)
    _json(parser)


def _why(parser: ArgumentParser) -> None:
    _verbose(parser, "also show which code is watched, and what is not")
    _all_with_json(parser)


def _accept(parser: ArgumentParser) -> None:
    _tasks(parser, "nothing")
    _trust(parser)
    _dry_run(parser, "what would be accepted")


def _restore(parser: ArgumentParser) -> None:
    _one_task(parser)
    text = "name of a run in the archive, or its beginning; all are listed if none is given"
    parser.add_argument("run", metavar="RUN", nargs="?", help=text)
    _trust(parser)
    _dry_run(parser, "what would be moved")
    _json(parser, "without RUN: ")


def _clean(parser: ArgumentParser) -> None:
    _tasks(parser, "nothing")
    _dry_run(parser, "what would be removed")
    _yes(parser)


def _debug(parser: ArgumentParser) -> None:
    _one_task(parser)
    parser.add_argument("item", metavar="ITEM", help='number of an item, or "first-failed"')
    parser.add_argument(
        "--pdb", action="store_true", help="stop in the debugger where execute begins"
    )
    _trust(parser)


def _kill(parser: ArgumentParser) -> None:
    _tasks(parser, "nothing")
    _yes(parser)
    text = "take jobs that cannot be ended from here for gone, if their cluster is"
    parser.add_argument("--forget", action="store_true", help=text)


def _watch(parser: ArgumentParser) -> None:
    _tasks(parser, "all tasks")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        default=2.0,
        help="how often to look (default: %(default)g)",
    )
    _trust(parser)


def _log(parser: ArgumentParser) -> None:
    _one_task(parser)
    parser.add_argument(
        "item",
        metavar="ITEM",
        nargs="?",
        help='number of an item, or "first-failed"; the whole logs if none is given',
    )
    _trust(parser)


def _merge(parser: ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="folder with result files, or of a run")
    parser.add_argument("merged", metavar="FILE", help="where to put all rows")
    parser.add_argument(
        "--replace", action="store_true", help="keep none of the rows that FILE has already"
    )
    _trust(parser)


def _new_task(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the new task")
    parser.add_argument(
        "-s",
        "--scheduler",
        metavar="SCHED",
        help="scheduler to prepare the file for: slurm, sqsub, …, or package.module.Class",
    )
    _taskdir(parser)


def _doctor(parser: ArgumentParser) -> None:
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
    _taskdir(parser)
    _json(parser)


COMMANDS = {
    "run": Command(
        "bring tasks up to date",
        "Bring tasks up to date: compute the parameter sets that have no result yet, and merge\n"
        "all rows into the result file. Each step is one line: . if it is executed, -- if it is\n"
        "up to date. If the code of a task has changed, its results are put into its archive\n"
        "folder and computed anew, unless -c is given. A run that was interrupted, or in which\n"
        "items failed, goes on where it was when psy run is typed again.",
        "  psy run                  all tasks\n"
        "  psy run circle 'fit_*'   some of them, in this order\n"
        "  psy run -n circle        only show what would run, and why\n"
        "  psy run -c circle        keep results of older code\n"
        "  psy run -c --failed      mended the code? run what failed, keep the other results\n"
        "  psy run -j 4             four workers per job\n"
        "  psy run --wait circle    with a cluster: return when the jobs are over",
        _run,
    ),
    "submit": Command(
        "another name for run",
        "The same as psy run, for those who think of it as handing jobs to a cluster. Tasks\n"
        "whose scheduler is this machine are run here.",
        "  psy submit circle\n  psy submit -n circle     only show the job scripts",
        _run,
    ),
    "status": Command(
        "show how much is done",
        "Show how many rows of each task are completed, and why it is not up to date.\n"
        "Writes nothing, and may be asked at any time.",
        "  psy status\n"
        "  psy status -v circle     with the missing parameter sets\n"
        "  psy status --json",
        _status,
    ),
    "watch": Command(
        "watch tasks and their jobs",
        "Show how far tasks and their jobs are, until no job is at work any more. Only looks,\n"
        "and may be closed at any time. The cluster is asked every ten seconds, and less and\n"
        "less often.",
        "  psy watch\n  psy watch --interval 10 circle",
        _watch,
    ),
    "why": Command(
        "say why tasks are not up to date",
        "Say why each task is or is not up to date: which lines of its code changed since its\n"
        "last run, how many items are new, failed or never ran, what psy run would do with the\n"
        "old result, and what else to type. Writes nothing.",
        "  psy why circle\n  psy why -v circle        which code counts\n  psy why --json",
        _why,
    ),
    "accept": Command(
        "keep results although the code has changed",
        "Say that the results which are there are what the present code would give, so that\n"
        "psy run computes only what is missing. Needs names; accepts nothing otherwise.\n"
        "Prints what had changed.",
        "  psy accept circle\n  psy accept -n circle     only show what has changed",
        _accept,
    ),
    "restore": Command(
        "put results from the archive back",
        "List the runs in the archive of a task: when they began, how many rows they have, of\n"
        "which code, and why they are there. With RUN, put that one back; what is there now goes\n"
        "into the archive, so nothing is lost. If the code has changed since, the rows are\n"
        "outdated, and psy accept keeps them. psy run takes up by itself what the archive has\n"
        "of the present code.",
        "  psy restore circle                     what there is\n"
        "  psy restore circle 20261128T09         the run whose name begins so\n"
        "  psy restore -n circle 20261128T09      only show what would be moved",
        _restore,
    ),
    "failures": Command(
        "show what failed, and what it has in common",
        "Show the failures of items that have no result: grouped by the place in the code where\n"
        "they happened, with the parameter values that are clearly more frequent among them\n"
        "than among all items that ran, and an example with its traceback. Writes nothing.",
        "  psy failures\n  psy failures --json circle",
        _all_with_json,
    ),
    "log": Command(
        "show what a task or an item printed",
        "Print the logs of a task's jobs, in the order of its steps. With an item: its failures,\n"
        "and what the log says about them. Items are numbered from 0 in the order of the\n"
        "parameter space.",
        "  psy log circle\n  psy log circle 7\n  psy log circle first-failed",
        _log,
    ),
    "debug": Command(
        "run one item under the debugger",
        "Evaluate one item in the foreground, setup included. If it raises, Python's debugger\n"
        "opens where it did; if not, the result row is printed. Keeps nothing.",
        "  psy debug circle 7\n"
        "  psy debug circle first-failed\n"
        "  psy debug --pdb circle 7     step through execute from its first line",
        _debug,
    ),
    "list": Command(
        "list the tasks",
        "Print the name of each task, one per line.",
        "  psy list --taskdir studies",
        _taskdir,
    ),
    "test": Command(
        "try the first parameter set of tasks",
        "Evaluate the first parameter set of each task as a worker would, setup included, and\n"
        "print the result row. Runs on this machine, whatever the task's scheduler is, and keeps\n"
        "nothing.",
        "  psy test circle",
        lambda parser: _tasks(parser, "all tasks"),
    ),
    "clean": Command(
        "remove what tasks have made",
        "Remove everything that psyflow made for the tasks: results, logs, archive. Needs names;\n"
        "removes nothing otherwise. Prints what was removed.",
        "  psy clean circle\n"
        "  psy clean -n circle      only show what would be removed\n"
        "  psy clean '*'            all tasks",
        _clean,
    ),
    "kill": Command(
        "end the jobs of tasks",
        "End the queued and running jobs of the tasks, and nobody else's, and wait until they\n"
        "are gone. Finished items are kept. Needs names; ends nothing otherwise.",
        "  psy kill circle\n  psy kill -y 'fit_*'      without being asked",
        _kill,
    ),
    "merge": Command(
        "put result files together",
        "Put the rows of all result files in DIR together into FILE, below the rows it has.\n"
        "Files with another extension than FILE's are left out; the others are taken in the\n"
        "order of their names. If DIR is the folder of a run, its rows so far are taken in the\n"
        "order of the parameter space, also while it is running.",
        "  psy merge old-results all.npz\n  psy merge psy-work/circle so-far.h5",
        _merge,
    ),
    "doctor": Command(
        "look at this site, and write its profile",
        "Look which schedulers there are, and their limits, and whether the file system of the\n"
        "workdir does what psyflow needs. With --write, put what was found into site.yaml, whose\n"
        "`scheduler` and `scheduler_args` are the defaults of task files. Never replaces a file.",
        "  psy doctor\n"
        "  psy doctor --probe       also see whether a job runs, and sees our files\n"
        "  psy doctor --write       write ~/.config/psyflow/site.yaml",
        _doctor,
    ),
    "new-task": Command(
        "write a new task file",
        "Write a task file that runs as it is, to be edited. Never replaces a file.",
        "  psy new-task circle\n  psy new-task -s slurm circle",
        _new_task,
    ),
}
