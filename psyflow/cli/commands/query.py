"""``psy query``: the results of all tasks, asked in SQL. Writes nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from psyflow.cli.choosing import loaded, looking, tell_origin
from psyflow.cli.output import OK
from psyflow.cli.printing import print_rows
from psyflow.conventions import WORKDIR, study_of
from psyflow.exceptions import UsageError
from psyflow.results import Results
from psyflow.results.choice import Chosen
from psyflow.results.query import Wish, ask
from psyflow.system.place import absolute
from psyflow.tasks import PackageLoader

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Print the answer, and on stderr of which runs it is."""
    asked: dict[str, Results] = {}

    def table_of(task: str, wish: Wish) -> Results:
        arguments.task = task
        asked[task] = loaded(arguments, wish.columns)
        return asked[task]

    with looking():
        tasks = list(_tasks(Path(arguments.taskdir)))
    answer = ask(arguments.sql, tasks, table_of)
    print_rows(Chosen(answer), arguments.format, is_whole=arguments.all, is_as_asked=True)
    for task, results in asked.items():
        arguments.task = task
        tell_origin(results, arguments)
    return OK


def _tasks(taskdir: Path) -> Iterable[str]:
    """Return the names of tasks, and of runs whose task is not there any more, or never was."""
    work = study_of(absolute(taskdir)) / WORKDIR if taskdir.is_dir() else Path(WORKDIR)
    runs = sorted(plan.parent.name for plan in work.glob("*/plan.json"))
    if not taskdir.is_dir() and runs:
        return runs
    try:
        names = PackageLoader(taskdir).names()
    except UsageError:
        if not runs:
            raise
        names = []
    return dict.fromkeys([*names, *runs])
