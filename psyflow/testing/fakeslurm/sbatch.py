"""``sbatch``: from its command line and script to a job."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from psyflow.scheduler.slurm.options import FLAGS, FLAGS_WITH_VALUES, VALUES
from psyflow.scheduler.slurm.texts import parse_time_limit
from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.jobs import Condition, Job
from psyflow.testing.fakeslurm.options import Grammar, RefusedError
from psyflow.testing.fakeslurm.request import Request, StdinWanted

__all__ = ["PARTITION", "answer", "signal_number"]

PARTITION = "debug"
# Real options with which sbatch would do something else than submit.
UNSUPPORTED = ("clusters", "help", "test-only", "usage", "wait")
GRAMMAR = Grammar(
    "sbatch",
    [
        *VALUES,
        "array",
        "clusters",
        "dependency",
        "error",
        "job-name",
        "open-mode",
        "output",
        "wrap",
    ],
    [*FLAGS, "help", "parsable", "quiet", "test-only", "usage", "verbose", "version", "wait"],
    FLAGS_WITH_VALUES,
    short=(
        "a=array A=account b=begin c=cpus-per-task d=dependency D=chdir e=error "
        "H=hold i=input J=job-name k=no-kill L=licenses m=distribution n=ntasks "
        "N=nodes o=output O=overcommit p=partition q=qos Q=quiet "
        "s=oversubscribe S=core-spec t=time v=verbose V=version C=constraint "
        "F=nodefile w=nodelist x=exclude G=gpus B=extra-node-info "
        "h=help M=clusters W=wait"
    ),
    code=255,
    stop_at_operand=True,
)
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_CONDITION = re.compile(r"(after|afterany|afterok|afternotok)((?::\d+(?:_\d+)?)+)")
_SIGNAL = re.compile(r"(?:(R?B?):)?(\w+)(?:@(\d+))?")
_NO_SCRIPT = """\
sbatch: error: This does not look like a batch script.  The first
sbatch: error: line must start with #! followed by the path to an interpreter.
sbatch: error: For instance: #!/bin/sh
"""


def answer(request: Request, controller: Controller) -> str:
    """Submit a job and return what sbatch prints."""
    told, operands = GRAMMAR.parse(request.words)
    if "version" in told:
        return "slurm-wlm 22.05.8\n"
    script, name = _script(told, operands, request)
    options = GRAMMAR.parse(_directives(script))[0] | told
    _check(options)
    job = _job(options, request, controller.settings.max_array_size)
    job.name, job.script = options.get("job-name", name), script
    job.arguments = operands[1:]
    controller.submit(job)
    controller.advance()
    if "parsable" in options:
        return f"{job.id}\n"
    return "" if "quiet" in options else f"Submitted batch job {job.id}\n"


def signal_number(name: str) -> int | None:
    """Return the number of a signal, given as ``USR1``, ``SIGUSR1`` or ``10``."""
    if name.isdecimal():
        return int(name)
    known = signal.Signals.__members__
    found = known.get(name) or known.get(f"SIG{name}")
    return None if found is None else int(found)


def _job(options: Mapping[str, str], request: Request, max_array_size: int) -> Job:
    indices, throttle = _array(options.get("array"), max_array_size)
    single = "slurm-%j.out" if indices is None else "slurm-%A_%a.out"
    return Job(
        id=0,
        name="",
        script="",
        arguments=(),
        cwd=str(Path(request.cwd, options.get("chdir", ""))),
        environment=_exported(options.get("export", "ALL"), request.environment),
        output=options.get("output", single),
        error=options.get("error", ""),
        input=options.get("input", ""),
        append=options.get("open-mode", "").startswith("a"),
        indices=indices,
        throttle=throttle,
        after=_conditions(options.get("dependency", "")),
        time_limit=_time_limit(options.get("time")),
        signal=_warning(options.get("signal")),
        requeue="no-requeue" not in options,
        held="hold" in options,
        options=options,
    )


def _script(
    options: Mapping[str, str], operands: Sequence[str], request: Request
) -> tuple[str, str]:
    """Return the script, and what the job is called unless it is given a name."""
    if "wrap" in options:
        if operands:
            raise _error("Script arguments not permitted with --wrap option")
        return f"#!/bin/sh\n{options['wrap']}\n", "wrap"
    script, name = _read(operands, request)
    if not script:
        raise _error("Batch script is empty!")
    if not script.startswith("#!"):
        raise RefusedError(_NO_SCRIPT)
    return script, name


def _read(operands: Sequence[str], request: Request) -> tuple[str, str]:
    if operands:
        path = Path(request.cwd, operands[0])
        try:
            return path.read_text(encoding="utf-8", errors="surrogateescape"), path.name
        except OSError:
            raise _error(f"Unable to open file {operands[0]}") from None
    if request.stdin is None:
        raise StdinWanted
    return request.stdin, "sbatch"


def _directives(script: str) -> list[str]:
    """Return the options in ``#SBATCH`` lines, which end at the first command."""
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith("#SBATCH"):
            words += shlex.split(line.removeprefix("#SBATCH"), comments=True)
        elif line.strip() and not line.startswith("#"):
            break
    return words


def _check(options: Mapping[str, str]) -> None:
    for name in UNSUPPORTED:
        if name in options:
            raise _error(f"FakeSlurm's sbatch does not support --{name}")
    mode, memory = options.get("open-mode", "a"), options.get("mem", "0")
    if not mode.startswith(("a", "t")):
        raise _error("Invalid --open-mode specification", 255)
    if not re.fullmatch(r"\d+[KMGTkmgt]?[Bb]?", memory):
        raise _error("Invalid --mem specification", 255)
    partition = options.get("partition", PARTITION)
    if partition != PARTITION:
        raise _error(
            f"invalid partition specified: {partition}\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified"
        )


def _array(text: str | None, max_size: int) -> tuple[list[int] | None, int]:
    if text is None:
        return None, 0
    listed, _, throttle = text.partition("%")
    if not re.fullmatch(r"\d*", throttle):
        raise _failed("Invalid job array specification")
    indices = {index for part in listed.split(",") for index in _range(part, max_size)}
    return sorted(indices), int(throttle or 0)


def _range(part: str, max_size: int) -> range:
    match = _RANGE.fullmatch(part)
    if match:
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if first <= last < max_size and step:
            return range(first, last + 1, step)
    raise _failed("Invalid job array specification")


def _conditions(text: str) -> list[Condition]:
    """Read ``afterany:7:8,afterok:9``."""
    conditions = []
    for part in text.split(",") if text else []:
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise _failed("Job dependency problem")
        conditions += [Condition(match[1], jobid) for jobid in match[2].strip(":").split(":")]
    return conditions


def _time_limit(text: str | None) -> float | None:
    if text is None or text.lower() in ("unlimited", "infinite"):
        return None
    seconds = parse_time_limit(text)
    if seconds is None:
        raise _error("Invalid --time specification", 255)
    return seconds or None  # 0 is no limit


def _warning(text: str | None) -> tuple[int, float] | None:
    if text is None:
        return None
    match = _SIGNAL.fullmatch(text)
    number = signal_number(match[2]) if match else None
    if match is None or number is None:
        raise _error("Invalid --signal specification", 255)
    if "B" not in (match[1] or ""):
        return None  # it is for job steps, which a fake has none of
    return number, float(match[3] or 60)


def _exported(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: environment[name] for name in ("HOME", "PATH", "USER") if name in environment}
    for word in text.split(","):
        name, has_value, value = word.partition("=")
        if word == "ALL":
            kept |= environment
        elif has_value:
            kept[name] = value
        elif name in environment:
            kept[name] = environment[name]
    return kept


def _error(text: str, code: int = 1) -> RefusedError:
    return RefusedError(f"sbatch: error: {text}\n", code)


def _failed(text: str) -> RefusedError:
    return _error(f"Batch job submission failed: {text}")
