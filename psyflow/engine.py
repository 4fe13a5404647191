"""A base for scripts that are experiments: the words of execo_engine.

Change the import, ``from execo_engine import Engine, logger``, to this module.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import re
import shlex
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from psyflow.exceptions import did_you_mean
from psyflow.system.files import make_folder
from psyflow.system.outputs import copy_outputs, redirect_outputs

__all__ = ["Engine", "copy_outputs", "logger", "redirect_outputs", "slugify"]

logger = logging.getLogger("psyflow.engine")
"""The log of engines; `Engine.start` has it printed to the standard error."""

_FORMAT = "%(asctime)s %(levelname)s: %(message)s"
_LEVELS = ("debug", "info", "warning", "error", "critical")


def slugify(value: object) -> str:
    """Return the text of a value as one that can be the name of a file.

    In lower case, of letters, digits, ``_`` and ``-``, without accents; with ``-`` for spaces.

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> slugify("Größe 2 (Δ)"), slugify({"mesh": 3})
    ('groe-2', 'mesh-3')
    """
    plain = unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^\w\s-]", "", plain).strip().lower()
    return re.sub(r"[-\s]+", "-", kept)


class Engine:
    """The base class of an experiment: a script with options and a folder for its results.

    A subclass says in `init` which options there are, and in `run` what to do. `start` reads the
    command line and calls both, for all classes of a hierarchy, ancestors first: so a class may
    prepare what others, derived from it, go on with, and none calls ``super().run()``.

    These options are there before `init`: ``-c DIR`` goes on in the folder of a former run;
    ``-l LEVEL`` sets the level of `logger`; ``-L`` copies, and ``-R`` redirects, what is printed
    to the files ``stdout`` and ``stderr`` in the folder, or, with ``-M``, to the one file
    ``stdout+stderr``.

    Attributes
    ----------
    engine_dir : str or None
        The folder of the file that the class is from; None if there is none.
    run_name : str
        The name of this run. Override `setup_run_name` for another one.
    result_dir : str
        The folder for all that belongs to this run; made before `run`. Override
        `setup_result_dir` for another one.
    args_parser : argparse.ArgumentParser
        What options and arguments are added to, in `init`.
    args : argparse.Namespace or None
        What the command line says, in `run`; None before.

    Examples
    --------
    >>> import tempfile
    >>> class Squares(Engine):
    ...     def init(self):
    ...         self.args_parser.add_argument("n", type=int)
    ...
    ...     def run(self):
    ...         print([n**2 for n in range(self.args.n)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Squares().start(["-c", folder, "4"])
    [0, 1, 4, 9]
    """

    # Here and not in a constructor, which subclasses may have, and need not call.
    args: argparse.Namespace | None = None
    args_parser: argparse.ArgumentParser
    engine_dir: str | None = None
    run_name = ""
    result_dir = ""

    def init(self) -> None:
        """Add options and arguments to `args_parser`; to be overridden."""

    def run(self) -> None:
        """Do the experiment; to be overridden."""

    def setup_run_name(self) -> None:
        """Set `run_name`: here, to the name of the class and the time."""
        name = f"{type(self).__name__}_{time.strftime('%Y%m%d_%H%M%S_%z')}"
        others = (f"{name}_{n}" for n in itertools.count(2))
        # Two runs may begin in the same second.
        self.run_name = next(n for n in itertools.chain([name], others) if not Path(n).exists())

    def setup_result_dir(self) -> None:
        """Set `result_dir`: here, to a folder of the name of the run in the working directory.

        It is not asked if the command line has ``-c``.
        """
        self.result_dir = os.path.abspath(self.run_name)  # noqa: PTH100

    def start(self, engineargs: Sequence[str] | str | None = None) -> None:
        """Read the command line, and do the experiment.

        Parameters
        ----------
        engineargs : sequence of str, or str, optional
            Instead of the arguments of this process. A text is taken apart as a shell does it.

        Raises
        ------
        SystemExit
            If the arguments are wrong (exit status 2), or ask for help.
        """
        if isinstance(engineargs, str):
            engineargs = shlex.split(engineargs)
        engineargs = sys.argv[1:] if engineargs is None else list(engineargs)
        self.args_parser = _parser(type(self).__name__)
        # Whoever reads all of the command line has to know all options, and asks `init` for them.
        early, _ = _own_options().parse_known_args(engineargs)
        self.args, self.engine_dir = None, _folder_of(type(self))
        self.setup_run_name()
        self._set_folder(early.use_dir)
        _set_level(early.log_level, self.args_parser)
        self._call("init")
        self.args = self.args_parser.parse_args(engineargs)
        if Path(self.result_dir).is_file():
            self.args_parser.error(f"{self.result_dir} is a file. Give a folder.")
        if early.use_dir is not None and not Path(self.result_dir).is_dir():
            logger.warning("%s is not there, so nothing goes on, and it is made.", early.use_dir)
        make_folder(Path(self.result_dir))
        self._set_outputs()
        logger.info("The results are in %s", self.result_dir)
        self._call("run")

    def _set_folder(self, continued: str | None) -> None:
        if continued is None:
            self.setup_result_dir()
        else:
            self.result_dir = os.path.abspath(continued)  # noqa: PTH100

    def _set_outputs(self) -> None:
        assert self.args is not None
        folder = Path(self.result_dir)
        names = ("stdout+stderr",) * 2 if self.args.merge_outputs else ("stdout", "stderr")
        if self.args.output_mode == "redirect":
            redirect_outputs(*(folder / name for name in names))
        elif self.args.output_mode == "copy":
            copy_outputs(*(folder / name for name in names))

    def _call(self, name: str) -> None:
        """Call a method of all classes that have one of their own, ancestors first."""
        for kind in reversed(type(self).__mro__):
            method: Callable[[Any], object] | None = vars(kind).get(name)
            if method is not None:
                method(self)


def _folder_of(kind: type) -> str | None:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return os.path.dirname(os.path.abspath(file)) if file else None  # noqa: PTH100, PTH120


def _parser(engine: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=f"engine: {engine}", parents=[_own_options()])


def _own_options() -> argparse.ArgumentParser:
    """Return the options of all engines."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(
        "-l",
        dest="log_level",
        metavar="LEVEL",
        help="log level: a number, or a name such as debug",
    )
    outputs = parser.add_mutually_exclusive_group()
    outputs.add_argument(
        "-L",
        dest="output_mode",
        action="store_const",
        const="copy",
        help="copy what is printed to the files stdout and stderr in the result folder",
    )
    outputs.add_argument(
        "-R",
        dest="output_mode",
        action="store_const",
        const="redirect",
        help="send what is printed to these files alone",
    )
    parser.add_argument(
        "-M",
        dest="merge_outputs",
        action="store_true",
        help="with -L or -R: to one file, stdout+stderr",
    )
    parser.add_argument(
        "-c", dest="use_dir", metavar="DIR", help="go on in the result folder of a former run"
    )
    return parser


def _set_level(level: str | None, parser: argparse.ArgumentParser) -> None:
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    if level is None:
        return
    if not (level.isdecimal() or level.lower() in _LEVELS):
        parser.error(
            f"argument -l: {level} is no log level, which is a number or one of "
            f"{', '.join(_LEVELS)}.{did_you_mean(level.lower(), _LEVELS)}"
        )
    logger.setLevel(int(level) if level.isdecimal() else level.upper())
