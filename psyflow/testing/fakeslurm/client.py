"""What the programs of a fake Slurm run: hand the command line to the controller.

It runs as ``python client.py SOCKET PROGRAM WORD...``, and imports little, to be quick.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

__all__ = ["main"]

_NOBODY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"


def main(arguments: list[str]) -> int:
    """Ask the controller, print its answer, and return the exit code."""
    path, program, *words = arguments
    request: dict[str, Any] = {
        "program": program,
        "words": words,
        "cwd": os.getcwd(),  # noqa: PTH109 (importing pathlib takes as long as all the rest)
        "environment": dict(os.environ),
    }
    try:
        answer = _ask(path, request)
        if answer.get("wants_stdin"):
            request["stdin"] = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
            answer = _ask(path, request)
    except (OSError, ValueError):
        answer = {"stdout": "", "stderr": _NOBODY, "code": 1}
    for stream, text in ((sys.stdout, answer["stdout"]), (sys.stderr, answer["stderr"])):
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    return int(answer["code"])


def _ask(path: str, request: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    told: dict[str, Any] = json.loads(answer)
    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
