"""The grammar of the command line, and its help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from psyflow.exceptions import did_you_mean

__all__ = ["AUTO", "COMMANDS", "Command", "parse"]

AUTO = 0
"""What ``-j auto`` becomes here: counting CPUs is left to those who know how."""

DESCRIPTION = """\
Make for parameter studies: brings the results of task files up to date.

A task file says which parameters to explore, which function to evaluate on them, where to keep
the results and what runs the jobs. Task files are psy-tasks/task_NAME.py."""

EPILOG = """\
examples:
  psy new-task circle      write psy-tasks/task_circle.py, which runs as it is
  psy test circle          try its first parameter set
  psy run circle           compute what is missing
  psy status               see what is done

"psy COMMAND --help" says more about a command.
exit codes: 0 done, 1 items failed, 2 wrong usage, 3 another error, 130 interrupted"""


class _Parser(argparse.ArgumentParser):
    """An argparse parser with texts as they are written, and options in full only."""

    def __init__(self, **settings: object) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,  # type: ignore[arg-type]
        )

    def option_names(self) -> list[str]:
        return list(self._option_string_actions)


def _pool_size(text: str) -> int:
    if text == "auto":
        return AUTO
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'it must be "auto" or 1 or more, not {text}')
    return number


def _taskdir(parser: _Parser) -> None:
    parser.add_argument(
        "--taskdir",
        metavar="DIR",
        default="psy-tasks",
        help="folder with the task files (default: %(default)s)",
    )


def _tasks(parser: _Parser, otherwise: str) -> None:
    parser.add_argument(
        "tasks",
        metavar="task",
        nargs="*",
        help=f'name of a task, or a pattern such as "fit_*"; {otherwise} if none is given',
    )
    _taskdir(parser)


def _run(parser: _Parser) -> None:
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
        type=_pool_size,
        help='workers per job, instead of the task\'s pool_size; "auto": as many as CPUs',
    )
    parser.add_argument(
        "--fail-fast",
        action="store_true",
        help="stop at the first item that fails, like max_failures = 1 in the task file",
    )


def _status(parser: _Parser) -> None:
    _tasks(parser, "all tasks")
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="also show missing and queued parameter sets, and failures",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document for programs")


def _merge(parser: _Parser) -> None:
    parser.add_argument("directory", metavar="DIR", help="folder with result files, or of a run")
    parser.add_argument("merged", metavar="FILE", help="where to put all rows")


def _new_task(parser: _Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the new task")
    parser.add_argument(
        "-s",
        "--scheduler",
        metavar="SCHED",
        help="scheduler to prepare the file for: slurm, sqsub, …, or package.module.Class",
    )
    _taskdir(parser)


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
    add_arguments: Callable[[_Parser], None]


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
        "  psy run -c circle        keep results of older code\n"
        "  psy run -j 4             four workers per job",
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
        "  psy clean circle\n  psy clean '*'            all tasks",
        lambda parser: _tasks(parser, "nothing"),
    ),
    "kill": Command(
        "end the jobs of tasks",
        "End the queued and running jobs of the tasks, and nobody else's. Finished items are\n"
        "kept. Needs names; ends nothing otherwise.",
        "  psy kill circle",
        lambda parser: _tasks(parser, "nothing"),
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
    "new-task": Command(
        "write a new task file",
        "Write a task file that runs as it is, to be edited. Never replaces a file.",
        "  psy new-task circle\n  psy new-task -s slurm circle",
        _new_task,
    ),
}


def _build() -> tuple[_Parser, dict[str, _Parser]]:
    """Return the parser of `psy`, and that of each command."""
    parser = _Parser(prog="psy", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument(
        "--version", action="store_true", help="show the version of psyflow and exit"
    )
    group = parser.add_subparsers(title="commands", metavar="command", parser_class=_Parser)
    commands = {}
    for name, command in COMMANDS.items():
        commands[name] = group.add_parser(
            name,
            help=command.summary,
            description=command.description,
            epilog=f"examples:\n{command.examples}",
        )
        command.add_arguments(commands[name])
    return parser, commands


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; the result tells the command's name and module, and its arguments.

    Raises
    ------
    SystemExit
        After help, the version, or a message about what is wrong with the command line.
    """
    parser, commands = _build()
    place = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    top = parser.parse_args(argv[:place])
    if top.version:
        from psyflow import __version__

        print(f"psyflow {__version__}")
        parser.exit()
    if place == len(argv):
        parser.print_help()
        parser.exit(2)
    name = argv[place]
    if name not in commands:
        suggestion = did_you_mean(name, commands, 0.6)
        parser.error(f'there is no command "{name}".{suggestion} Known: {", ".join(commands)}.')
    arguments = _parse_command(commands[name], argv[place + 1 :])
    arguments.command = name
    arguments.module = f"psyflow.cli.commands.{name.replace('-', '_')}"
    return arguments


def _parse_command(parser: _Parser, words: Sequence[str]) -> argparse.Namespace:
    # "Intermixed", because options may stand between the names of tasks.
    arguments, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        # What follows an unknown option may be its value, so it is no use to complain about it.
        options = [word for word in unknown if word.startswith("-")]
        suggestion = _suggest(options, parser.option_names())
        parser.error(f"unknown: {' '.join(options or unknown)}.{suggestion}")
    return arguments


def _suggest(options: Iterable[str], known: Sequence[str]) -> str:
    names = (option.partition("=")[0] for option in options)
    return "".join(did_you_mean(name, known) for name in names)
