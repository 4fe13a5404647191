"""A real Slurm of two nodes in a temporary folder, touching nothing else of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
NODES = ("n1", "n2")
MAX_ARRAY_SIZE = 101

CONFIGURATION = """\
ClusterName=psyflow
SlurmctldHost=localhost
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
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
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdTimeout=10
KillWait=2
MaxArraySize={max_array_size}
MinJobAge=300
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Say why no private Slurm can be had here, if so."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "a private Slurm needs root"


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


class PrivateSlurm:
    """The daemons; all of them run in the foreground, so that stopping them needs no pid file."""

    def __init__(self) -> None:
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
        self.start_daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_daemon(node, "slurmd", "-D", "-N", node)
        self._wait_until("both nodes are idle", lambda: self._node_states() == {"idle"})

    def stop(self) -> None:
        try:
            if "slurmctld" in self.daemons:
                self.client("scancel", "--state=PENDING", "--me")
                self.client("scancel", "--signal=KILL", "--full", "--me")
                self._wait_until("no job is left", lambda: not self.client("squeue", "-h"))
        finally:
            for daemon in reversed(list(self.daemons)):
                self.stop_daemon(daemon)
            shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, *command: str) -> str:
        answer = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=20
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
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _configure(self) -> None:
        controller_port, *node_ports = free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={node} NodeHostname=localhost Port={port} CPUs=4 State=UNKNOWN "
            "RealMemory=4000"
            for node, port in zip(NODES, node_ports, strict=True)
        ]
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                controller_port=controller_port,
                max_array_size=MAX_ARRAY_SIZE,
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
        self._wait_until("munged listens", (self.folder / "munge.sock").exists)

    def _node_states(self) -> set[str]:
        return set(self.client("sinfo", "-h", "-N", "-o", "%t").split())

    def _wait_until(self, what: str, true: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                logs = "\n".join(p.read_text() for p in (self.folder / "log").iterdir())
                raise TimeoutError(f"waited {seconds} s until {what}\n{logs}")
            time.sleep(0.05)


@contextlib.contextmanager
def running_slurm() -> Iterator[PrivateSlurm]:
    slurm = PrivateSlurm()
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
