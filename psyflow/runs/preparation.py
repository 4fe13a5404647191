"""What prepares the node for a job, and clears up after it: a script that starts the job.

It is a script of bash, as `module` and `conda activate` are functions of the shell. It lies with
what the plan froze, so that it is the same on every scheduler, and no scheduler reads anything
into it.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from psyflow.exceptions import TaskFileError
from psyflow.record.layout import PlanLayout
from psyflow.system.files import write_atomic
from psyflow.tasks import TaskDef

__all__ = ["check_start", "freeze_preparation", "preparation", "starter"]

SHELL = ("bash",)
"""The script makes itself a login shell: only that reads where a site defines `module`."""

_HEAD = """\
# Prepares the node for a job of psyflow, and starts the job, which is "$@".
if ! shopt -q login_shell; then
    export PSYFLOW_PATH=$PATH
    exec bash -l "$0" "$@"
fi
# /etc/profile may replace PATH. What that lacks now is put back, and stands in front of it: the
# programs of an active environment, and of the cluster. Only what came last remains the last.
psyflow_path() {
    local folder front= back= IFS=:
    set -f
    for folder in ${PSYFLOW_PATH-}; do
        case ":$PATH:" in
            *:"$folder":*) front=$front$back back= ;;
            *) back=$back$folder: ;;
        esac
    done
    PATH=$front$PATH${back:+:${back%:}}
    set +f
    unset PSYFLOW_PATH
}
psyflow_path
psyflow_run=${0%/*}
printf '=== %(%Y-%m-%d %H:%M:%S)T prologue of %s, process %d on %s\\n' -1 "${psyflow_run##*/}" $$ "$HOSTNAME"
psyflow_failed() {
    psyflow_said=1
    printf 'psyflow: a line of the prologue failed with exit code %d, so the job does not begin: %s\\n' "$@" >&2
    exit "$1"
}
# Says it if the prologue has ended the job.
psyflow_ended() {
    [ -z "${psyflow_begun-}" ] || return 0
    [ -n "${psyflow_said-}" ] || printf 'psyflow: the prologue ended the job before it began, with exit code %d. A line of it calls `exit`, or the job was ended meanwhile.\\n' "$1" >&2
}
# By these exit codes, jobs of psyflow tell why they end: they must not be those of a prologue.
psyflow_exit() {
    [ -n "${psyflow_begun-}" ] || case $1 in [3-8]) exit 1 ;; esac
    exit "$1"
}
"""  # noqa: E501
_CONDA = """\
# `conda activate` is a function that only interactive shells have.
if [ "$(type -t conda)" != function ]; then eval "$("${CONDA_EXE:-conda}" shell.bash hook)"; fi
"""
_NO_EPILOGUE = """\
psyflow_over() {
    psyflow_ended "$1"
    # Not for a signal, by which the shell is to end.
    [ "$1" -gt 128 ] || psyflow_exit "$1"
}
trap 'psyflow_over $?' EXIT
"""
_EPILOGUE = """\
psyflow_line_failed() {
    printf 'psyflow: a line of the epilogue failed with exit code %d: %s\\n' "$@" >&2
}
psyflow_epilogue() {
    export PSYFLOW_EXIT_CODE=$?
    trap - EXIT
    psyflow_ended "$PSYFLOW_EXIT_CODE"
    set +e
@LINES@
    psyflow_exit "$PSYFLOW_EXIT_CODE"
}
psyflow_signalled() {
    psyflow_said=1
    [ -n "${psyflow_job-}" ] || exit "$2"
    psyflow_woken=1
    kill -s "$1" "$psyflow_job" 2>/dev/null
}
trap psyflow_epilogue EXIT
# The job may have got the signal as well, and two would ask it to hurry; USR2 never does.
trap 'psyflow_signalled USR2 143' TERM
trap 'psyflow_signalled USR2 130' INT
trap 'psyflow_signalled HUP 129' HUP
trap 'psyflow_signalled USR1 138' USR1
trap 'psyflow_signalled USR2 140' USR2
"""
_START = 'trap - EXIT\nexec "$@"\n'
_START_AND_WAIT = """\
psyflow_begun=1
"$@" <&0 &
psyflow_job=$!
# A signal ends the waiting, but not the job.
psyflow_woken=1
while [ -n "$psyflow_woken" ]; do
    psyflow_woken=
    wait "$psyflow_job"
    psyflow_code=$?
    [ "$psyflow_code" = 127 ] || psyflow_result=$psyflow_code
done
psyflow_job=
exit "${psyflow_result:-127}"
"""
_ACTIVATES = re.compile(r"^\s*conda\s+(de)?activate\b", re.MULTILINE)


def preparation(task: TaskDef) -> str | None:
    """Return the script that starts the jobs of a task; None if nothing is to be prepared."""
    if not (task.prologue or task.epilogue):
        return None
    # What fails is told by its own words; `set -e` would end the functions of many a site, too.
    before = [
        f"eval {shlex.quote(line)} || psyflow_failed $? {shlex.quote(line)}"
        for line in task.prologue
    ]
    after = [
        f"    eval {shlex.quote(line)} || psyflow_line_failed $? {shlex.quote(line)}"
        for line in task.epilogue
    ]
    pieces = [
        _HEAD,
        _EPILOGUE.replace("@LINES@", "\n".join(after)) if after else _NO_EPILOGUE,
        _CONDA if any(map(_ACTIVATES.search, task.prologue)) else "",
        "".join(f"{line}\n" for line in before),
        _START_AND_WAIT if after else _START,
    ]
    return "".join(pieces)


def starter(task: TaskDef, frozen: PlanLayout) -> list[str]:
    """Return how the command lines of the jobs of a task begin: with the script, if any."""
    return [*SHELL, str(frozen.preparation)] if task.prologue or task.epilogue else []


def freeze_preparation(task: TaskDef, frozen: PlanLayout) -> None:
    """Write the script, if there is one, for the jobs of a plan."""
    if (script := preparation(task)) is not None:
        write_atomic(frozen.preparation, script.encode("utf-8", "surrogateescape"))


def check_start(task: TaskDef) -> None:
    """Raise an error if the jobs of a task could not start, as far as that can be seen from here.

    Raises
    ------
    TaskFileError
        If the shell does not understand a line, or there is no such `python`.
    """
    for name in ("prologue", "epilogue"):
        for line in getattr(task, name):
            if problem := _misunderstood(line):
                raise TaskFileError(
                    f"{task.source}: `{name}`: bash does not understand {line!r}: {problem}. "
                    f"What belongs together, such as a loop, has to be one element of the list."
                )
    program = task.interpreter[0]
    if "/" in program:
        if Path(program).is_file() and not os.access(program, os.X_OK):
            raise TaskFileError(
                f"{task.source}: `python`: {program} may not be executed. To allow it, type: "
                f"{shlex.join(['chmod', '+x', program])}"
            )
        if not Path(program).is_file():
            raise TaskFileError(
                f"{task.source}: `python`: {program} is no program. A path is relative to the "
                f"task file. One that only nodes have may be written: env {program}"
            )
    elif not task.prologue and shutil.which(program) is None:
        # A prologue may put it where it is found.
        raise TaskFileError(
            f'{task.source}: `python`: there is no program "{program}" here. Give its path, or '
            f"write what makes it available into `prologue`, such as: module load {program}"
        )


@functools.cache
def _misunderstood(line: str) -> str:
    """Return what bash has against a line; '' if nothing, or if there is no bash here."""
    try:
        answer = subprocess.run(
            ["bash", "-n", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError:
        return ""  # the nodes may have one
    # Warnings, as of a here-document without an end, have no exit code.
    said = answer.stderr.strip().splitlines()
    return said[0].removeprefix("bash: -c: ") if said else ""
