"""What is known of an experiment in the folder of its run, beside what any run keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from psyflow.cli.experiments.cluster import Cluster
from psyflow.cli.experiments.settings import Experiment
from psyflow.exceptions import DamagedFileError
from psyflow.record.layout import Layout
from psyflow.system.files import write_atomic

__all__ = ["About", "read_about", "write_about"]


@dataclass(frozen=True)
class About:
    """What a table of outputs tells of the experiment.

    Attributes
    ----------
    number : int
        Among the experiments of one command line.
    workdir : str
        Where the programs start, as it was said.
    max_tries, repeat : int
    cluster : str
    nodes : mapping from str to str
        The names of the machines, by what `ssh` calls them.
    """

    number: int = 0
    workdir: str = ""
    max_tries: int = 1
    repeat: int = 1
    cluster: str = "quick_cluster"
    nodes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, experiment: Experiment, cluster: Cluster, number: int) -> About:
        """Return what is known when the experiment begins."""
        return cls(
            number=number,
            workdir=experiment.workdir or str(Path.cwd()),
            max_tries=experiment.max_tries,
            repeat=experiment.repeat,
            cluster=cluster.name,
            nodes={node.host: node.name for node in cluster.nodes},
        )


def write_about(layout: Layout, about: About) -> None:
    """Keep it in the folder of the run."""
    write_atomic(layout.experiment_file, json.dumps(asdict(about), indent=1) + "\n")


def read_about(layout: Layout) -> About | None:
    """Return what there is in the folder of a run; None if it is no experiment of `psy exec`.

    Raises
    ------
    DamagedFileError
        If nobody can make anything of it.
    """
    path = layout.experiment_file
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        return About(**{name: told[name] for name in About.__dataclass_fields__ if name in told})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}. Type psy exec again.") from None
