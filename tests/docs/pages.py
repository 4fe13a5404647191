"""Reading Markdown pages, and running their code blocks from top to bottom.

What becomes of a block is told by its language, and by its first line:

- ``python`` with ``>>>``, or ``pycon``, is a doctest; all blocks of a page share one namespace.
- ``python`` whose first line is ``# some/file.py`` is written to that file.
- other ``python`` is executed in the page's namespace.
- ``console`` is a session: each line after ``$ `` is run by a shell, in one shell per block, and
  the lines below it are its output, stderr included; ``...`` stands for anything. A command that
  shows no output must succeed.
- ``toml`` has to be valid.
- Others, such as a diagram, only show something.

A block right below ``<!-- not run: reason -->`` is left alone. Blocks within an HTML comment of
several lines are run as well: so a page can make ready what its readers have from another page.
"""

from __future__ import annotations

import contextlib
import doctest
import gc
import io
import os
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import PATIENCE

__all__ = ["Block", "PageError", "Session", "anchors", "blocks", "prose", "set_up_commands"]

RUN_LANGUAGES = ("python", "pycon", "console", "toml")
LANGUAGES = (*RUN_LANGUAGES, "text", "")
DOCTEST_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

_FENCE = re.compile(r"^(`{3,}|~{3,})\s*(\S*)\s*$")
_NOT_RUN = re.compile(r"^<!--\s*not run\b:?\s*(.*?)\s*-->$")
_FILE_NAME = re.compile(r"^# ([\w./-]+\.py)$")


class PageError(AssertionError):
    """A block does not do what the page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    language : str
        Empty if the page gives none.
    text : str
    line : int
        Number of its first line of text in the page, from 1.
    not_run : str or None
        The reason given for not running it, which may be empty; None if it is to be run.
    """

    language: str
    text: str
    line: int
    not_run: str | None = None

    @property
    def file_name(self) -> str | None:
        """The file that a Python block is to be written to."""
        match = _FILE_NAME.match(self.text.partition("\n")[0])
        return match[1] if match and self.language == "python" else None

    @property
    def is_doctest(self) -> bool:
        has_prompt = re.search("(?m)^>>> ", self.text) is not None
        return self.language == "pycon" or (self.language == "python" and has_prompt)


def blocks(markdown: str) -> list[Block]:
    """Return the fenced blocks of a page, in order.

    Examples
    --------
    >>> blocks("Text.\\n\\n```python\\nx = 1\\n```\\n")
    [Block(language='python', text='x = 1\\n', line=4, not_run=None)]
    """
    found = []
    lines = iter(enumerate(markdown.splitlines(), 1))
    last = ""
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening:
            text = _until_closed(lines, opening[1], number)
            mark = _NOT_RUN.match(last)
            found.append(Block(opening[2], text, number + 1, mark[1] if mark else None))
        elif _NOT_RUN.match(last) and line.strip():
            raise PageError(f"line {number}: a `not run` comment is not followed by a block")
        last = line.strip() or last
    return found


def _until_closed(lines: Iterator[tuple[int, str]], fence: str, opened: int) -> str:
    text = []
    for _, line in lines:
        if line.strip() == fence:
            return "".join(f"{line}\n" for line in text)
        text.append(line)
    raise PageError(f"line {opened}: the block is not closed")


def prose(markdown: str) -> str:
    """Return a page without its fenced blocks and inline code."""
    fence: str | None = None
    kept = []
    for line in markdown.splitlines():
        match = _FENCE.match(line)
        if match:
            fence = None if fence == match[1] else fence or match[1]
        elif fence is None:
            kept.append(line)
    return re.sub(r"`[^`\n]*`", "", "\n".join(kept))


def anchors(markdown: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page.

    Examples
    --------
    >>> sorted(anchors("# Task files\\n\\n## What's `psy run -c`?\\n"))
    ['task-files', 'whats-psy-run--c']
    """
    outside = re.sub(r"(?ms)^(```|~~~).*?^\1", "", markdown)
    headings = re.findall(r"^#+ +(.*?) *#*$", outside, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def set_up_commands(markdown: str) -> list[str]:
    """Return the indented lines outside of fenced blocks."""
    return re.findall(r"(?m)^ {4}(\S.*)$", prose(markdown))


class Session:
    """Runs the blocks of a page, one after the other.

    Parameters
    ----------
    page : str
        Its name, for messages.
    folder : Path
        Where files are written to and commands run; has to be the working directory.
    columns : int
        How wide the terminal says it is.
    """

    def __init__(self, page: str, folder: Path, columns: int = 100) -> None:
        self.page = page
        self.folder = folder
        self.columns = columns
        self.names: dict[str, Any] = {"__name__": f"page_{Path(page).stem}"}

    def run(self, block: Block) -> None:
        """Run one block.

        Raises
        ------
        PageError
            If it does not do what the page says.
        """
        place = f"{self.page}:{block.line}"
        if block.not_run is not None or block.language not in RUN_LANGUAGES:
            return
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "console":
            self._converse(block, place)
        elif block.is_doctest:
            self._doctest(block, place)
        elif block.file_name:
            path = self.folder / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        else:
            # Blank lines above put its lines in tracebacks where they are in the page.
            exec(compile("\n" * (block.line - 1) + block.text, place, "exec"), self.names)

    def close(self) -> None:
        """Forget the names. Readers leave files open at the end of a session; so may pages."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.names.clear()
            gc.collect()

    def _doctest(self, block: Block, place: str) -> None:
        test = doctest.DocTestParser().get_doctest(
            block.text, self.names, place, self.page, block.line - 1
        )
        report = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=DOCTEST_OPTIONS, verbose=False)
        runner.run(test, out=report.write, clear_globs=False)
        self.names.update(test.globs)
        if runner.failures:
            raise PageError(f"{place}\n{report.getvalue()}")

    def _converse(self, block: Block, place: str) -> None:
        exchanges = list(_exchanges(block.text, place))
        answers = _answers([command for command, _ in exchanges], self.folder, self.columns)
        for (command, expected), (answer, status) in zip(exchanges, answers, strict=True):
            if not _matches(expected, answer):
                raise PageError(
                    f"{place}: $ {command}\nExpected:\n{expected}\nGot (exit {status}):\n{answer}"
                )
            if status and not expected.strip():
                raise PageError(f"{place}: $ {command}\nended with exit code {status}")


def _exchanges(text: str, place: str) -> Iterator[tuple[str, str]]:
    """Yield each command and its expected output."""
    first, *others = re.split(r"(?m)^\$ ", text)
    if first or not others:
        raise PageError(f"{place}: a console block begins with `$ `, not with {first!r}")
    for exchange in others:
        lines = exchange.splitlines()
        n_more = next((i for i, line in enumerate(lines[1:]) if not line.startswith("> ")), None)
        n_command = len(lines) if n_more is None else n_more + 1
        command = "\n".join([lines[0], *(line[2:] for line in lines[1:n_command])])
        yield command, "\n".join(lines[n_command:])


def _answers(commands: list[str], folder: Path, columns: int) -> list[tuple[str, int]]:
    """Run commands in one shell; return the output and the exit status of each."""
    mark = "=====end of command====="
    ends = f'status=$?; printf "\\n{mark}%s\\n" "$status"; (exit "$status")'
    script = "".join(f"{command}\n{ends}\n" for command in commands)
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))},
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
        "COLUMNS": str(columns),
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE * len(commands),
        check=False,
    )
    *answers, _rest = re.split(rf"\n{mark}(\d+)\n", done.stdout)
    return [(answers[i], int(answers[i + 1])) for i in range(0, len(answers), 2)]


def _matches(expected: str, answer: str) -> bool:
    """Compare as people do: trailing blanks, and blank lines at the end, do not count."""
    texts = [
        "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"
        for text in (expected, answer)
    ]
    return doctest.OutputChecker().check_output(*texts, optionflags=doctest.ELLIPSIS)


@contextlib.contextmanager
def session(page: str, folder: Path, columns: int = 100) -> Iterator[Session]:
    """Be in `folder` for the session of a page; what its code imports from there is forgotten."""
    path, modules = list(sys.path), set(sys.modules)
    running = Session(page, folder, columns)
    with contextlib.chdir(folder):
        try:
            yield running
        finally:
            running.close()
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                file = getattr(sys.modules[name], "__file__", None)
                if file and Path(file).is_relative_to(folder):
                    del sys.modules[name]
