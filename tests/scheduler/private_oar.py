"""A real OAR of one node, with a database, a network and files of its own.

Debian installs OAR system-wide, where its programs look for all that they need. Here they find
other files at these places: everything runs in a namespace, into which clients are taken, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PROGRAMS = ("oarsub", "oarstat", "oardel", "oar-database", "oarnodesetting", "Almighty", "sshd")
CLIENTS = ("oarsub", "oarstat", "oardel", "oarhold", "oarresume")
POSTGRES = Path("/usr/lib/postgresql")
CORES = 8
NODE = "node1"
ADMISSION_OF_ROOT = "2"
"""Rule that keeps root, as whom tests run, from submitting."""

VALUES = {
    "DB_TYPE": "Pg",
    "DB_BASE_PASSWD": "oar",
    "DB_BASE_PASSWD_RO": "oar_ro",
    "LOG_LEVEL": "2",
    "PINGCHECKER_GENERIC_COMMAND": "/bin/true",
    "SCHEDULER_JOB_SECURITY_TIME": "1",
    "SCHEDULER_MIN_TIME_BETWEEN_2_CALLS": "0",
    "FINAUD_FREQUENCY": "0",
}
WITHOUT = (
    # No processors are fenced off, and nodes are not asked whether they are there.
    "JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD",
    "JOB_RESOURCE_MANAGER_FILE",
    "CPUSET_PATH",
    "PINGCHECKER_SENTINELLE_SCRIPT_COMMAND",
)


def why_not() -> str | None:
    """Say why no private OAR can be had here, if so."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=SEARCHED) is None]
    missing += [] if any(POSTGRES.glob("*/bin/initdb")) else ["initdb"]
    if missing:
        packages = "oar-server oar-server-pgsql oar-user oar-user-pgsql oar-node postgresql"
        return f"not installed: {', '.join(missing)} (apt-get install {packages})"
    if os.geteuid() != 0:
        return "a private OAR needs root"
    made = subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True, check=False)
    return "no namespace can be made here" if made.returncode else None


class PrivateOar:
    """The server, a node of `CORES` cores, and the folder of the clients' programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self._log = folder / "oar.log"
        self._children: list[subprocess.Popen[str]] = []
        self._own: str | None = None

    def start(self) -> None:
        for place, name in (("/etc/oar", "etc"), ("/var/lib/oar", "var")):
            subprocess.run(["cp", "-a", place, str(self.folder / name)], check=True)
        self._configure()
        self._make_namespace()
        self._write_clients()
        self._start_database()
        Path("/run/sshd").mkdir(exist_ok=True)  # the server insists on it
        self._start("/usr/sbin/sshd", "-D", "-f", "/etc/oar/sshd_config", "-o", "PidFile=none")
        self._start("Almighty")
        self._wait_until("the server is up", lambda: "Start Almighty" in self._log.read_text())
        self.run("oaradmissionrules", "-d", ADMISSION_OF_ROOT)
        self.run("oarproperty", "-a", "core")
        for core in range(1, CORES + 1):
            self.run("oarnodesetting", "-a", "-h", NODE, "-p", f"core={core}")
        self._wait_until("the node is up", self._is_up)

    def stop(self) -> None:
        """End whatever runs in the namespace, the jobs, too."""
        while found := self._processes():
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for child in self._children:
                child.poll()
            time.sleep(0.05)
        for child in self._children:
            child.wait(60)
            if child.stdout is not None:
                child.stdout.close()

    def run(self, *command: str) -> str:
        """Run a command beside the server and return what it prints."""
        answer = subprocess.run(
            [*self._inside(), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            env={**os.environ, "PATH": SEARCHED, "PGHOST": "127.0.0.1"},
            check=False,
        )
        if answer.returncode:
            raise RuntimeError(f"{command}: {answer.stdout} {answer.stderr}")
        return answer.stdout

    def told(self) -> str:
        """Return what the server says of its jobs and its node, and how its log ends."""
        said = [self.run("oarstat", "-f"), self.run("oarnodes"), self._log.read_text()[-4000:]]
        return "\n".join(said)

    def _start(self, *command: str) -> None:
        self._children.append(
            subprocess.Popen(
                [*self._inside(), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PATH": SEARCHED},
                start_new_session=True,
                text=True,
            )
        )

    def _inside(self) -> list[str]:
        """Return what runs a command in the namespace."""
        holder = self._children[0].pid
        return ["nsenter", f"--target={holder}", "--mount", "--net", "--root", "--wdns=/"]

    def _configure(self) -> None:
        file = self.folder / "etc" / "oar.conf"
        text = file.read_text()
        values = {**VALUES, "LOG_FILE": str(self._log)}
        for name in (*values, *WITHOUT):
            text = re.sub(rf"(?m)^\s*{name}=", f"#{name}=", text)
        file.write_text(text + "".join(f'\n{name}="{value}"' for name, value in values.items()))
        self._log.touch()
        shutil.chown(self._log, "oar")
        # Jobs would read what root's shells read, which may be anything.
        (self.folder / "var" / ".batch_job_bashrc").write_text("")
        names = f"localhost {NODE} {socket.gethostname()}"
        (self.folder / "hosts").write_text(f"127.0.0.1 {names}\n")

    def _make_namespace(self) -> None:
        places = {"etc": "/etc/oar", "var": "/var/lib/oar", "hosts": "/etc/hosts"}
        mounts = [
            f"mount --bind {shlex.quote(str(self.folder / name))} {place}"
            for name, place in places.items()
        ]
        script = " && ".join([*mounts, "ip link set lo up", "echo ready", "exec sleep infinity"])
        holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation=private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "PATH": SEARCHED},
            text=True,
        )
        self._children.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        self._own = _namespace(holder.pid)

    def _write_clients(self) -> None:
        self.programs.mkdir()
        inside = shlex.join(self._inside()[:-1])
        for name in CLIENTS:
            (self.programs / name).write_text(
                f'#!/bin/sh\nexec {inside} --wdns="$PWD" /usr/bin/{name} "$@"\n'
            )
            (self.programs / name).chmod(0o755)

    def _start_database(self) -> None:
        data = self.folder / "database"
        data.mkdir()
        shutil.chown(data, "postgres")
        programs = max(POSTGRES.glob("*/bin"))
        user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        options = ("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.run(*user, str(programs / "initdb"), "-D", str(data), *options)
        served = f"-F -k {data} -c listen_addresses=127.0.0.1"
        start = ("-w", "-D", str(data), "-l", str(data / "log"), "-o", served, "start")
        self.run(*user, str(programs / "pg_ctl"), *start)
        self.run("oar-database", "--create", "--db-admin-user=postgres", "--db-admin-pass=none")

    def _is_up(self) -> bool:
        return self.run("oarnodes", "-s").count("Alive") == CORES

    def _processes(self) -> list[int]:
        """Return what is in the namespace: the server's processes, and all jobs'."""
        if self._own is None:
            return []
        return [pid for pid in _pids() if _namespace(pid) == self._own]

    def _wait_until(self, what: str, true: Callable[[], object], seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"waited {seconds} s until {what}\n{self._log.read_text()[-4000:]}"
                )
            time.sleep(0.1)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 (it is no path)
    except OSError:
        return None  # it has ended


@contextlib.contextmanager
def running_oar() -> Iterator[PrivateOar]:
    """Run the server as long as the block does."""
    folder = Path(tempfile.mkdtemp(prefix="psyoar-"))
    folder.chmod(0o755)
    oar = PrivateOar(folder)
    try:
        oar.start()
        yield oar
    finally:
        oar.stop()
        shutil.rmtree(folder, ignore_errors=True)
