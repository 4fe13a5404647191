"""The process of a fake Slurm: ``python -m psyflow.testing.fakeslurm FOLDER SOCKET JSON``.

It ends, and all jobs with it, when its standard input closes: nothing outlives who started it. The
folder of the socket is its own, and is removed then.
"""

from __future__ import annotations

import json
import selectors
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psyflow.testing.fakeslurm import sacct, sbatch, scancel, scontrol, sinfo, squeue
from psyflow.testing.fakeslurm.chance import AFTER, BEFORE, failure_of
from psyflow.testing.fakeslurm.controller import Controller
from psyflow.testing.fakeslurm.options import RefusedError
from psyflow.testing.fakeslurm.request import RELIABLE, Request, StdinWanted
from psyflow.testing.fakeslurm.settings import Settings

__all__ = ["PROGRAMS", "main"]

PROGRAMS: dict[str, Callable[[Request, Controller], str]] = {
    "sbatch": sbatch.answer,
    "squeue": squeue.answer,
    "scancel": scancel.answer,
    "scontrol": scontrol.answer,
    "sacct": sacct.answer,
    "sinfo": sinfo.answer,
}
READY = "ready"
_TIMED_OUT = "Socket timed out on send/recv operation\n"
_TICK = 0.02
"""Seconds between two looks at the jobs, while there are any."""
_PATIENCE = 5.0
"""Seconds within which a program has to say what it wants."""


def main(arguments: list[str]) -> None:
    """Serve until stdin closes."""
    folder, path, settings = arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    controller = Controller(folder, Settings(**json.loads(settings)))
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(128)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print(READY, flush=True)
        try:
            _serve(controller, listener, selector)
        finally:
            controller.stop()
            # Who started it does so too, if it has not been killed.
            shutil.rmtree(Path(path).parent)


def _serve(
    controller: Controller, listener: socket.socket, selector: selectors.BaseSelector
) -> None:
    while True:
        ready = selector.select(None if controller.is_idle() else _TICK)
        streams = [key.fileobj for key, _ in ready]
        if sys.stdin in streams:
            return
        if listener in streams:
            _converse(controller, listener)
        controller.advance()


def _do(request: Request, controller: Controller, *, is_reliable: bool) -> str:
    """Do what a program is called for, unless chance has it that the call fails."""
    failure = None
    if not is_reliable:
        controller.n_calls += 1
        failure = failure_of(controller.settings, controller.n_calls)
    if failure == BEFORE:
        raise _timed_out(request.program)
    stdout = PROGRAMS[request.program](request, controller)
    if failure == AFTER:
        raise _timed_out(request.program)
    return stdout


def _timed_out(program: str) -> RefusedError:
    if program == "sbatch":
        return RefusedError(f"sbatch: error: Batch job submission failed: {_TIMED_OUT}")
    return RefusedError(f"slurm_load_jobs error: {_TIMED_OUT}")


def _converse(controller: Controller, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(_PATIENCE)
        try:
            asked = b"".join(iter(lambda: connection.recv(65536), b""))
            connection.sendall(json.dumps(_answer(controller, asked)).encode())
        except OSError as error:  # whoever asked is gone, and so needs no answer
            print(f"lost a client: {error}", file=sys.stderr, flush=True)


def _answer(controller: Controller, asked: bytes) -> dict[str, Any]:
    stdout, stderr, code = "", "", 0
    try:
        told = json.loads(asked)
        # It is for this call alone, and not for the jobs that it may submit.
        is_reliable = told["environment"].pop(RELIABLE, None) is not None
        request = Request(**told)
        # What is due comes first, so that the answer is about the present.
        controller.advance()
        stdout = _do(request, controller, is_reliable=is_reliable)
    except RefusedError as refusal:
        stderr, code = refusal.stderr, refusal.code
    except StdinWanted:
        return {"wants_stdin": True}
    except Exception:
        # A bug of the fake is told to whoever met it, and ends no job.
        stderr, code = traceback.format_exc(), 70
        print(stderr, file=sys.stderr, flush=True)
    return {"stdout": stdout, "stderr": stderr, "code": code}
