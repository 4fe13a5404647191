"""``psy plot``: results as a picture, in a file or on a terminal. Changes nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from psyflow.cli.choosing import loaded, peeked, tell_without_rows
from psyflow.cli.output import OK, REFUSED, say
from psyflow.cli.selection import suggestion, take_task
from psyflow.cli.streams import drawing_board
from psyflow.exceptions import UsageError
from psyflow.messages import shown_path
from psyflow.results.choice import Choice
from psyflow.results.plot import Wish, caption, choose, draw, work_out
from psyflow.results.plot.drawn import as_columns, as_csv
from psyflow.results.plot.files import require_folder, require_writable, write_figure
from psyflow.results.plot.needs import needed

if TYPE_CHECKING:
    from psyflow.results.plot.picture import Picture

__all__ = ["execute"]

_LEAST_WIDTH, _MOST_WIDTH = 1.0, 50.0
_LINES_BESIDE = 4
_MOST_LINES = 26


def execute(arguments: Namespace) -> int:
    """Draw the results of a task."""
    take_task(arguments)
    wish = Wish.parse(arguments.roles, arguments.kind, arguments.spread, arguments.log)
    _require_writable(arguments)
    if _goes_nowhere(arguments):
        peeked(arguments, 1)  # or say that there is no such task, or nothing to draw
        name = arguments.task
        command = suggestion(arguments, name, *arguments.roles, "-o", f"{Path(name).stem}.png")
        raise UsageError(f"Not on a terminal, a picture goes to a file. Type: {command}")
    results = loaded(arguments, lambda head: needed(head, wish, arguments.where))
    if not results.n_rows:
        # No picture is there, also where no row is missing.
        return tell_without_rows(results, arguments) or REFUSED
    picture = work_out(choose(Choice(where=arguments.where).rows_of(results), wish))
    said = caption(picture, arguments.where)
    if arguments.data:
        from psyflow.system.files import write_atomic

        write_atomic(Path(arguments.data), as_csv(picture))
        say(f"What is drawn: {shown_path(arguments.data)}")
    if arguments.json:
        print(_as_json(picture, said))
    if arguments.output:
        file = Path(arguments.output)
        figure = draw(picture, "" if arguments.no_caption else said, arguments.width)
        write_figure(figure, file, said)
        say(f"{shown_path(file)}: {said}")
    elif sys.stdout.isatty() and not arguments.json:
        _show(picture)
        say(said)
    else:
        say(said)
    return OK


def _goes_nowhere(arguments: Namespace) -> bool:
    is_wanted = arguments.output or arguments.data or arguments.json
    return not (is_wanted or sys.stdout.isatty())


def _require_writable(arguments: Namespace) -> None:
    """Raise an error, before anything is loaded, unless a picture can go where it is wanted."""
    if arguments.width is not None and not _LEAST_WIDTH <= arguments.width <= _MOST_WIDTH:
        raise UsageError(
            f"--width {arguments.width:g}: give a number of inches "
            f"from {_LEAST_WIDTH:g} to {_MOST_WIDTH:g}."
        )
    if arguments.data:
        require_folder(Path(arguments.data))
    if arguments.output:
        require_writable(Path(arguments.output))


def _as_json(picture: Picture, said: str) -> str:
    from psyflow.results.text.exact import as_json_column

    columns = {name: as_json_column(column) for name, column in as_columns(picture).items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"caption": said, "kind": picture.design.kind, "rows": rows}, indent=1)


def _show(picture: Picture) -> None:
    from psyflow.results.plot.characters import Terminal, in_characters

    size = shutil.get_terminal_size()
    is_plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    terminal = Terminal(
        size.columns,
        min(size.lines - _LINES_BESIDE, _MOST_LINES),
        has_colours=not is_plain,
        has_unicode="utf" in (sys.stdout.encoding or "").lower(),
    )
    text = in_characters(picture, terminal)
    sys.stdout.flush()
    # Names are harmless in it, and its colours are for the terminal to obey.
    board = drawing_board(sys.stdout)
    board.write(f"{text}\n")
    board.flush()
