"""The words of ``psy plot``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_json, add_result, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]

# As in psyflow.results.plot.wish, which is slow to import.
_KINDS = "line, scatter, heatmap, box, hist or parallel"
_SPREADS = "ci95, sem, std, iqr, range or none"


def _add_arguments(parser: ArgumentParser) -> None:
    add_result(parser)
    parser.add_argument(
        "roles",
        metavar="ROLE=COLUMN",
        nargs="*",
        help="x=, y=, hue=, style=, row= or col= and a column; the others are chosen",
    )
    parser.add_argument("--kind", metavar="KIND", help=f"{_KINDS}; chosen by default")
    parser.add_argument(
        "--spread",
        metavar="SPREAD",
        default="ci95",
        help=f"what bars and bands of means show: {_SPREADS} (default: ci95)",
    )
    parser.add_argument(
        "--log",
        metavar="AXES",
        default="auto",
        help="logarithmic axes: x, y, xy or none (default: those with geometric levels)",
    )
    add_where(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write a picture: .png, .svg, .pdf, …; on a terminal, characters by default",
    )
    parser.add_argument("--data", metavar="FILE", help="write what is drawn, as CSV")
    add_json(parser, "instead of characters, ")
    parser.add_argument(
        "--width",
        metavar="INCHES",
        type=float,
        help="of the picture (default: 3.5, a column of a paper; 7.2 with many panels)",
    )
    parser.add_argument(
        "--no-caption", action="store_true", help="say what is drawn on stderr only"
    )


COMMAND = Command(
    summary="draw results",
    description="""\
Draw the rows that a task has so far. Told no more than the task: its one output of
numbers against the parameter with most levels, those of the next ones in colours and
panels; an array against its own axis; two long axes as a heat map. All else is
aggregated, and the caption says over what.""",
    examples="""\
  psy plot circle                          characters, on a terminal
  psy plot circle -o circle.pdf            as wide as a column of a paper
  psy plot circle x=radius y=area hue=trial --where 'radius<1' -o circle.png
  psy plot circle --kind box --data circle.csv""",
    acts=False,
    add_arguments=_add_arguments,
)
