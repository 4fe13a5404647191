"""``experiment.yaml`` and ``cluster.yaml``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from psyflow.cli.experiments.cluster import Cluster, Node, target
from psyflow.cli.experiments.settings import Experiment
from psyflow.cli.experiments.variables import Variable, arithmetic, geometric, multiplied, typed
from psyflow.exceptions import UnknownNameError, UsageError

__all__ = ["read_cluster", "read_experiment"]

T = TypeVar("T")

_EXPERIMENT = (
    "name",
    "cmd",
    "vars",
    "workdir",
    "repeat",
    "max_tries",
    "timeout",
    "parse",
    "shell",
    "type",
)
_CLUSTER = ("name", "nodes", "ssh")
_ODD_NUMBER = re.compile(r"[-+]?0[0-9_]|.*[_:]|[-+]?0[xb]")
_NODE = ("name", "hostname", "host", "user", "port", "workers", "procs", "tags")
_KEYS = {
    "list": ("values",),
    "arithmetic": ("min", "max", "step", "factor"),
    "geometric": ("min", "max", "steps", "factor"),
}


def read_experiment(path: Path) -> Experiment:
    """Read an experiment.

    Raises
    ------
    UsageError
        If the file is not there, or says what cannot be; it names the file and the key.
    """
    return _told_of(path, _experiment)


def read_cluster(path: Path) -> Cluster:
    """Read a cluster.

    Raises
    ------
    UsageError
        As for `read_experiment`.
    """
    return _told_of(path, _cluster)


def _told_of(path: Path, read: Callable[[Any], T]) -> T:
    try:
        return read(_content(path))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _content(path: Path) -> Any:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        # First, for what is written otherwise than it is meant is still to be seen here.
        _check_as_written(yaml.compose(text, yaml.SafeLoader), set())
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"it cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise UsageError(f"it is no YAML: {what}{where}") from None


def _check_as_written(node: Any, seen: set[int]) -> None:
    """Raise `UsageError` of keys that are there twice, and of values that YAML reads otherwise.

    It takes 010 for 8, 007 for 7, and 1:30 for 90, and of two equal keys the last one.
    """
    if node is None or id(node) in seen:
        return  # nothing, or an alias of what has been looked at
    seen.add(id(node))
    if node.id == "scalar":
        _check_number(node)
    elif node.id == "sequence":
        for inner in node.value:
            _check_as_written(inner, seen)
    else:
        keys = [key.value for key, _ in node.value if key.id == "scalar"]
        if len({*keys}) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UsageError(f'the key "{twice}" is there twice.')
        for pair in node.value:
            for inner in pair:
                _check_as_written(inner, seen)


def _check_number(node: Any) -> None:
    is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    if is_number and _ODD_NUMBER.match(node.value):
        raise UsageError(
            f"YAML takes {node.value} for another number than is written (line "
            f"{node.start_mark.line + 1}). If it is to stay as it is, put it in quotes: "
            f'"{node.value}"'
        )


def _mapping(content: Any, where: str, known: Iterable[str], example: str) -> Mapping[str, Any]:
    inside = f"{where}: " if where else ""
    if not isinstance(content, dict):
        what = f"each of {where}" if where else "it"
        raise UsageError(f"{what} has to be a mapping, such as {example}, not {content!r:.60}.")
    for key in content:
        if key not in known:
            raise UsageError(f"{inside}{UnknownNameError('key', str(key), known)}")
    return {key: value for key, value in content.items() if value is not None}


def _experiment(content: Any) -> Experiment:
    told = _mapping(content, "", _EXPERIMENT, "cmd: ./sim {n}")
    if (kind := told.get("type", "grid")) != "grid":
        raise UsageError(f"`type` is grid, not {kind}.")
    commands = told.get("cmd", [])
    if isinstance(commands, str):
        commands = [commands]
    if not isinstance(commands, list) or not all(isinstance(one, str) for one in commands):
        raise UsageError("`cmd` is a command line, or a list of them.")
    timeout = told.get("timeout")
    if timeout is not None and not (_is_number(timeout) and timeout > 0):
        raise UsageError(f"`timeout` is a number of seconds above 0, not {timeout!r}.")
    given: dict[str, Any] = {}
    for key in ("repeat", "max_tries"):
        if key in told:
            given[key] = _count(key, told[key])
    for key in ("name", "workdir"):
        if key in told:
            given[key] = _text(key, told[key])
    return Experiment(
        commands=commands,
        variables=_variables(told.get("vars", [])),
        timeout=timeout,
        shell=_boolean("shell", told.get("shell", False)),
        patterns=_mapping_of_texts(told.get("parse", {})),
        **given,
    )


def _mapping_of_texts(content: Any) -> Mapping[str, str]:
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise UsageError("`parse` is a mapping of names to patterns.")
    return {str(name): text for name, text in content.items()}


def _variables(content: Any) -> Sequence[Variable]:
    if isinstance(content, dict):
        return [_listed(str(name), values) for name, values in content.items()]
    if not isinstance(content, list):
        raise UsageError("`vars` is a list of variables.")
    return [_variable(one) for one in content]


def _variable(content: Any) -> Variable:
    known = {"name", "type"}.union(*_KEYS.values())
    told = _mapping(content, "`vars`", known, "{name: n, values: [1, 2]}")
    name, kind = _text("name", told.get("name", "")), str(told.get("type", "list"))
    if kind not in _KEYS:
        raise UsageError(f'"{name}": {UnknownNameError("type", kind, _KEYS)}')
    for key in told:
        if key not in ("name", "type", *_KEYS[kind]):
            raise UsageError(f'"{name}" is of the type {kind}, which has no `{key}`.')
    if kind == "list":
        return _listed(name, told.get("values", []))
    for end in ("min", "max"):
        if end not in told:
            raise UsageError(f'"{name}" lacks `{end}`.')
    ends = told["min"], told["max"]
    if kind == "arithmetic":
        return arithmetic(name, *ends, told.get("step", told.get("factor", 1)))
    if "steps" in told:
        return geometric(name, *ends, told["steps"])
    return multiplied(name, *ends, told.get("factor", 2))


def _listed(name: str, values: Any) -> Variable:
    if not isinstance(values, list):
        values = [values]
    for value in values:
        is_number = _is_number(value) and math.isfinite(value)
        if not isinstance(value, str) and not is_number:
            raise UsageError(
                f'"{name}": YAML reads one of the values as {value!r}. If the program is to get '
                'it as it is written, put it in quotes: "…"'
            )
    return Variable(name, [typed(value) if isinstance(value, str) else value for value in values])


def _cluster(content: Any) -> Cluster:
    told = _mapping(content, "", _CLUSTER, "nodes: [{hostname: lab1}]")
    nodes = told.get("nodes", [])
    if not isinstance(nodes, list) or not nodes:
        raise UsageError("`nodes` is a list of machines.")
    name, ssh = _text("name", told.get("name", "cluster")), _text("ssh", told.get("ssh", ""))
    return Cluster(name, tuple(map(_node, nodes)), ssh)


def _node(content: Any) -> Node:
    told = _mapping(content, "`nodes`", _NODE, "{hostname: lab1}")
    host = _text("hostname", told.get("hostname", told.get("host", "")))
    if not host:
        raise UsageError("a node lacks `hostname`.")
    workers, user, port = (
        told.get("workers", told.get("procs")),
        told.get("user"),
        told.get("port"),
    )
    tags = told.get("tags", [])
    return Node(
        _text("name", told.get("name", host)),
        target(
            None if user is None else _text("user", user),
            host,
            None if port is None else _count("port", port),
        ),
        None if workers is None else _count("workers", workers),
        tuple(_text("tags", tag) for tag in (tags if isinstance(tags, list) else [tags])),
    )


def _text(key: str, value: Any) -> str:
    # A whole number is written as it is read; other values, such as `no`, may not be.
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise UsageError(f'`{key}` is text, not {value!r:.60}. Put it in quotes: "…"')


def _count(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"`{key}` is a whole number above 0, not {value!r}.")
    return value


def _boolean(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"`{key}` is true or false, not {value!r}.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
