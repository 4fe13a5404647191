"""What prepares a node, on this machine, a real Slurm and a real Grid Engine; and its words."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from psyflow.exceptions import UsageError
from psyflow.scheduler import LSF, PBS, GridEngine, HyperQueue, Slurm, Sqsub
from psyflow.scheduler.batch import BatchScheduler
from psyflow.testing.schedulers import until
from tests.support.place import SQUARE, Place
from tests.support.processes import children_of

from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

PATIENCE = 300
TASK = """
import os
from psyflow import Param
{scheduler}
pspace = Param(x=range(3))

def execute(x):
    return {{"y": os.environ["PREPARED"] + str(x)}}
"""
PREPARED = {"y": ["it's ready0", "it's ready1", "it's ready2"]}
PROLOGUE = """
prologue = ["begin() { export PREPARED=\\"it's $1\\"; }", "begin ready", "echo prologue %a"]
epilogue = ["false", "echo ended with $PSYFLOW_EXIT_CODE"]
job_prefix = "lab-"
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def finish(place: Place) -> None:
    def is_over() -> bool:
        return not json.loads(place.call("status", "--json", "t").stdout)["t"]["jobs"]

    until(is_over, "no job is at work", PATIENCE)


def logs(place: Place) -> str:
    return "\n".join(log.read_text() for log in sorted((place.work / "t").glob("*.log")))


def check(place: Place, scheduler: str) -> None:
    place.task("t", TASK.format(scheduler=scheduler) + PROLOGUE)
    shown = place.program("run", "-n", "t")
    assert shown.returncode == 0, shown.stderr
    assert "begin ready" in shown.stdout
    assert place.program("run", "t").returncode == 0
    finish(place)
    assert place.result("t")["y"] == PREPARED["y"], logs(place)
    assert "prologue %a" in logs(place)
    assert "a line of the epilogue failed with exit code 1: false" in logs(place)
    assert "ended with 0" in logs(place)
    # To prepare otherwise makes no result old.
    place.task("t", TASK.format(scheduler=scheduler) + PROLOGUE.replace("ready", "other"))
    assert "up to date" in place.call("status", "t").stderr


def check_failure(place: Place, scheduler: str) -> None:
    task = TASK.format(scheduler=scheduler)
    lines = "prologue = ['echo first', 'no-such-module load x', 'echo third']\n"
    place.task("t", task + lines + "epilogue = 'echo ended with $PSYFLOW_EXIT_CODE'\n")
    place.program("run", "t")
    finish(place)
    told = logs(place)
    assert "no-such-module: command not found" in told
    assert "failed with exit code 127, so the job does not begin: no-such-module load x" in told
    assert "third" not in told
    assert "ended with 127" in told
    assert not list((place.work / "t").glob("result*"))


def test_on_this_machine(place: Place) -> None:
    check(place, "")


def test_a_line_that_fails_on_this_machine(place: Place) -> None:
    check_failure(place, "")


SLURM = "from psyflow.scheduler import Slurm\nscheduler = Slurm()\nmax_jobs = 2\n"
GRIDENGINE = SLURM.replace("Slurm", "GridEngine")


def test_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    check(place, SLURM)
    names = slurm.client("scontrol", "-o", "show", "job").split()
    assert any(name.startswith("JobName=lab-t:process.") for name in names)


def test_a_line_that_fails_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    check_failure(place, SLURM)


def test_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    check(place, GRIDENGINE)


def test_a_line_that_fails_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    check_failure(place, GRIDENGINE)


def test_further_words_reach_slurm_and_a_data_job_is_waited_for(
    place: Place, slurm: PrivateSlurm
) -> None:
    done = place.folder / "data"
    words = ("--parsable", "--output=/dev/null", f"--wrap=sleep 3; touch {shlex.quote(str(done))}")
    data = slurm.client("sbatch", *words).strip()
    scheduler = SLURM + (
        f'scheduler_args = {{"extra_args": ["--comment=two words"], "dependency": "afterok:{data}"'
        "}\nfrom pathlib import Path\n"
    )
    source = TASK.format(scheduler=scheduler).replace(
        'os.environ["PREPARED"]', f"str(Path({str(done)!r}).exists())"
    )
    place.task("t", source)
    assert place.program("run", "t").returncode == 0
    assert "Comment=two words" in slurm.client("scontrol", "show", "job")
    finish(place)
    assert place.result("t")["y"] == ["True0", "True1", "True2"]


def test_jobs_of_a_named_cluster(place: Place, accounted_slurm: PrivateSlurm) -> None:
    (name,) = accounted_slurm.client(
        "sacctmgr", "-nP", "list", "cluster", "format=cluster"
    ).split()
    wait = (
        "import time\n" + SLURM + f'scheduler_args = {{"clusters": [{name!r}], "timelimit": 5}}\n'
    )
    source = TASK.format(scheduler=wait).replace('os.environ["PREPARED"]', "str(time.sleep(1))")
    place.task("t", source)
    assert place.program("run", "t").returncode == 0
    record = "".join(file.read_text() for file in (place.work / "t").glob("jobs*"))
    assert f";{name}" in record
    finish(place)
    assert place.result("t")["y"] == ["None0", "None1", "None2"], logs(place)
    place.task("t", source.replace("sleep(1)", "sleep(600)"))
    assert place.program("run", "t").returncode == 0
    killed = place.program("kill", "t")
    assert killed.returncode == 0, killed.stderr
    until(
        lambda: not accounted_slurm.client("squeue", "-h", "--states=PD,R"), "all ended", PATIENCE
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("for x in 1 2; do", "has to be one element"),
        ("echo 'open", "has to be one element"),
    ],
)
def test_what_the_shell_does_not_understand_is_said_before(
    place: Place, line: str, says: str
) -> None:
    place.task("t", SQUARE + f"prologue = [{line!r}]\n")
    shown = place.program("run", "t")
    assert shown.returncode == 3
    assert "`prologue`" in shown.stderr
    assert says in shown.stderr
    assert not list(place.work.glob("t/result*"))


def test_a_misspelt_setting_is_named(place: Place) -> None:
    place.task("t", SQUARE + "prolog = ['module load x']\n")
    assert "Did you mean `prologue`?" in place.program("run", "t").stderr


def test_a_site_prepares_what_the_task_does_not(place: Place) -> None:
    place.task("t", TASK.format(scheduler=""))
    site = place.folder / "site.yaml"
    environment = {"PSYFLOW_SITE": str(site)}
    site.write_text("scheduler: immediate\nprologue:\n- export PREPARED=site\n")
    assert place.program("run", "t", env=environment).returncode == 0
    assert place.result("t")["y"] == ["site0", "site1", "site2"]
    site.write_text("scheduler: immediate\nprologe: [x]\n")
    shown = place.program("run", "t", env=environment)
    assert shown.returncode == 3
    assert 'Did you mean "prologue"?' in shown.stderr
    site.write_text("scheduler: immediate\nprologue: 5\n")
    shown = place.program("run", "t", env=environment)
    assert shown.returncode == 3
    assert f"{site}: `prologue` must be a list of lines" in shown.stderr


def test_conda_activate_needs_no_interactive_shell(place: Place) -> None:
    conda = place.folder / "conda"
    conda.write_text(
        "#!/bin/sh\n[ \"$*\" = 'shell.bash hook' ] && echo 'conda() { export PREPARED=$2; }'\n"
    )
    conda.chmod(0o755)
    place.task("t", TASK.format(scheduler="") + "prologue = 'conda activate env'\n")
    assert place.program("run", "t", env={"CONDA_EXE": str(conda)}).returncode == 0
    assert place.result("t")["y"] == ["env0", "env1", "env2"]


def test_python_may_be_a_wrapper_beside_the_task_file(place: Place) -> None:
    place.task("t", TASK.format(scheduler="") + "python = './wrapped python-of-image'\n")
    wrapper = place.folder / "psy-tasks" / "wrapped"
    missing = place.program("run", "t")
    assert missing.returncode == 3
    assert f"{wrapper} is no program" in missing.stderr
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = python-of-image ] || exit 9\nshift\nexport PREPARED=in\n'
        f'exec {sys.executable} "$@"\n'
    )
    wrapper.chmod(0o755)
    assert place.program("run", "t").returncode == 0
    assert place.result("t")["y"] == ["in0", "in1", "in2"]


def test_one_signal_is_one_request_to_stop_and_the_epilogue_runs(place: Place) -> None:
    source = TASK.format(scheduler="import time").replace(
        'os.environ["PREPARED"]', "(open(f'{__file__}.begun', 'a').close(), time.sleep(1), '')[2]"
    )
    # More than any machine has done before the signal comes.
    source = source.replace("range(3)", "range(300)")
    place.task("t", source + "epilogue = ['echo ended with $PSYFLOW_EXIT_CODE']\n")
    begun = Path(f"{place.tasks}/task_t.py.begun")
    with place.start("run", "t") as psy:
        until(begun.exists, "an item runs", PATIENCE)
        # As a cluster may do: the shell is told, and the job.
        (shell,) = (
            p for p in children_of(psy.pid) if b"job.sh" in Path(f"/proc/{p}/cmdline").read_bytes()
        )
        for pid in (*children_of(shell), shell):
            os.kill(pid, signal.SIGTERM)
        shown = psy.communicate(timeout=PATIENCE)
    # The item that ran has its result: nobody hurried.
    report = json.loads(place.call("status", "--json", "t").stdout)["t"]
    assert 1 <= report["n_done"] < 300, f"{shown}\n{logs(place)}"
    assert "ended with" in logs(place)


ALL = {
    GridEngine: {},
    HyperQueue: {},
    LSF: {},
    PBS: {},
    Slurm: {},
    Sqsub: {"timelimit": "1h", "memory": "1G"},
}


@pytest.mark.parametrize("kind", ALL)
def test_further_words_are_passed_on_as_they_are(kind: type[BatchScheduler]) -> None:
    args = {**ALL[kind], "extra_args": ["--image=a b", "$HOME"]}
    request = kind().request(["true"], "/tmp/log", "t", [], args)
    command = kind().submit_command(request)
    assert command[command.index("--image=a b") + 1] == "$HOME"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("words", ["--image=a", [""], [3], ["a\nb"], {"a": "b"}])
def test_what_is_no_list_of_words_is_refused(kind: type[BatchScheduler], words: object) -> None:
    with pytest.raises(UsageError, match="extra_args"):
        kind().check_args({**ALL[kind], "extra_args": words})


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (Slurm, "--array=1-2"),
        (Slurm, "-Jname"),
        (Slurm, "--dependency"),
        (PBS, "-J"),
        (LSF, "-w"),
        (GridEngine, "-t"),
        (HyperQueue, "--array=1"),
        (Sqsub, "-o"),
    ],
)
def test_words_of_psyflow_s_own_are_refused(kind: type[BatchScheduler], word: str) -> None:
    with pytest.raises(UsageError, match="own to give"):
        kind().check_args({**ALL[kind], "extra_args": [word]})


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Slurm, 12, "--dependency=afterany:12"),
        (Slurm, "afterok:12:13", "--dependency=afterok:12:13"),
        (Slurm, ["singleton", "afternotok:5+10"], "--dependency=singleton,afternotok:5+10"),
        (PBS, "afterok:12.server", "-W depend=afterok:12.server"),
        (LSF, ["afterok:12", 13], "-w 'done(12) && ended(13)'"),
        (GridEngine, [12, "data"], "-hold_jid 12,data"),
        (Sqsub, 12, "-w 12"),
    ],
)
def test_only_the_first_jobs_of_a_run_wait_for_others(
    kind: type[BatchScheduler], value: object, words: str
) -> None:
    args = {**ALL[kind], "dependency": value}
    first = kind().request(["true"], "/tmp/log", "t", [], args)
    assert words in shlex.join(kind().submit_command(first))
    second = kind().request(["true"], "/tmp/log", "t", ["7"], args)
    assert words not in shlex.join(kind().submit_command(second))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("value", ["", "afterall:12", "after ok", True, [], "afterok:", {"a": 1}])
def test_dependencies_that_make_no_sense_are_refused(
    kind: type[BatchScheduler], value: object
) -> None:
    with pytest.raises(UsageError, match="dependency"):
        kind().check_args({**ALL[kind], "dependency": value})


def test_a_misspelt_dependency_is_understood() -> None:
    with pytest.raises(UsageError, match='Did you mean "afterok"'):
        Slurm().check_args({"dependency": "aftrok:12"})
    with pytest.raises(UsageError, match='Did you mean "afterok"'):
        PBS().check_args({"dependency": "aftrok:12"})


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (Slurm, {"n_cpus": "four"}),
        (Slurm, {"n_cpus": 0}),
        (Slurm, {"partition": ["a", {}]}),
        (Slurm, {"partition": ""}),
        (Slurm, {"account": "a\nb"}),
        (PBS, {"n_cpus": 1.5}),
        (PBS, {"queue": ["a", "b"]}),
        (PBS, {"resources": "scratch"}),
        (LSF, {"n_cpus": True}),
        (LSF, {"queue": {"a": 1}}),
        (GridEngine, {"priority": [1, 2]}),
        (GridEngine, {"resources": {"a": {}}}),
        (HyperQueue, {"n_nodes": -1}),
    ],
)
def test_values_that_are_no_word_are_refused(
    kind: type[BatchScheduler], args: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match=next(iter(args))):
        kind().check_args({**ALL[kind], **args})


@pytest.mark.parametrize(
    ("kind", "args", "words"),
    [
        (GridEngine, {"queue": ["a.q", "b.q"]}, "-q a.q,b.q"),
        (GridEngine, {"resources": {"arch": ["x", "y"]}}, "-l arch=x -l arch=y"),
        (GridEngine, {"resources": ["arch=x", "s=1"]}, "-l arch=x -l s=1"),
        (LSF, {"requirements": ["span[hosts=1]", "type==any"]}, "-R 'span[hosts=1]' -R type==any"),
        (PBS, {"mail": ["a@b", "c@d"]}, "-M a@b,c@d"),
        (PBS, {"resources": {"place": "excl"}}, "-l place=excl"),
        (HyperQueue, {"resources": ["fpga=1", "disk=2"]}, "--resource=fpga=1 --resource=disk=2"),
        (Slurm, {"gres": ["gpu:1", "x:2"]}, "--gres=gpu:1,x:2"),
    ],
)
def test_options_that_may_come_several_times_are_lists(
    kind: type[BatchScheduler], args: dict[str, object], words: str
) -> None:
    request = kind().request(["true"], "/tmp/log", "t", [], args)
    assert words in shlex.join(kind().submit_command(request))


def test_jobs_need_no_folder_to_start_in(place: Place) -> None:
    gone = 'export PREPARED=it; cd "$(mktemp -d)" && rmdir "$PWD"'
    place.task("t", TASK.format(scheduler="") + f"prologue = {gone!r}\n")
    assert place.program("run", "t").returncode == 0, logs(place)
    assert place.result("t")["y"] == ["it0", "it1", "it2"]


def test_a_script_of_pbs_goes_where_it_was_submitted_if_that_is_there(
    tmp_path: Path,
) -> None:
    script = PBS().submit_script(PBS().request(["pwd"], tmp_path / "log", "t"))
    for folder, shown in ((tmp_path, tmp_path), (tmp_path / "gone", "/")):
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        subprocess.run(["sh", "-c", script], env={**os.environ, "PBS_O_WORKDIR": str(folder)})
        assert log.read_text().strip() == str(shown)
