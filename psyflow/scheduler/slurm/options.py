"""The options of Slurm's `sbatch`, by their long names."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from numbers import Integral

from psyflow.exceptions import UnknownNameError, UsageError, did_you_mean
from psyflow.scheduler.extras import EXTRAS, check_values, extra_args, joined
from psyflow.scheduler.memory import check_memory, read_memory, sized
from psyflow.scheduler.timelimit import clock, read_time_limit

__all__ = [
    "FLAGS",
    "FLAGS_WITH_VALUES",
    "CLUSTERS",
    "MAX_RUNNING",
    "OWN_WORDS",
    "VALUES",
    "asked_for",
    "canonical_option",
    "check_option",
    "read_terms",
    "render_option",
]

CLUSTERS = "clusters"
MAX_RUNNING = "max-running"
"""Members of an array that may run at once; not an option of sbatch, but part of ``--array``."""

ALIASES = {
    "timelimit": "time",
    "memory": "mem",
    "memory-per-cpu": "mem-per-cpu",
    "n-cpus": "cpus-per-task",
    "n-gpus": "gpus-per-node",
    "n-nodes": "nodes",
}

_LETTERS = {"partition": "-p", "account": "-A", "qos": "-q"}
COUNTS = ("n_cpus", "ntasks", "ntasks-per-node", "ntasks-per-gpu", "cpus-per-gpu")
_NAMES = {option: name.replace("-", "_") for name, option in ALIASES.items()}
TIMES = ("time", "time-min")
MEMORY = ("mem", "mem-per-cpu", "mem-per-gpu")

VALUES = """
    account acctg-freq batch bb bbf begin chdir cluster-constraint comment constraint container
    container-id core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline
    delay-boot distribution exclude export export-file extra extra-node-info gid gpu-bind gpu-freq
    gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint input
    kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu
    mem-per-gpu mincpus network nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu
    ntasks-per-node ntasks-per-socket partition power prefer priority profile qos reservation
    segment signal sockets-per-node switches thread-spec threads-per-core time time-min tmp
    tres-bind tres-per-task uid wait-all-nodes wckey
""".split()  # noqa: SIM905
FLAGS = """
    contiguous hold ignore-pbs no-requeue overcommit oversubscribe reboot requeue resv-ports
    spread-job stepmgr use-min-nodes
""".split()  # noqa: SIM905
FLAGS_WITH_VALUES = "exclusive get-user-env nice no-kill propagate".split()  # noqa: SIM905

# What psyflow needs to know about its jobs, it has to say itself.
_RESERVED = """
    array error help job-name open-mode output parsable quiet test-only usage
    verbose version wait wrap
""".split()  # noqa: SIM905

_KNOWN = {*VALUES, *FLAGS, *FLAGS_WITH_VALUES, *EXTRAS, MAX_RUNNING, CLUSTERS}
OWN_WORDS = (
    *(f"--{name}" for name in (*_RESERVED, "dependency", CLUSTERS)),
    *(f"-{letter}{rest}" for letter in "adeoJMQW" for rest in ("", "*")),
)
"""What ``extra_args`` must not have."""
_DEPENDENCY = re.compile(
    r"(?:after|afterany|afterburstbuffer|aftercorr|afternotok|afterok)"
    r"(?::\d+(?:_\d+)?(?:\+\d+)?)+|singleton"
)
_NAMED = {*_KNOWN, *_NAMES.values()}
_TELLABLE = {name.replace("-", "_") for name in (_KNOWN - set(ALIASES.values())) | set(ALIASES)}


def canonical_option(name: str) -> str:
    """Return the long option of sbatch that a scheduler argument stands for.

    Raises
    ------
    UsageError
        If there is none, or if it is psyflow's to give.

    Examples
    --------
    >>> canonical_option("timelimit"), canonical_option("mail_type")
    ('time', 'mail-type')
    """
    if name.replace("-", "_") in EXTRAS:
        return name.replace("-", "_")
    option = name.replace("_", "-")
    option = ALIASES.get(option, option)
    if option in _RESERVED:
        raise UsageError(
            f'Slurm argument "{name}" is set by psyflow itself. Take it out of scheduler_args.'
        )
    if option not in _KNOWN:
        raise UnknownNameError("Slurm argument", name, _TELLABLE)
    return option


def asked_for(option: str, options: Mapping[str, object]) -> str:
    """Return what a job asks for by an option, in whichever way; '' if it does not.

    Parameters
    ----------
    option : str
        ``partition``, ``account`` or ``qos``.
    options : mapping
        The scheduler arguments. Further words go before the others, and these before variables of
        the environment, which sbatch reads.

    Examples
    --------
    >>> asked_for("qos", {"qos": "low", "extra_args": ["-q", "high"]})
    'high'
    """
    names = (f"--{option}", _LETTERS[option])
    words = iter(extra_args(options))
    told = None
    for word in words:
        name, equals, value = word.partition("=")
        if word in names:
            told = next(words, "")
        elif name == names[0] and equals:
            told = value
        elif word.startswith(names[1]):
            told = word.removeprefix(names[1])
    if told is not None:
        return told
    if option in options:
        return joined(options[option])
    return os.environ.get(f"SBATCH_{option.upper()}", "")


def check_option(option: str, value: object) -> None:
    """Raise `UsageError` if `value` is nothing for `option`."""
    if option == MAX_RUNNING:
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
            raise UsageError(f"max_running is a number of jobs, at least 1, not {value!r}.")
    elif option == "time-min":
        _check_time(option, value)
    elif option in MEMORY:
        if str(value).strip() != "0":  # all that a node has
            check_memory("Slurm", _NAMES.get(option, option), value, counts_mib=True)
    elif option in FLAGS and not isinstance(value, bool):
        raise UsageError(f'Slurm argument "{option}" is switched by True or False, not {value!r}.')
    elif option in VALUES and isinstance(value, bool):
        raise UsageError(f'Slurm argument "{option}" needs a value, not {value!r}.')
    elif option not in (*FLAGS, *TIMES) and not isinstance(value, bool):
        check_values("Slurm", _NAMES.get(option, option), value, COUNTS, _NAMED)


def _check_time(option: str, value: object) -> None:
    try:
        read_time_limit(value)
    except ValueError as error:
        raise UsageError(f'Slurm argument "{option}" is {error}, not {value!r}.') from None


def read_terms(value: object) -> str:
    """Read the argument ``dependency`` and return what ``--dependency`` is to be.

    Parameters
    ----------
    value : object
        As sbatch takes it; or the id of a job, which waits for its end; or a list of such.

    Raises
    ------
    ValueError
        If it is not understood; says what it may be.

    Examples
    --------
    >>> read_terms("afterok:12+5"), read_terms(["12", "singleton"])
    ('afterok:12+5', 'afterany:12,singleton')
    """
    values = value if isinstance(value, list | tuple) else [value]
    words = [str(one).strip() for one in values if not isinstance(one, bool)]
    words = [f"afterany:{word}" if re.fullmatch(r"\d+(_\d+)?", word) else word for word in words]
    separators = {sign for word in words for sign in word if sign in ",?"} | {
        ","[: len(words) > 1]
    }
    separators -= {""}
    terms = [term for word in words for term in re.split("[,?]", word)]
    if not terms or len(separators) > 1 or not all(map(_DEPENDENCY.fullmatch, terms)):
        kinds = [*re.findall(r"after\w*", _DEPENDENCY.pattern), "singleton"]
        odd = next((t.partition(":")[0] for t in terms if not _DEPENDENCY.fullmatch(t)), "")
        hint = did_you_mean(odd, kinds) if odd not in kinds else ""
        raise ValueError(
            f'the id of a job, or such as "afterok:1234" or "afterok:12:13,singleton".{hint}'
        )
    return (separators or {","}).pop().join(terms)


def render_option(option: str, value: object) -> list[str]:
    """Return `option` in sbatch's words.

    Examples
    --------
    >>> render_option("time", "1:00:00"), render_option("exclude", ["n1", "n2"])
    (['--time=1:00:00'], ['--exclude=n1,n2'])
    >>> render_option("exclusive", True), render_option("exclusive", False)
    (['--exclusive'], [])
    """
    if value is False or option in (MAX_RUNNING, CLUSTERS, *EXTRAS):
        return []
    if value is True:
        return [f"--{option}"]
    if option in TIMES:
        limit = read_time_limit(value)
        return [f"--{option}={'UNLIMITED' if math.isinf(limit) else clock(limit)}"]
    if option in MEMORY and str(value).strip() != "0":
        return [f"--{option}={sized(read_memory(value, counts_mib=True))}"]
    return [f"--{option}={joined(value)}"]
