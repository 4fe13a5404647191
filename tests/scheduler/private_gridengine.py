"""A real Grid Engine of one host. Debian installs it system-wide; its daemons are ours to run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("sge_qmaster", "sge_execd", "qsub", "qstat", "qdel", "qconf", "qacct")
ROOT = Path("/var/lib/gridengine")
COMMON = ROOT / "default" / "common"
MARK = ROOT / "psyflow-tests"
"""Says that the daemons that run are those of these tests, and may be ended."""
LOCK = ROOT / "psyflow-tests.lock"
SPOOL = Path("/var/spool/gridengine")

EXECUTION_HOST = """\
hostname localhost
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
HOSTGROUP = "group_name @allhosts\nhostlist localhost\n"
QUEUE = """\
qname main.q
hostlist @allhosts
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH INTERACTIVE
ckpt_list NONE
pe_list NONE
rerun FALSE
slots 8
tmpdir /tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode posix_compliant
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:60
owner_list NONE
user_lists NONE
xuser_lists NONE
subordinate_list NONE
complex_values NONE
projects NONE
xprojects NONE
calendar NONE
initial_state default
s_rt INFINITY
h_rt INFINITY
s_cpu INFINITY
h_cpu INFINITY
s_fsize INFINITY
h_fsize INFINITY
s_data INFINITY
h_data INFINITY
s_stack INFINITY
h_stack INFINITY
s_core INFINITY
h_core INFINITY
s_rss INFINITY
h_rss INFINITY
s_vmem INFINITY
h_vmem INFINITY
"""


def why_not() -> str | None:
    """Say why no Grid Engine can be had here, if so."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install gridengine-master …)"
    if not MARK.exists() and (_processes("sge_qmaster") or _processes("sge_execd")):
        return "somebody else's Grid Engine runs here"
    return None if os.geteuid() == 0 else "starting Grid Engine needs root"


class PrivateGridEngine:
    """The daemons of Debian's Grid Engine, set up for this host."""

    def __init__(self) -> None:
        self.environment = {
            "SGE_ROOT": str(ROOT),
            "SGE_CELL": "default",
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        }
        self._folder = Path(tempfile.mkdtemp(prefix="psyge-"))
        self._folder.chmod(0o755)

    def start(self) -> None:
        MARK.touch()
        self._end_daemons()
        names = {"localhost", socket.gethostname(), socket.getfqdn()}
        (COMMON / "act_qmaster").write_text("localhost\n")
        (COMMON / "host_aliases").write_text(" ".join(["localhost", *(names - {"localhost"})]))
        self._as_admin("sge_qmaster")
        self._wait_until("the master answers", lambda: not self._admin_fails("qconf", "-sh"))
        for option, name in (("-ah", "localhost"), ("-as", "localhost"), ("-am", "root")):
            self._as_admin("qconf", option, name, check=False)
        self._configure("-Ae", "-Me", EXECUTION_HOST)
        self._configure("-Ahgrp", "-Mhgrp", HOSTGROUP)
        self._configure("-Aq", "-Mq", QUEUE)
        # Accounting is otherwise written every 15 seconds: until then, nobody knows a job.
        accounting = "accounting=true reporting=false accounting_flush_time=00:00:00"
        values = {"min_uid": "0", "min_gid": "0", "reporting_params": accounting}
        self._change("-sconf", "-Mconf", "global", values)
        quick = {
            "schedule_interval": "0:0:1",
            "flush_submit_sec": "1",
            "flush_finish_sec": "1",
        }
        self._change("-ssconf", "-Msconf", "sched", quick)
        self.client("sge_execd")
        self._wait_until("the queue is up", self._is_up)

    def stop(self) -> None:
        for command in (("qdel", "-f", "-u", "*"), ("qconf", "-kej"), ("qconf", "-km")):
            # On a loaded machine it may not answer; its daemons are ended all the same.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.client(*command, check=False)
        self._end_daemons()
        MARK.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self, *command: str, check: bool = True) -> str:
        answer = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and answer.returncode:
            raise RuntimeError(f"{command}: {answer.stdout} {answer.stderr}")
        return answer.stdout

    def _as_admin(self, *command: str, check: bool = True) -> str:
        assignments = [f"{name}={value}" for name, value in self.environment.items()]
        words = ["setpriv", "--reuid=sgeadmin", "--regid=sgeadmin", "--clear-groups"]
        return self.client(*words, "env", *assignments, *command, check=check)

    def _admin_fails(self, *command: str) -> bool:
        try:
            self._as_admin(*command)
        except RuntimeError:
            return True
        return False

    def _configure(self, add: str, modify: str, text: str) -> None:
        file = self._folder / "object"
        file.write_text(text)
        told = self._as_admin("qconf", add, str(file), check=False)
        if "already exists" in told or "exist" in told:
            self._as_admin("qconf", modify, str(file), check=False)

    def _change(self, show: str, modify: str, name: str, values: dict[str, str]) -> None:
        text = self._as_admin("qconf", show)
        for key, value in values.items():
            # A line that ends in a backslash goes on in the next.
            text = re.sub(rf"(?m)^{key}\s+(?:.*\\\n)*.*$", f"{key} {value}", text)
        file = self._folder / name
        file.write_text(text)
        self._as_admin("qconf", modify, str(file))

    @contextlib.contextmanager
    def configured(self, **values: int) -> Iterator[None]:
        """Let limits of the cluster be others for a while; 0 is none."""
        self._change("-sconf", "-Mconf", "global", {k: str(v) for k, v in values.items()})
        try:
            yield
        finally:
            self._change("-sconf", "-Mconf", "global", dict.fromkeys(values, "0"))

    def _is_up(self) -> bool:
        told = self.client("qstat", "-f", check=False)
        lines = [line.split() for line in told.splitlines() if line.startswith("main.q@")]
        return len(lines) == 1 and len(lines[0]) == 5

    def _end_daemons(self) -> None:
        """End what an earlier session left, too."""
        for name in ("sge_execd", "sge_qmaster", "sge_shepherd"):
            for process in _processes(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while _processes("sge_qmaster") and time.monotonic() < deadline:
            time.sleep(0.05)

    def _wait_until(self, what: str, true: Callable[[], object], seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                messages = [p.read_text()[-2000:] for p in SPOOL.rglob("messages")]
                raise TimeoutError(f"waited {seconds} s until {what}\n" + "\n".join(messages))
            time.sleep(0.1)


def _processes(name: str) -> list[int]:
    found = subprocess.run(["pgrep", "-x", name], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


@contextlib.contextmanager
def running_gridengine() -> Iterator[PrivateGridEngine]:
    """Run the only one that there can be on this machine; wait for tests that have it."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        engine = PrivateGridEngine()
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()
