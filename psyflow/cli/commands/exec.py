"""``psy exec``: a program over a grid, by way of a task file that is written for it."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from psyflow.cli.amounts import AUTO
from psyflow.cli.commands import run as run_command
from psyflow.cli.experiments.cluster import Cluster, node_of
from psyflow.cli.experiments.kept import About, write_about
from psyflow.cli.experiments.report import Report
from psyflow.cli.experiments.settings import Experiment
from psyflow.cli.experiments.taskfile import Running, path_of, patterns_in, task_file, write
from psyflow.cli.experiments.variables import Variable, arithmetic, geometric, listed, of_table
from psyflow.cli.experiments.yamlfiles import read_cluster, read_experiment
from psyflow.cli.output import OK, is_confirmed, say
from psyflow.conventions import TASKDIR
from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.messages import counted
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.runs.folders import link_folders
from psyflow.system.files import make_folder
from psyflow.tasks.settings import NAME

__all__ = ["execute", "server"]

server = run_command.server

_NODES = "psy-nodes"
"""Where machines find what they are to run."""


def execute(arguments: Namespace) -> int:
    """Write the task files of the experiments, and bring them up to date."""
    folder = Path(arguments.output)
    experiments = [_with_patterns_of(folder, one) for one in _experiments(arguments)]
    cluster = _cluster(arguments)
    running = _running(arguments, cluster)
    texts = {one.name: task_file(one, running, ["psy", *arguments.words]) for one in experiments}
    if arguments.dry_run:
        print("\n".join(f"# {path_of(folder, name)}\n{text}" for name, text in texts.items()))
        for one in experiments:
            say(f"{one.name}: {counted(one.n_combinations * one.repeat, 'run')}.")
        return OK
    for number, one in enumerate(experiments):
        write(folder, one.name, texts[one.name])
        layout = Layout(make_folder(folder / one.name), one.name, Path())
        write_about(layout, About.of(one, cluster, number))
    return _bring(arguments, folder, experiments, _n_workers(running, cluster))


def _bring(
    arguments: Namespace, folder: Path, experiments: Sequence[Experiment], n_workers: int | None
) -> int:
    arguments = _as_for_run(arguments, folder, [one.name for one in experiments])
    report = Report(arguments, experiments, n_workers)
    if report.is_long and not is_confirmed(f"{report.summary} Go on?", arguments):
        say("Nothing is run.")
        return OK
    if not report.is_long:
        say(report.summary)
    status = run_command.execute(arguments)
    for one in experiments:
        if (plan := Plan.read(folder / one.name / "plan.json")) is not None:
            link_folders(plan)
    report.end()
    return status


def _n_workers(running: Running, cluster: Cluster) -> int | None:
    """Return how many runs there are at once; None if that is as many as processors."""
    workers = [node.workers for node in cluster.nodes]
    if workers and None not in workers:
        return sum(n for n in workers if n is not None)
    return running.pool_size if isinstance(running.pool_size, int) else None


def _as_for_run(arguments: Namespace, folder: Path, names: Sequence[str]) -> Namespace:
    """Return the command line of `psy run` that continues the experiments."""
    return Namespace(
        command="run",
        tasks=list(names),
        taskdir=str(folder / TASKDIR),
        keep=False,
        pool_size=None,
        choice="all",
        where=[],
        limit=None,
        again=None,
        fail_fast=False,
        wait=True,
        trust=arguments.trust,
        dry_run=False,
        json=False,
        yes=arguments.yes,
        server=arguments.server,
        notices=arguments.notices,
    )


def _experiments(arguments: Namespace) -> list[Experiment]:
    found = [read_experiment(Path(path)) for path in arguments.experiment] or [Experiment()]
    experiments = [_with_words(one, arguments) for one in found]
    names = [one.name for one in experiments]
    for one in experiments:
        if names.count(one.name) > 1:
            raise UsageError(f'Two experiments have the name "{one.name}". Set `name` in them.')
        _check_name(one.name)
        one.check()
    return experiments


def _with_patterns_of(folder: Path, experiment: Experiment) -> Experiment:
    """Return an experiment that is to find also what `psy parse` was told to find in it."""
    known = patterns_in(path_of(folder, experiment.name))
    return dataclasses.replace(experiment, patterns={**known, **experiment.patterns})


def _check_name(name: str) -> None:
    try:
        NAME.convert(name)
    except ValueError:
        raise UsageError(
            f'"{name}" cannot be the name of an experiment: it has to be {NAME.allowed}.'
        ) from None
    if name in (TASKDIR, _NODES):
        raise UsageError(
            f'"{name}" is a folder of psy exec itself. Give the experiment another name.'
        )


def _with_words(experiment: Experiment, arguments: Namespace) -> Experiment:
    """Return an experiment with what the command line says of it."""
    if arguments.name and len(arguments.experiment) > 1:
        raise UsageError("--name is for one experiment.")
    commands = _commands(arguments) or experiment.commands
    given = {
        "name": arguments.name,
        "workdir": arguments.workdir,
        "repeat": arguments.repeat,
        "max_tries": arguments.max_tries,
        "timeout": arguments.timeout,
        "shell": arguments.shell or None,
    }
    experiment = dataclasses.replace(
        experiment,
        commands=commands,
        patterns={**experiment.patterns, **dict(arguments.patterns)},
        **{name: value for name, value in given.items() if value is not None},
    )
    return _with_variables(experiment, arguments)


def _commands(arguments: Namespace) -> list[str | list[str]]:
    if arguments.program and arguments.cmd:
        raise UsageError("Give the program as --cmd, or after --, but not both.")
    return [arguments.program] if arguments.program else arguments.cmd


def _with_variables(experiment: Experiment, arguments: Namespace) -> Experiment:
    what, *files = arguments.what
    variables = _in_order(arguments)
    if what == "grid":
        if files:
            raise UsageError(
                f"psy exec grid: {files[0]} belongs to no option. Values follow --vl NAME, and a "
                "program of several words follows --, or is quoted as --cmd '…'."
            )
        new = {variable.name: variable for variable in variables}
        if len(new) < len(variables):
            raise UsageError("A variable is given twice.")
        kept = [variable for variable in experiment.variables if variable.name not in new]
        return dataclasses.replace(experiment, variables=[*kept, *variables])
    if what != "table":
        raise UnknownNameError("kind of experiment", what, ["grid", "table"])
    if len(files) != 1 or variables:
        raise UsageError("psy exec table takes one CSV file, whose columns are the variables.")
    return dataclasses.replace(experiment, variables=of_table(Path(files[0])), is_table=True)


def _in_order(arguments: Namespace) -> list[Variable]:
    """Return the variables of the command line in its order, the first one outermost."""
    makers = {
        "--vl": iter([listed(words) for words in arguments.vl]),
        "--va": iter([arithmetic(*words) for words in arguments.va]),
        "--vg": iter([geometric(*words) for words in arguments.vg]),
    }
    options = [word.partition("=")[0] for word in arguments.words]
    end = len(options) - len(arguments.program)
    return [next(makers[word]) for word in options[:end] if word in makers]


def _cluster(arguments: Namespace) -> Cluster:
    cluster = read_cluster(Path(arguments.cluster)) if arguments.cluster else Cluster()
    nodes = (*cluster.nodes, *map(node_of, arguments.node))
    ssh = arguments.ssh or cluster.ssh
    cluster = dataclasses.replace(cluster, nodes=nodes, ssh=ssh).with_tags(arguments.filter_nodes)
    cluster.check()
    if ssh and not nodes:
        raise UsageError("--ssh goes with machines: --node USER@HOST, or --cluster FILE")
    if cluster.nodes and arguments.scheduler:
        raise UsageError("Machines are reached by SSH, so they do not go with --scheduler.")
    return cluster


def _running(arguments: Namespace, cluster: Cluster) -> Running:
    size = arguments.pool_size
    if cluster.nodes:
        hosts = {node.host: node.workers for node in cluster.nodes}
        n_workers = [node.workers for node in cluster.nodes]
        # A job is one run at a time: then what a machine takes is what it has room for.
        jobs = None if None in n_workers else 4 * sum(n for n in n_workers if n is not None)
        # Its own, or machines that others have named might take its jobs.
        spool = str((Path(arguments.output) / _NODES).absolute())
        how = f", ssh={cluster.ssh!r}" if cluster.ssh else ""
        scheduler = f"Ssh({hosts!r}, workdir={spool!r}{how})"
        return Running(size or 1, scheduler, "psyflow.scheduler", {}, jobs or 100)
    if arguments.scheduler:
        from psyflow.scheduler import scheduler_by_name

        found = scheduler_by_name(arguments.scheduler)
        options = dict(found.USER_DEFAULT_ARGS)
        return Running(size or 1, f"{found.__qualname__}()", found.__module__, options)
    return Running("auto" if size in (None, AUTO) else size)
