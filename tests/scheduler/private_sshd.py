"""A real SSH server on the loopback interface, with keys and a configuration of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .private_slurm import free_ports

PROGRAMS = ("sshd", "ssh", "ssh-keygen")
SERVER_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
"""
HOST = """\
Host {names}
    HostName 127.0.0.1
    Port {port}
    IdentityFile {folder}/user_key
"""
CLIENT = """\
{hosts}
Host closed
    HostName 127.0.0.1
    Port {closed}
Host *
    IdentitiesOnly yes
    UserKnownHostsFile /dev/null
    StrictHostKeyChecking no
    LogLevel ERROR
"""


def why_not() -> str | None:
    """Say why no private SSH server can be had here, if so."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=SERVER_PATH) is None]
    return (
        f"not installed: {', '.join(missing)} (apt-get install openssh-server)"
        if missing
        else None
    )


class PrivateSshd:
    """The server, and ``node1`` and ``node2``, two names for this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.closed_port = free_ports(2)
        self.ssh = ["ssh", "-F", str(folder / "ssh_config")]

    def host(self, names: str) -> str:
        """Return what a client's configuration says of this server, by any of some names."""
        return HOST.format(names=names, port=self.port, folder=self.folder)

    def configure(self) -> None:
        for name in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)],
                check=True,
            )
        server = SERVER.format(folder=self.folder, port=self.port)
        (self.folder / "sshd_config").write_text(server)
        self.know(self.host("node1 node2"))

    def know(self, hosts: str) -> None:
        """Have the client know servers."""
        client = CLIENT.format(hosts=hosts, closed=self.closed_port)
        (self.folder / "ssh_config").write_text(client)

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # the server insists on it
        sshd = shutil.which("sshd", path=SERVER_PATH)
        assert sshd is not None
        with (self.folder / "sshd.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=log
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def running_sshd() -> Iterator[PrivateSshd]:
    """Run the server as long as the block does."""
    with tempfile.TemporaryDirectory(prefix="psysshd-") as folder:
        sshd = PrivateSshd(Path(folder))
        sshd.configure()
        sshd.start()
        try:
            yield sshd
        finally:
            sshd.process.terminate()
            sshd.process.wait(60)


def runners(spool: Path) -> list[int]:
    """Return the processes that serve a spool, without their guards."""
    found = subprocess.run(["pgrep", "-f", f"runner {spool}"], capture_output=True, text=True)
    pids = [int(pid) for pid in found.stdout.split()]
    return [pid for pid in pids if _parent_of(pid) not in pids]


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return None


def end_runners(spool: Path) -> None:
    """End what serves a spool, with all that it runs."""
    for pid in runners(spool):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 180
    while runners(spool):
        assert time.monotonic() < deadline, f"runners of {spool} do not end"
        time.sleep(0.05)
