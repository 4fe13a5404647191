"""`psy doctor` says what keeps a process from seeing the machine as it is, and what follows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from psyflow.doctor.confines import Confines, look_at_confines
from tests.durability.requirements import need_namespaces
from tests.support.place import Place


def look(tmp_path: Path, files: dict[str, str], **environment: str) -> Confines:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return look_at_confines(environment, tmp_path, tmp_path / "proc")


@pytest.mark.parametrize(
    ("files", "environment", "kind"),
    [
        ({}, {"container": "podman"}, "podman"),
        ({}, {"SINGULARITY_CONTAINER": "/a.sif"}, "Singularity"),
        ({".singularity.d/env": ""}, {}, "Apptainer or Singularity"),
        ({"run/.containerenv": ""}, {}, "Podman"),
        ({"proc/1/cgroup": "0::/kubepods/burstable/pod1"}, {}, "kubepods"),
        ({"proc/1/cgroup": "0::/init.scope"}, {}, ""),
    ],
)
def test_containers_have_many_marks(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], kind: str
) -> None:
    found = look(tmp_path, files, **environment)
    assert found.container == kind
    assert any("in a container" in line for line in found.lines()) == bool(kind)


@pytest.mark.parametrize(
    ("options", "hides"), [("rw", False), ("rw,hidepid=0", False), ("rw,hidepid=invisible", True)]
)
def test_a_proc_that_hides_processes(tmp_path: Path, options: str, hides: bool) -> None:
    line = f"22 28 0:21 / /proc rw,nosuid - proc proc {options}"
    found = look(tmp_path, {"proc/self/mountinfo": line})
    assert found.hides_others == hides
    assert any("hides the processes of others" in line for line in found.lines()) == hides


def test_nothing_is_said_where_there_is_no_proc(tmp_path: Path) -> None:
    found = look(tmp_path, {})
    assert (found.namespaces, found.is_proc_ours, found.is_nobody) == ([], True, False)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["unshare", "--pid", "--fork"], "/proc is that of another namespace"),
        (["unshare", "--user"], "the user is mapped to nobody"),
        (["unshare", "--user", "--map-root-user"], "in a user namespace"),
        (["prlimit", "--nofile=64"], "limited to 64 open files"),
    ],
)
def test_real_confines(tmp_path: Path, command: list[str], told: str) -> None:
    need_namespaces(command)
    place = Place(tmp_path)
    here = subprocess.run(
        [*command, *place.command("doctor")], cwd=tmp_path, capture_output=True, text=True
    )
    assert told in here.stdout
    assert told not in place.call("doctor").stdout
