"""How many GPUs scheduler arguments ask for, in whatever words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from psyflow.scheduler.extras import EXTRA_ARGS

__all__ = ["count_gpus"]

_NAMES = ("n_gpus", "gpus_per_node", "gpus", "gpus_per_socket")
_PER_TASK = ("gpus_per_task", "tres_per_task")
_LISTS = ("gres", "tres")
_RESOURCE = re.compile(r"\b(?:n?gpus?(?:_physical)?|gpus/\w+|cuda)=(\d+)", re.IGNORECASE)
_LONG = re.compile(r"--(gpus[\w-]*|gres|tres-per-task)(?:[= ](.+))?")
_SHORT = re.compile(r"-(gpu|G|l)(?: ?(.+))?")
_MEANT = {"G": "gpus", "gpu": "gpus", "l": "resources"}
"""What Slurm's ``-G``, LSF's ``-gpu`` and the ``-l`` of others are among the arguments."""


def count_gpus(options: Mapping[str, object]) -> int | None:
    """Return for how many GPUs on a node scheduler arguments ask; None if for none.

    Examples
    --------
    >>> [count_gpus({"n_gpus": text}) for text in (2, "2", "a100:2", "a100", "a100:1,v100:2")]
    [2, 2, 2, 1, 3]
    >>> count_gpus({"gres": "gpu:a100:2(S:0-1),tmp:5"}), count_gpus({"gpus_per_task": 1, "ntasks": 4})
    (2, 4)
    >>> count_gpus({"extra_args": ["--gpus-per-node=a100:2"]}), count_gpus({"n_cpus": 2}) is None
    (2, True)
    >>> [count_gpus({"extra_args": words}) for words in (["-G", "a100:2"], ["-l", "ngpus=2"])]
    [2, 2]
    """  # noqa: E501
    given = {name.replace("-", "_"): value for name, value in options.items()}
    given |= {k: v for k, v in _words(given.get(EXTRA_ARGS)).items() if k not in given}
    for name in _NAMES:
        if name in given:
            return _count(given[name])
    for name in _PER_TASK:
        if name in given and (n := _count(given[name], only_gpus="tres" in name)) is not None:
            return n * (_count(given.get("ntasks", 1)) or 1)
    for name in _LISTS:
        if name in given and (n := _count(given[name], only_gpus=True)) is not None:
            return n
    return _of_resources(given.get("resources")) or _of_resources(given.get("requirements"))


def _words(words: object) -> dict[str, object]:
    if not isinstance(words, list | tuple):
        return {}
    found: dict[str, object] = {}
    for word, after in zip(words, [*words[1:], ""], strict=True):
        match = _LONG.fullmatch(str(word)) or _SHORT.fullmatch(str(word))
        if match is None:
            continue
        name = _MEANT.get(match[1], match[1].replace("-", "_"))
        value = match[2] or str(after)
        if name != "resources" or _RESOURCE.search(value):
            found[name] = value
    return found


def _count(value: object, *, only_gpus: bool = False) -> int | None:
    texts = map(str, value) if isinstance(value, list | tuple) else [str(value)]
    total = None
    for term in ",".join(texts).split(","):
        # "gpu:a100:2(S:0-1)", "gres/gpu=2", "2:mode=shared", "num=2"
        plain = re.sub(r"\(.*", "", term).strip()
        plain = re.sub(r"^(gres[/:]|num=)", "", plain)
        if not plain or (only_gpus and not plain.startswith(("gpu", "shard"))):
            continue
        pieces = re.split("[:=]", plain)
        if pieces[0] == "shard":
            pieces = ["shard"]  # parts of one GPU, or of who knows how many
        numbers = [int(piece) for piece in (pieces[0], pieces[-1]) if piece.isdecimal()]
        total = (total or 0) + (numbers[0] if numbers else 1)
    return total


def _of_resources(value: object) -> int | None:
    if isinstance(value, Mapping):
        texts = [f"{name}={amount}" for name, amount in value.items()]
    else:
        texts = list(map(str, value)) if isinstance(value, list | tuple) else [str(value or "")]
    matches = (_RESOURCE.search(text) for text in texts)
    return next((int(match[1]) for match in matches if match), None)
