"""``sinfo``: the nodes."""

from __future__ import annotations

import re

from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.options import Grammar, RefusedError
from psyflow.testing.fakeslurm.request import Request
from psyflow.testing.fakeslurm.sbatch import PARTITION

__all__ = ["answer"]

GRAMMAR = Grammar(
    "sinfo",
    ["format"],
    ["Node", "noheader", "version"],
    short="h=noheader N=Node o=format V=version",
)
DEFAULT_FORMAT = "%9P %5a %10l %5D %6t %N"
_FIELD = re.compile(r"%\.?(\d*)(.)")
_HEADINGS = {
    "P": "PARTITION",
    "a": "AVAIL",
    "l": "TIMELIMIT",
    "D": "NODES",
    "t": "STATE",
    "T": "STATE",
    "N": "NODELIST",
    "c": "CPUS",
    "m": "MEMORY",
    "G": "GRES",
}


def answer(request: Request, controller: Controller) -> str:
    """List the nodes, by their states or one by one."""
    options, operands = GRAMMAR.parse(request.words)
    if operands:
        raise RefusedError(f"sinfo: error: Unrecognized option: {operands[0]}\n")
    if "version" in options:
        return "slurm-wlm 22.05.8\n"
    form = options.get("format", DEFAULT_FORMAT)
    by_state: dict[str, list[str]] = {}
    for node in controller.nodes:
        key = node if "Node" in options else _state(node, controller)
        by_state.setdefault(key, []).append(node)
    lines = [] if "noheader" in options else [_line(form, _HEADINGS)]
    lines += [_line(form, _facts(nodes, controller)) for nodes in by_state.values()]
    return "".join(f"{line}\n" for line in lines)


def _state(node: str, controller: Controller) -> str:
    n_jobs = sum(m.node == node and m.process is not None for m in controller.members)
    if not n_jobs:
        return "idle"
    return "mix" if n_jobs < controller.settings.slots else "alloc"


def _facts(nodes: list[str], controller: Controller) -> dict[str, str]:
    state = _state(nodes[0], controller)
    long = {"mix": "mixed", "alloc": "allocated"}.get(state, state)
    return {
        "P": f"{PARTITION}*",
        "a": "up",
        "l": "infinite",
        "D": str(len(nodes)),
        "t": state,
        "T": long,
        "N": ",".join(nodes),
        "c": str(controller.settings.slots),
        "m": "4000",
        "G": "(null)",
    }


def _line(form: str, facts: dict[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        width, letter = match.groups()
        if letter not in facts:
            known = " ".join(f"%{field}" for field in facts)
            raise RefusedError(f"sinfo: error: FakeSlurm's sinfo does not know %{letter}, "
                               f"but {known}\n")  # fmt: skip
        return facts[letter].ljust(int(width)) if width else facts[letter]

    return _FIELD.sub(fill, form)
