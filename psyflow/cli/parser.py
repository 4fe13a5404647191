"""Reading the command line, and its help."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from psyflow.cli.amounts import in_order
from psyflow.cli.grammar import COMMANDS, Command, command_named
from psyflow.exceptions import did_you_mean

__all__ = ["parse"]

DESCRIPTION = """\
Make for parameter studies: brings the results of task files up to date.

A task file says which parameters to explore, which function to evaluate on them, where to keep
the results and what runs the jobs. Task files are psy-tasks/task_NAME.py."""

EPILOG = """\
examples:
  psy new-task circle      write psy-tasks/task_circle.py, which runs as it is
  psy test circle          try its first parameter set
  psy run circle           compute what is missing
  psy show circle          see the results
  psy status               see what is done
  psy why circle           see why it would run
  psy failures circle      see what failed

"psy help COMMAND" and "psy COMMAND --help" say more about a command.
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

    def joined(self, words: Sequence[str]) -> list[str]:
        """Join options with values that begin with a dash, which argparse takes for options."""
        ordering = {n for n, a in self._option_string_actions.items() if a.type is in_order}
        found: list[str] = []
        for word in words:
            is_value = found and found[-1] in ordering and word[:1] == "-" != word[1:2]
            found[-1:] = [f"{found[-1]}={word}"] if is_value else [*found[-1:], word]
        return found


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line.

    Returns
    -------
    Namespace
        The arguments of a command; its name, where its work is (`module`), and whether it `acts`.

    Raises
    ------
    SystemExit
        After help, the version, or a message about what is wrong with the command line.
    """
    argv = _without_help(argv)
    place = next((i for i, word in enumerate(argv) if not word.startswith("-")), len(argv))
    options, words = argv[:place], argv[place:]
    if options or not words or words[0] not in COMMANDS:
        _parse_for_no_command(options, words)
    name = words[0]
    command = command_named(name)
    end = words.index("--") if command.takes_program and "--" in words else len(words)
    arguments = _parse_command(_parser_of(name, command), words[1:end], command.about_dashes)
    arguments.words, arguments.program = words, words[end + 1 :]
    arguments.command, arguments.acts = name, command.acts
    arguments.module = f"psyflow.cli.commands.{name.replace('-', '_')}"
    return arguments


def _without_help(argv: Sequence[str]) -> Sequence[str]:
    """Return ``[COMMAND, "--help"]`` for ``["help", COMMAND]``, which many people type."""
    if not argv or argv[0] != "help" or "help" in COMMANDS:
        return argv
    return [*(name for name in argv[1:2] if name != "help"), "--help"]


def _parse_for_no_command(options: Sequence[str], words: Sequence[str]) -> None:
    """Do what the options before a command say, and exit unless they are over with ``--``."""
    parser = _Parser(prog="psy", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument(
        "--version", action="store_true", help="show the version of psyflow and exit"
    )
    group = parser.add_subparsers(title="commands", metavar="command", parser_class=_Parser)
    for name in COMMANDS:
        group.add_parser(name, help=command_named(name).summary)
    if parser.parse_args(options).version:
        from psyflow import __version__

        print(f"psyflow {__version__}")
        parser.exit()
    if not words:
        parser.print_help()
        parser.exit(2)
    if words[0] not in COMMANDS:
        suggestion = did_you_mean(words[0], [*COMMANDS, "help"], 0.6)
        known = "" if suggestion else f" Known: {', '.join(COMMANDS)}."
        parser.error(f'there is no command "{words[0]}".{suggestion}{known}')


def _parser_of(name: str, command: Command) -> _Parser:
    parser = _Parser(
        prog=f"psy {name}",
        description=command.description,
        epilog=f"examples:\n{command.examples}",
    )
    command.add_arguments(parser)
    return parser


def _parse_command(parser: _Parser, words: Sequence[str], about_dashes: str) -> argparse.Namespace:
    # "Intermixed", because options may stand between the names of tasks.
    arguments, unknown = parser.parse_known_intermixed_args(parser.joined(words))
    if unknown:
        # What follows an unknown option may be its value, so it is no use to complain about it.
        options = [word for word in unknown if word.startswith("-")]
        suggestion = _suggest(options, parser.option_names())
        parser.error(f"unknown: {' '.join(options or unknown)}.{suggestion}{about_dashes}")
    return arguments


def _suggest(options: Iterable[str], known: Sequence[str]) -> str:
    names = (option.partition("=")[0] for option in options)
    return "".join(did_you_mean(name, known) for name in names)
