"""A real Slurm of two nodes in a temporary folder, touching nothing else of the machine."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
ACCOUNTING_PROGRAMS = (
    "slurmdbd",
    "sacctmgr",
    "sacct",
    "mariadbd",
    "mariadb-install-db",
    "mariadb",
)
NODES = ("n1", "n2")
MAX_ARRAY_SIZE = 101

CONFIGURATION = """\
ClusterName={name}
SlurmctldHost=localhost
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
PlugStackConfig=/dev/null
{accounting}
ReturnToService=2
SlurmdTimeout={slurmd_timeout}
KillWait=2
MaxArraySize={max_array_size}
MinJobAge={min_job_age}
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

NO_ACCOUNTING = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"""

ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.sock
AccountingStorageEnforce=associations,limits,qos
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1"""

DATABASE = """\
create database slurm_acct;
create user slurm@localhost identified by 'secret';
create user slurm@'127.0.0.1' identified by 'secret';
grant all on slurm_acct.* to slurm@localhost;
grant all on slurm_acct.* to slurm@'127.0.0.1';
"""

SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=secret
StorageLoc=slurm_acct
PidFile={folder}/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
"""


def why_not(*, accounting: bool = False) -> str | None:
    """Say why no private Slurm, or none with accounting, can be had here, if so."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    programs = [*PROGRAMS, *(ACCOUNTING_PROGRAMS if accounting else ())]
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        packages = "slurm-wlm munge" + (" slurmdbd mariadb-server" if accounting else "")
        return f"not installed: {', '.join(missing)} (apt-get install {packages})"
    return None if os.geteuid() == 0 else "a private Slurm needs root"


def free_ports(n: int) -> list[int]:
    """Return ports that nobody listens on, none of which the kernel gives to a client."""
    found: set[int] = set()
    while len(found) < n:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("", port))
            found.add(port)
    return list(found)


class PrivateSlurm:
    """The daemons; all of them run in the foreground, so that stopping them needs no pid file.

    Parameters
    ----------
    accounting : bool
        Whether there is a `slurmdbd`; finished jobs are then soon forgotten by all others.
    name : str
        What the cluster is called.
    """

    def __init__(self, *, accounting: bool = False, name: str = "psyflow") -> None:
        self.accounting = accounting
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="psyslurm-"))
        self.configuration = self.folder / "slurm.conf"
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(self.configuration),
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        }
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("log", "state", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir()
        self._configure()
        self._start_munge()
        if self.accounting:
            self._start_accounting()
        self.start_daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        self.wait_until("both nodes are idle", lambda: self.node_states() == {"idle"})

    def start_node(self, node: str) -> None:
        self.start_daemon(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """End a node as a power cut does: its daemon, and all that it runs, at once."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for pid in _processes_of(self.folder, node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        try:
            if "slurmctld" in self.daemons:
                self.client("scancel", "--state=PENDING", "--me")
                self.client("scancel", "--signal=KILL", "--full", "--me")
                self.wait_until("no job is left", lambda: not self.client("squeue", "-h"))
        finally:
            for daemon in reversed(list(self.daemons)):
                self.stop_daemon(daemon)
            shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, *command: str) -> str:
        answer = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=120
        )
        return answer.stdout

    def start_daemon(self, name: str, *command: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop_daemon(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _configure(self) -> None:
        self._accounting_port, controller_port, *node_ports = free_ports(2 + len(NODES))
        nodes = [
            f"NodeName={node} NodeHostname=localhost Port={port} CPUs=4 State=UNKNOWN "
            "RealMemory=4000"
            for node, port in zip(NODES, node_ports, strict=True)
        ]
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                name=self.name,
                controller_port=controller_port,
                max_array_size=MAX_ARRAY_SIZE,
                # How soon a node counts as dead, and what runs there as lost.
                slurmd_timeout=10 if self.accounting else 300,
                min_job_age=2 if self.accounting else 300,
                accounting=(ACCOUNTING if self.accounting else NO_ACCOUNTING).format(
                    port=self._accounting_port, folder=self.folder
                ),
                nodes="\n".join(nodes),
            )
        )

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        places = {
            "key-file": "munge.key",
            "socket": "munge.sock",
            "pid-file": "munged.pid",
            "log-file": "log/munged.log",
            "seed-file": "munge.seed",
        }
        options = [f"--{option}={self.folder}/{place}" for option, place in places.items()]
        self.start_daemon("munged", "munged", "--foreground", "--force", *options)
        self.wait_until("munged listens", (self.folder / "munge.sock").exists)

    def _start_accounting(self) -> None:
        data, socket_file = self.folder / "database", self.folder / "database.sock"
        self.client(
            *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"),
            "--auth-root-authentication-method=normal",
        )
        (database_port,) = free_ports(1)
        self.start_daemon(
            *("mariadbd", "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}"),
            *(f"--socket={socket_file}", f"--port={database_port}", "--bind-address=127.0.0.1"),
            f"--pid-file={self.folder}/mariadbd.pid",
        )
        root = ("mariadb", "--no-defaults", f"--socket={socket_file}", "--user=root")
        self.wait_until("the database answers", lambda: self.client(*root, "-e", "select 1"))
        self.client(*root, "-e", DATABASE)
        configuration = self.folder / "slurmdbd.conf"
        configuration.touch(mode=0o600)
        words = {"folder": self.folder, "port": self._accounting_port}
        configuration.write_text(SLURMDBD.format(database_port=database_port, **words))
        self.start_daemon("slurmdbd", "slurmdbd", "-D")
        add = ("sacctmgr", "-i", "add", "cluster", self.name)
        self.wait_until("slurmdbd knows the cluster", lambda: "Adding" in self.client(*add))

    def node_states(self) -> set[str]:
        return set(self.client("sinfo", "-h", "-N", "-o", "%t").split())

    def wait_until(self, what: str, true: Callable[[], object], seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                logs = "\n".join(p.read_text() for p in (self.folder / "log").iterdir())
                raise TimeoutError(f"waited {seconds} s until {what}\n{logs}")
            time.sleep(0.05)


def _processes_of(folder: Path, node: str) -> list[int]:
    """Return the processes of a node: its step daemons, and what these have started."""
    marks = {b"SLURMD_NODENAME=%s" % node.encode(), b"SLURM_CONF=%s/slurm.conf" % bytes(folder)}
    log = folder / "log" / f"slurmd.{node}.log"
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if marks <= _environment(process) or log in _open_files(process)
    ]


def _environment(process: Path) -> set[bytes]:
    with contextlib.suppress(OSError):  # it may have ended meanwhile
        return set((process / "environ").read_bytes().split(b"\0"))
    return set()


def _open_files(process: Path) -> set[Path]:
    with contextlib.suppress(OSError):
        return {link.readlink() for link in (process / "fd").iterdir()}
    return set()


@contextlib.contextmanager
def running_slurm(*, accounting: bool = False, name: str = "psyflow") -> Iterator[PrivateSlurm]:
    slurm = PrivateSlurm(accounting=accounting, name=name)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
