"""Record what processes do to the files below a folder, in the order in which it took effect."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Operation", "record", "unavailable"]

# The last two lines are of calls by which a file could change unseen: a recording that has one is
# refused.
_CALLS = (
    "creat,open,openat,write,writev,pwrite64,pwritev,fsync,fdatasync,link,linkat,rename,renameat,"
    "renameat2,unlink,unlinkat,ftruncate,mkdir,mkdirat,rmdir,lseek,clone,clone3,"
    "truncate,symlink,symlinkat,copy_file_range,sendfile,splice,sync_file_range,fallocate,"
    "pwritev2"
)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_ANY_PATH = re.compile(r'[<"]((?:\\x[0-9a-f]{2})*)[>"]')
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+)(.*)$", re.S)
_LINE = re.compile(r"(\d+)\s+(.*)$", re.S)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)$", re.S)


@dataclass(frozen=True)
class Operation:
    """One step that changes files, or makes changes durable.

    Attributes
    ----------
    kind : str
        ``create`` (also opens what exists), ``truncate``, ``write``, ``fsync``, ``link``,
        ``rename``, ``unlink``, ``mkdir`` or ``rmdir``.
    path, other : str
        Absolute; `other` is the new name of a link or rename.
    data : bytes
    offset : int or None
        Where data goes; None: to the end.
    size : int
        What a file is truncated to.
    """

    kind: str
    path: str
    other: str = ""
    data: bytes = b""
    offset: int | None = None
    size: int = 0


def unavailable() -> str | None:
    """Return why nothing can be recorded here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True)
    return "strace may not trace here" if probe.returncode else None


def record(command: list[str], folder: Path, trace: Path) -> tuple[int, list[Operation]]:
    """Run `command` in `folder`; return its exit code and what was done below `folder`."""
    strace = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", "signal=none"]
    strace += ["-e", f"trace={_CALLS}"]
    done = subprocess.run(
        [*strace, "-o", str(trace), *command], cwd=folder, capture_output=True, timeout=600
    )
    lines = trace.read_text().splitlines()
    return done.returncode, list(_Parser(str(folder)).operations(lines))


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


class _Parser:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._begun: dict[str, str] = {}
        self._process_of: dict[str, str] = {}
        self._offsets: dict[tuple[str, str], int | None] = {}

    def operations(self, lines: list[str]) -> Iterator[Operation]:
        for thread, text in self._whole_calls(lines):
            call = _CALL.match(text)
            if call is None or call[3].startswith("-"):
                continue
            process = self._process_of.get(thread, thread)
            if call[1] in ("clone", "clone3"):
                if "CLONE_THREAD" in call[2]:
                    self._process_of[call[3]] = process
                continue
            for operation in self._operations(process, call[1], call[2], int(call[3], 0)):
                if f"{operation.path}/".startswith(f"{self._folder}/"):
                    yield operation

    def _whole_calls(self, lines: list[str]) -> Iterator[tuple[str, str]]:
        for line in lines:
            match = _LINE.match(line)
            assert match is not None, line
            thread, text = match.groups()
            if text.endswith(_UNFINISHED):
                self._begun[thread] = text.removesuffix(_UNFINISHED)
            elif resumed := _RESUMED.match(text):
                yield thread, self._begun.pop(thread, "") + resumed[1]
            else:
                yield thread, text

    def _operations(
        self, process: str, name: str, arguments: str, returned: int
    ) -> Iterator[Operation]:
        if name in ("open", "openat", "creat"):
            yield from self._opened(process, name, arguments)
        elif name in ("write", "writev", "pwrite64", "pwritev"):
            yield from self._written(process, name, arguments, returned)
        elif name in ("fsync", "fdatasync"):
            yield Operation("fsync", self._fd_path(arguments))
        elif name == "lseek":
            key = (process, self._fd_path(arguments))
            if self._offsets.get(key) is not None:
                self._offsets[key] = returned
        elif name == "ftruncate":
            size = int(arguments.rpartition(", ")[2])
            yield Operation("truncate", self._fd_path(arguments), size=size)
        elif name != "sync_file_range":  # which promises nothing
            yield from self._named(name, arguments)

    def _opened(self, process: str, name: str, arguments: str) -> Iterator[Operation]:
        if "O_WRONLY" not in arguments and "O_RDWR" not in arguments and name != "creat":
            return
        path = self._paths(arguments)[0]
        self._offsets[process, path] = None if "O_APPEND" in arguments else 0
        if "O_CREAT" in arguments or name == "creat":
            yield Operation("create", path)
        if "O_TRUNC" in arguments or name == "creat":
            yield Operation("truncate", path)

    def _written(
        self, process: str, name: str, arguments: str, returned: int
    ) -> Iterator[Operation]:
        path = self._fd_path(arguments)
        data = b"".join(_bytes(text) for text in _TEXT.findall(arguments))[:returned]
        if name.startswith("p"):
            yield Operation("write", path, data=data, offset=int(arguments.rpartition(", ")[2]))
            return
        offset = self._offsets.get((process, path))
        if offset is not None:
            self._offsets[process, path] = offset + len(data)
        yield Operation("write", path, data=data, offset=offset)

    def _named(self, name: str, arguments: str) -> Iterator[Operation]:
        kind = name.removesuffix("2").removesuffix("at")
        if kind == "unlink" and "AT_REMOVEDIR" in arguments:
            kind = "rmdir"
        if kind in ("link", "rename", "unlink", "mkdir", "rmdir"):
            path, *other = self._paths(arguments)
            yield Operation(kind, path, other=other[0] if other else "")
            return
        named = [_bytes(match[1]).decode() for match in _ANY_PATH.finditer(arguments)]
        inside = [path for path in named if path.startswith(self._folder)]
        assert not inside, f"{name} of {inside} is beyond this recorder"

    @staticmethod
    def _fd_path(arguments: str) -> str:
        match = _FD.match(arguments)
        return _bytes(match[2]).decode() if match else ""

    @staticmethod
    def _paths(arguments: str) -> list[str]:
        """Return the paths named in the arguments."""
        names = []
        for argument in re.split(r", (?![^{]*\})", arguments):
            if (folder := _FD.match(argument)) is not None:
                start = Path(_bytes(folder[2]).decode())
            elif (text := _TEXT.match(argument)) is not None:
                path = Path(_bytes(text[1]).decode())
                names.append(str(path if path.is_absolute() else start / path))
        return names
