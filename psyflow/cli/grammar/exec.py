"""The words of ``psy exec``."""

from __future__ import annotations

import re
from argparse import ArgumentParser

from psyflow.cli.amounts import pool_size, seconds
from psyflow.cli.arguments import add_dry_run, add_patterns, add_trust, add_yes
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    # Values such as -1e-3 are no options.
    parser._negative_number_matcher = re.compile(r"-\.?\d\S*")
    parser.add_argument(
        "what",
        metavar="grid | table FILE",
        nargs="+",
        help="run all combinations of the variables, or the rows of a CSV file",
    )
    parser.add_argument(
        "--cmd",
        metavar="CMD",
        action="append",
        default=[],
        help="command line, with {NAME} for a variable; several run in order. Or give it as "
        "the last words, after --",
    )
    parser.add_argument(
        "--shell",
        action="store_true",
        help="have /bin/sh run the command lines, for pipes and redirections; values are quoted",
    )
    _add_variables(parser)
    _add_experiment(parser)
    _add_where(parser)
    add_trust(parser)
    add_dry_run(parser, "the task file, and how many runs there are")
    add_yes(parser)


def _add_variables(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("variables")
    group.add_argument(
        "--vl",
        metavar=("NAME", "VALUE"),
        nargs="+",
        action="append",
        default=[],
        help="a variable with these values",
    )
    group.add_argument(
        "--va",
        metavar=("NAME", "MIN", "MAX", "STEP"),
        nargs=4,
        action="append",
        default=[],
        help="arithmetic: MIN, MIN + STEP, ... below MAX",
    )
    group.add_argument(
        "--vg",
        metavar=("NAME", "MIN", "MAX", "STEPS"),
        nargs=4,
        action="append",
        default=[],
        help="geometric: STEPS values from MIN to MAX, both included",
    )
    group.add_argument("--repeat", metavar="R", type=_count, help="runs of each combination")


def _add_experiment(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("experiment")
    group.add_argument(
        "-o",
        dest="output",
        metavar="FOLDER",
        default="psy-exec",
        help="folder for the task file and the outputs (default: psy-exec)",
    )
    group.add_argument(
        "--name", help="name of the experiment, and of its folder (default: quick_experiment)"
    )
    group.add_argument(
        "--workdir",
        metavar="DIR",
        help="where the program starts; $HOME and the like are its host's (default: here)",
    )
    add_patterns(group, "a column of the results, from what is printed; see psy parse")
    group.add_argument(
        "--max-tries", metavar="T", type=_count, help="attempts of each run (default: 3)"
    )
    group.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="for each run; it is ended then"
    )
    group.add_argument(
        "--experiment",
        metavar="FILE",
        action="append",
        default=[],
        help="read all this from a YAML file; may be given several times",
    )


def _add_where(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("machines")
    group.add_argument(
        "-j",
        "--jobs",
        dest="pool_size",
        metavar="N",
        type=pool_size,
        help="runs at once on this machine, or in each job (default: auto, one per core)",
    )
    group.add_argument(
        "--node",
        nargs="+",
        metavar=("USER@HOST:PORT*WORKERS", "TAG"),
        action="append",
        default=[],
        help="a machine that is reached by SSH, with so many runs at once (default: one per core)",
    )
    group.add_argument("--cluster", metavar="FILE", help="read the machines from a YAML file")
    group.add_argument(
        "--filter-nodes",
        nargs="+",
        metavar="TAG",
        default=[],
        help="only the machines that have these tags",
    )
    group.add_argument(
        "--ssh",
        metavar="COMMAND",
        help="how ssh is called, such as 'ssh -i my_key' (default: ssh)",
    )
    group.add_argument(
        "-s", "--scheduler", metavar="SCHEDULER", help="submit jobs to it, such as slurm"
    )


def _count(text: str) -> int:
    from argparse import ArgumentTypeError

    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"it must be a whole number above 0, not {text}")
    return int(text)


COMMAND = Command(
    summary="run a program over a grid, without a task file",
    description="""\
Run a program once for each combination of its variables, in parallel, here or on other
machines. The task file that says the same is written to FOLDER/psy-tasks, so it can be
continued, edited and submitted. What has run is not run again: added values only add runs.
What a run prints is kept, and psy parse makes a table of it.""",
    examples="""\
  psy exec grid --vl n 10 20 30 --vl f relu tanh -o out -- ./sim --n {n} --f {f}
  psy exec grid --cmd './sim {lr:.3g}' --vg lr 0.001 1 4 --repeat 5 -o out
  psy exec table runs.csv -j 4 -- ./sim {a} {b}
  psy exec grid --experiment experiment.yaml --cluster cluster.yaml -o out
  psy parse -e out/quick_experiment -p ACC 'accuracy: (@float@)'""",
    acts=True,
    add_arguments=_add_arguments,
    takes_program=True,
    about_dashes=" A value that begins with - can stand in the command itself, as in -O{level}, "
    "or in a CSV file: psy exec table FILE",
)
