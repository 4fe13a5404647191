"""Programs on PATH that answer what a test tells them to."""

from __future__ import annotations

import shlex
from pathlib import Path


class FakePrograms:
    """A folder of shell scripts that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._calls = folder / "calls.txt"

    def add(self, name: str, *bodies: str) -> None:
        """Add a program that runs one body after the other, one a call, the last for ever."""
        counter = shlex.quote(str(self.folder / f"{name}.count"))
        cases = "".join(f"{i})\n{body}\n;;\n" for i, body in enumerate(bodies[:-1]))
        script = self.folder / name
        script.write_text(
            "#!/bin/sh\n"
            f"n=0; [ -e {counter} ] && read n < {counter}\n"
            f"echo $((n + 1)) > {counter}\n"
            f'echo {name} "$@" >> {shlex.quote(str(self._calls))}\n'
            f"case $n in\n{cases}*)\n{bodies[-1]}\n;;\nesac\n"
        )
        script.chmod(0o755)

    def says(self, name: str, *lines: str) -> None:
        """Add a program that always prints `lines`."""
        self.add(name, "\n".join(f"printf '%s\\n' {shlex.quote(line)}" for line in lines) or ":")

    def fails(self, name: str, message: str = "", code: int = 1) -> None:
        """Add a program that always fails with `message`."""
        self.add(name, failing(message, code))

    def calls(self, name: str = "") -> list[str]:
        """Return the command lines so far, all or of one program."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if line.startswith(name)]


def failing(message: str = "", code: int = 1) -> str:
    return f"printf '%s\\n' {shlex.quote(message)} >&2; exit {code}"
