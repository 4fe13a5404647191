"""One pset of a `Command`: its folder, its programs, what became of them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from psyflow.command.packs import Writer, has_packs, packer
from psyflow.command.place import RESERVED, STDERR, STDOUT, USAGE, Folder, Place, opened
from psyflow.command.removal import despite_rights, prune
from psyflow.command.running import Ended, Streams, anyone_left, run_program, watch
from psyflow.command.settings import Spec
from psyflow.exceptions import CommandFailedError
from psyflow.system.processes import cause_of_death, signal_name
from psyflow.texts import last_lines, printable

__all__ = ["Call", "last_words"]

_STREAMS = (STDOUT, STDERR)

MANY = 200
"""In runs of more psets, small folders are packed."""

_TAIL_BYTES = 2000
_LONGEST_VARIABLE = 30_000

Reader = Callable[[Path], dict[str, Any]]


class Call:
    """One evaluation of a command.

    Parameters
    ----------
    spec : Spec
    context : Folder
    values : mapping
        The pset, and whatever else fields may name.
    """

    def __init__(self, spec: Spec, context: Folder, values: Mapping[str, Any]) -> None:
        self._spec = spec
        self._context = context
        self._folder = Path()
        self._values = {name: _absolute(value, spec.base) for name, value in values.items()}
        self._ended: list[Ended] = []

    def go(self, read: Reader) -> dict[str, Any]:
        """Run the programs, and return what `read` finds in the folder then.

        Raises
        ------
        CommandFailedError
            If a program fails.
        """
        watch()
        writer = self._packer(self._context.place.parent)
        spare = None if writer is None else writer.spare
        with opened(self._context, spare) as place:
            self._folder = place.folder
            self._furnish()
            try:
                self._run(place)
                row = read(self._folder)
            except Exception:
                # Where there is no room for a note of it, its failure is told all the same.
                with contextlib.suppress(OSError):
                    self._leave(place, has_failed=True)
                raise
            except BaseException:
                with contextlib.suppress(OSError):
                    self._note()
                raise
            finally:
                self._context.programs = _taken_together(self._ended)
            self._leave(place, has_failed=False)
        return row

    def _packer(self, root: Path) -> Writer | None:
        """Return what takes in folders of psets, if they are many."""
        if not self._spec.pack or self._context.n_psets <= MANY:
            return None
        return packer(root)

    def _furnish(self) -> None:
        """Have in the folder what the programs are to find, and nothing else."""
        if despite_rights(self._folder, self._n_entries) > len(_STREAMS):
            prune(self._folder, self._spec.resume, _STREAMS)
            (self._folder / USAGE).unlink(missing_ok=True)
        if not self._spec.files_in and not self._spec.templates:
            return
        there = {name: self._folder / name for name in RESERVED}
        for entry in self._spec.files_in:
            entry.put(self._folder, self._values, there)
        for template in self._spec.templates:
            template.put(self._folder, self._values, there)

    def _n_entries(self) -> int:
        return len(os.listdir(self._folder))  # noqa: PTH208

    def _run(self, place: Place) -> None:
        cwd = self._cwd()
        environment = self._environment(cwd)
        launcher = self._spec.launcher.render(self._values) if self._spec.launcher else []
        for line in self._spec.lines:
            command = [*launcher, *line.render(self._values)]
            with self._stdin() as stdin:
                streams = Streams(stdin, place.stdout, place.stderr)
                ended = run_program(command, cwd, environment, streams)
            self._ended.append(ended)
            if ended.exit_code not in self._spec.ok_codes:
                place.put_back()
                raise self._failure(ended)
        place.put_back()

    def _cwd(self) -> str:
        if self._spec.cwd is None:
            return str(self._folder)
        return str(self._spec.base / self._spec.cwd.render(self._values, expand=True))

    @contextlib.contextmanager
    def _stdin(self) -> Iterator[int]:
        path = Path(os.devnull)
        if self._spec.stdin is not None:
            name = self._spec.stdin.render(self._values)
            path = self._folder / name
            path = path if path.exists() else self._spec.base / name
            if not path.exists() or path.is_dir():
                raise FileNotFoundError(f"`stdin`: there is no file {path}.")
        fd = os.open(path, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def _environment(self, cwd: str) -> dict[bytes, bytes]:
        context = self._context
        found = {
            **os.environb,
            **_whereabouts(context.job, context.attempt, context.worker, socket.gethostname()),
            b"PSYFLOW_DIR": os.fsencode(self._folder),
            b"PATAS_WORK_DIR": os.fsencode(cwd),
        }
        for name, value in self._values.items():
            text = str(value)
            # A variable, or all together, may be longer than the system takes.
            if len(text) < _LONGEST_VARIABLE and "\0" not in text and _can_be_encoded(text):
                found |= dict.fromkeys(_names_of(name), os.fsencode(text))
        for name, line in self._spec.env.items():
            found[os.fsencode(name)] = os.fsencode(line.render(self._values))
        return found

    def _failure(self, ended: Ended) -> CommandFailedError:
        code = ended.exit_code
        kind = "oom" if ended.is_oom else "crash" if code is None else "error"
        how = cause_of_death(-ended.signal if ended.signal else ended.exit_code or 0)
        end = last_words(self._folder) or " It wrote nothing to stderr."
        shown = printable(" ".join(ended.command))[:300]
        return CommandFailedError(f"`{shown}` {how}.{end}", kind, code)

    def _note(self) -> None:
        """Write down what ran, and what it took, unless a program has something of that name."""
        with contextlib.suppress(FileExistsError):
            despite_rights(self._folder, self._write_usage)

    def _write_usage(self) -> None:
        with (self._folder / USAGE).open("xb") as file:
            file.write(self._usage())

    def _usage(self) -> bytes:
        text = json.dumps([_noted(ended) for ended in self._ended], ensure_ascii=False)
        return f"{text}\n".encode(errors="replace")

    def _leave(self, place: Place, *, has_failed: bool) -> None:
        """Remove from the folder what is not to be kept."""
        keep, writer = self._spec.keep, self._packer(self._folder.parent)
        # What goes on in this folder would go on in that of another pset.
        if writer is not None and anyone_left():
            writer.spare.leave_next()
        if keep == "none" or (keep == "failed" and not has_failed):
            if writer is not None:
                writer.drop(self._folder, place.streams)
                return
            prune(self._folder, (), ())
            with contextlib.suppress(OSError):
                self._folder.rmdir()
            if has_packs(self._folder.parent):
                packer(self._folder.parent).forget(self._folder.name)
            return
        if not isinstance(keep, str) and not has_failed:
            prune(self._folder, keep, ())
        # A later attempt is to find what it goes on with.
        if has_failed and self._spec.resume:
            writer = None
        usage = {USAGE: self._usage()}
        if writer is None or not writer.put(self._folder, usage, place.streams):
            self._note()


@functools.lru_cache(maxsize=64)
def _whereabouts(job: str, attempt: int, worker: int, host: str) -> dict[bytes, bytes]:
    """Return the variables that tell programs where they run."""
    # In bytes, they need not be encoded again for each program.
    told = {
        "PSYFLOW_JOB": job,
        "PSYFLOW_ATTEMPT": attempt,
        "PSYFLOW_NODE": host,
        "PSYFLOW_WORKER": worker,
        "PATAS_CLUSTER_NAME": "quick_cluster",
        "PATAS_CLUSTER_ID": 0,
        "PATAS_NODE_NAME": host,
        "PATAS_NODE_ID": 0,
        "PATAS_WORKER_ID": worker,
        "PATAS_ATTEMPT": attempt,
    }
    return {os.fsencode(name): os.fsencode(str(value)) for name, value in told.items()}


@functools.lru_cache(maxsize=256)
def _names_of(parameter: str) -> tuple[bytes, bytes]:
    """Return the variables that tell programs a parameter."""
    return os.fsencode(f"PSYFLOW_VAR_{parameter}"), os.fsencode(f"PATAS_VAR_{parameter}")


def _noted(ended: Ended) -> dict[str, Any]:
    return {
        "command": ended.command,
        "exit_code": ended.exit_code,
        "signal": signal_name(ended.signal) if ended.signal else None,
        "duration": round(ended.duration, 6),
        "cpu": round(ended.cpu, 6),
        "peak_memory": ended.peak_memory,
    }


def _taken_together(ended: Sequence[Ended]) -> dict[str, Any] | None:
    """Return what is noted of the programs of a pset: see `psyflow.outcomes.records`."""
    if not ended:
        return None
    last = ended[-1]
    return {
        "exit_code": -1 if last.exit_code is None else last.exit_code,
        "signal": last.signal or 0,
        "cpu": sum(one.cpu for one in ended),
        "peak_memory": max(-1 if one.peak_memory is None else one.peak_memory for one in ended),
    }


def _absolute(value: Any, base: Path) -> Any:
    """Have a path mean the same wherever the program runs."""
    if isinstance(value, PurePath) and not value.is_absolute():
        return Path(os.path.normpath(base / value))
    return value


def _can_be_encoded(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def last_words(folder: Path) -> str:
    """Say how the standard error of a pset's programs ends; nothing if it is empty."""
    tail = _tail_of(folder / STDERR)
    return f" Its standard error ends:\n{tail}" if tail else ""


def _tail_of(path: Path) -> str:
    """Return the last lines of a file, indented; whatever its bytes are."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return last_lines(file.read(_TAIL_BYTES))
    except OSError:
        return ""
