"""One pset of a `Command`: its folder, its programs, what became of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, Protocol

from psyflow.command.files import prune
from psyflow.command.packs import has_packs, packer
from psyflow.command.running import Ended, Streams, run_program, watch
from psyflow.command.settings import Spec
from psyflow.exceptions import CommandFailedError
from psyflow.system.processes import cause_of_death
from psyflow.texts import printable

__all__ = ["STDERR", "STDOUT", "USAGE", "Call", "Folder", "folder_of"]

STDOUT, STDERR = "stdout", "stderr"
USAGE = "command.json"
"""What ran, how it ended, and what it took."""
_OWN = (STDOUT, STDERR, USAGE)

MANY = 200
"""In runs of more psets, small folders are packed."""

_TAIL_LINES = 10
_TAIL_BYTES = 2000
_LONGEST_VARIABLE = 30_000
_PREDECESSOR_SECONDS = 15.0

Reader = Callable[[Path], dict[str, Any]]


class Folder(Protocol):
    """The argument ``ctx``, as far as a command needs it."""

    job: str
    attempt: int
    worker: int
    n_psets: int

    @property
    def dir(self) -> Path:
        """The folder of the pset."""


class _Temporary:
    """Stands for ``ctx`` where nobody gives one."""

    job = ""
    attempt = 1
    worker = 0
    n_psets = 1

    def __init__(self, path: str) -> None:
        self.dir = Path(path)


@contextlib.contextmanager
def folder_of(context: Folder | None) -> Iterator[Folder]:
    """Give where programs run: where the worker says, or in a folder that goes when they end."""
    if context is not None:
        yield context
        return
    with tempfile.TemporaryDirectory(prefix="psyflow-") as path:
        yield _Temporary(path)


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
        self._folder = context.dir
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
        is_empty = not os.listdir(self._folder)  # noqa: PTH208
        with self._streams() as streams:
            self._furnish(is_empty=is_empty)
            try:
                self._run(streams)
                row = read(self._folder)
            except Exception:
                self._leave(has_failed=True)
                raise
            except BaseException:
                self._note()
                raise
            self._leave(has_failed=False)
        return row

    @contextlib.contextmanager
    def _streams(self) -> Iterator[tuple[int, int]]:
        """Open the files of the output, once no program of an earlier attempt has them."""
        with contextlib.ExitStack() as stack:
            found = []
            for name in (STDOUT, STDERR):
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                found.append(os.open(self._folder / name, flags, 0o666))
                stack.callback(os.close, found[-1])
            _wait_for_predecessor(found[0], self._folder)
            for fd in found:
                # File systems take their time for it, also if there is nothing to cut off.
                if os.fstat(fd).st_size:
                    os.ftruncate(fd, 0)
            yield found[0], found[1]

    def _furnish(self, *, is_empty: bool) -> None:
        """Have in the folder what the programs are to find, and nothing else."""
        if not is_empty:
            prune(self._folder, self._spec.resume, (STDOUT, STDERR))
        for entry in self._spec.files_in:
            entry.put(self._folder, self._values)
        for template in self._spec.templates:
            template.put(self._folder, self._values)

    def _run(self, outputs: tuple[int, int]) -> None:
        cwd = self._cwd()
        environment = self._environment(cwd)
        launcher = self._spec.launcher.render(self._values) if self._spec.launcher else []
        for line in self._spec.lines:
            command = [*launcher, *line.render(self._values)]
            with self._stdin() as stdin:
                ended = run_program(command, cwd, environment, Streams(stdin, *outputs))
            self._ended.append(ended)
            if ended.exit_code not in self._spec.ok_codes:
                raise self._failure(ended)

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
        fd = os.open(path, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def _environment(self, cwd: str) -> dict[bytes, bytes]:
        host, attempt = socket.gethostname(), str(self._context.attempt)
        worker = str(self._context.worker)
        found = {
            "PSYFLOW_DIR": str(self._folder),
            "PSYFLOW_JOB": self._context.job,
            "PSYFLOW_ATTEMPT": attempt,
            "PSYFLOW_NODE": host,
            "PSYFLOW_WORKER": worker,
            "PATAS_CLUSTER_NAME": "quick_cluster",
            "PATAS_CLUSTER_ID": "0",
            "PATAS_NODE_NAME": host,
            "PATAS_NODE_ID": "0",
            "PATAS_WORKER_ID": worker,
            "PATAS_WORK_DIR": cwd,
            "PATAS_ATTEMPT": attempt,
        }
        for name, value in self._values.items():
            text = str(value)
            # A variable, or all together, may be longer than the system takes.
            if len(text) < _LONGEST_VARIABLE and "\0" not in text and _can_be_encoded(text):
                found[f"PSYFLOW_VAR_{name}"] = found[f"PATAS_VAR_{name}"] = text
        found |= {n: text.render(self._values) for n, text in self._spec.env.items()}
        # In bytes, all that is there need not be decoded and encoded again for each program.
        encoded = {os.fsencode(name): os.fsencode(text) for name, text in found.items()}
        return {**os.environb, **encoded}

    def _failure(self, ended: Ended) -> CommandFailedError:
        code = ended.exit_code
        kind = "oom" if ended.is_oom else "crash" if code is None else "error"
        how = f"was killed by {ended.signal}" if code is None else cause_of_death(code)
        tail = tail_of(self._folder / STDERR)
        end = f" Its standard error ends:\n{tail}" if tail else " It wrote nothing to stderr."
        shown = printable(" ".join(ended.command))[:300]
        return CommandFailedError(f"`{shown}` {how}.{end}", kind, code)

    def _note(self) -> None:
        """Write down what ran, and what it took."""
        (self._folder / USAGE).write_bytes(self._usage())

    def _usage(self) -> bytes:
        text = json.dumps([_noted(ended) for ended in self._ended], ensure_ascii=False)
        return f"{text}\n".encode(errors="replace")

    def _leave(self, *, has_failed: bool) -> None:
        """Remove from the folder what is not to be kept."""
        keep = self._spec.keep
        if keep == "none" or (keep == "failed" and not has_failed):
            prune(self._folder, (), ())
            with contextlib.suppress(OSError):
                self._folder.rmdir()
            self._forget()
            return
        if not isinstance(keep, str) and not has_failed:
            prune(self._folder, keep, ())
        is_packed = self._spec.pack and not has_failed and self._context.n_psets > MANY
        if not is_packed or not packer(self._folder.parent).put(
            self._folder, {USAGE: self._usage()}
        ):
            self._note()

    def _forget(self) -> None:
        """Have nobody take for its output what an earlier evaluation left."""
        if has_packs(self._folder.parent):
            packer(self._folder.parent).forget(self._folder.name)


def _noted(ended: Ended) -> dict[str, Any]:
    return {
        "command": ended.command,
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "duration": round(ended.duration, 6),
        "cpu": round(ended.cpu, 6),
        "peak_memory": ended.peak_memory,
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


def _wait_for_predecessor(fd: int, folder: Path) -> None:
    """Wait until no program of an earlier attempt, whose worker was killed, writes to a file."""
    deadline = time.monotonic() + _PREDECESSOR_SECONDS
    while True:
        try:
            # The program inherits it with the descriptor, however its worker ends.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise CommandFailedError(
                    f"A program of an earlier attempt is still at work in {folder}."
                ) from None
            time.sleep(0.05)
        except OSError:
            return  # a file system without locks
        else:
            return


def tail_of(path: Path) -> str:
    """Return the last lines of a file, indented; whatever its bytes are."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {printable(line)}" for line in lines[-_TAIL_LINES:])
