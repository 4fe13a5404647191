"""``psy run -n`` and ``psy clean -n`` show, and change nothing at all."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

from tests.support.place import SQUARE

from .test_jobs import CLUSTER, FAR
from .test_run import COUNTING, calls

SLURM = (
    SQUARE
    + """
from psyflow import Slurm
scheduler = Slurm()
scheduler_args = {"timelimit": "1:00:00", "memory": lambda job: "9G" if "merge" in job else "1G"}
max_jobs = 2
pool_size = 3
"""
)


def dry(place, *words: str):
    """Call ``psy run -n``, and check that it changed nothing."""
    before = place.snapshot()
    shown = place.psy("run", "-n", *words)
    assert place.snapshot() == before
    return shown


def test_before_the_first_run_no_folder_is_made(place):
    place.task("square", SQUARE + "pool_size = 2\n")
    shown = dry(place)
    plan = place.work / "square" / "plans" / "RUN_ID" / "plan.json"
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == (
        "square: 4 of 4 items would run, in 1 process job of 2 workers.\n"
        "  because: 4 of 4 items have no result\n"
        "  job square:process:0, log psy-work/square/square:process:0.log:\n"
        f"    $ {sys.executable} -P -m psyflow.job process {plan} 0\n"
    )
    assert not place.work.exists()


def test_local_modules_are_not_compiled(place):
    place.task("square", "import helper\n" + SQUARE)
    (place.folder / "psy-tasks" / "helper.py").write_text("a = 1\n")
    before = place.snapshot()
    shown = place.program("run", "-n", env={"PYTHONDONTWRITEBYTECODE": ""})
    assert shown.returncode == 0
    assert place.snapshot() == before


def test_the_shown_command_is_the_one_that_runs(place):
    place.task("square")
    command = shlex.split(dry(place).stdout.splitlines()[-1])
    place.psy("run")
    (plan,) = (place.work / "square" / "plans").iterdir()
    assert [word.replace("RUN_ID", plan.name) for word in command[1:]] == [
        *(sys.executable, "-P", "-m", "psyflow.job", "process"),
        *(str(plan / "plan.json"), "0"),
    ]


def test_up_to_date(place):
    place.task("square")
    place.psy("run")
    assert dry(place).stdout == "square: up to date; nothing would run.\n"


def test_changed_code_shows_what_goes_to_the_archive(place):
    place.task("count", COUNTING)
    place.psy("run")
    calls(place)
    run_id = json.loads((place.work / "count" / "plan.json").read_text())["run_id"]
    place.task("count", COUNTING.replace("10 * x", "20 * x"))
    shown = dry(place).stdout
    assert shown.startswith("count: 3 of 3 items would run, in 1 process job of 1 worker.\n")
    assert '  because: execute: line 11: `return {"y": 10 * x}` -> ' in shown
    (line,) = [line for line in shown.splitlines() if "archive" in line]
    folder, names = line.removeprefix("  to the archive ").split(": ")
    place.psy("run")
    assert folder == f"psy-work/count/archive/{run_id}"
    archived = {path.name for path in (place.folder / folder).iterdir()}
    assert {*names.split(", "), "archived.json"} == archived
    assert "result.pkl" in archived


def test_kept_results_do_not_go_to_the_archive(place):
    place.task("count", COUNTING)
    place.psy("run")
    place.task("count", COUNTING.replace("10 * x", "20 * x").replace("[1, 2,", "[0, 1, 2,"))
    shown = dry(place, "-c").stdout
    assert shown.startswith("count: 1 of 4 items would run")
    assert "archive" not in shown


def test_a_result_with_rows_that_go_is_archived(place):
    place.task("count", COUNTING)
    place.psy("run")
    place.task("count", COUNTING.replace("[1, 2, 3]", "[1, 2]"))
    shown = dry(place).stdout
    assert shown.startswith("count: 0 of 2 items would run; the result would be merged.\n")
    assert "  to the archive psy-work/count/archive/2" in shown
    assert shown.endswith(": result.pkl\n")


@pytest.mark.parametrize(
    ("option", "n_items"), [([], 3), (["--failed"], 1), (["--todo"], 2), (["-j", "7"], 3)]
)
def test_options_count(place, option, n_items):
    place.task("bad", SQUARE.replace("x**2", "1 / x").replace("range(4)", "[0, 1]"))
    place.psy("run")
    place.task("bad", SQUARE.replace("x**2", "1 / x"))
    shown = dry(place, *option).stdout
    workers = "7 workers" if "-j" in option else "1 worker"
    assert shown.startswith(f"bad: {n_items} of 4 items would run, in 1 process job of {workers}.")


def test_results_that_must_stay(place):
    place.task("square", SQUARE + "overwrite_dirty = False\n")
    place.psy("run")
    place.task("square", SQUARE.replace("x**2", "x**3") + "overwrite_dirty = False\n")
    shown = dry(place)
    assert shown.stdout.startswith("square: nothing would run. Task ")
    assert "psy run -c square" in shown.stdout


def test_a_function_that_cannot_be_called(place):
    place.task("square", SQUARE.replace("(x)", "(z)"))
    shown = dry(place)
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "`x`" in shown.stderr


def test_scripts_of_a_batch_system(place):
    place.task("far", SLURM)
    shown = dry(place)
    assert (shown.returncode, shown.stderr) == (0, "")
    plan = place.work / "far" / "plans" / "RUN_ID" / "plan.json"
    log = place.work / "far" / "far:process:%a.log"
    assert "far: 4 of 4 items would run, in 2 process jobs of 3 workers.\n" in shown.stdout
    assert (
        "  job far:process, an array of 2, at most 1 hour, log psy-work/far/far:process:%a.log:\n"
        f"    $ sbatch --parsable --job-name=far:process.MARK --output={log} --open-mode=append "
        "--dependency=afterany:ID_OF_SPLIT --array=0-1 --time=1:00:00 --mem=1G\n"
        "    | #!/bin/sh\n"
        f"    | exec {sys.executable} -P -m psyflow.job process {plan} "
        '"$SLURM_ARRAY_TASK_ID"\n'
    ) in shown.stdout
    assert (
        "--dependency=afterany:ID_OF_SPLIT:ID_OF_PROCESS --time=1:00:00 --mem=9G" in shown.stdout
    )


def test_without_arrays_each_job_is_shown(place):
    source = SLURM.replace("import Slurm", "import Sqsub").replace("Slurm()", "Sqsub()")
    place.task("far", source)
    jobs = json.loads(dry(place, "--json").stdout)["far"]["jobs"]
    assert [job["name"] for job in jobs] == [
        "far:split", "far:process:0", "far:process:1", "far:merge"
    ]  # fmt: skip
    assert jobs[3]["command"][0] == "sqsub"
    assert "ID_OF_SPLIT,ID_OF_PROCESS_0,ID_OF_PROCESS_1" in jobs[3]["command"]


def test_schedulers_of_ones_own_and_jobs_at_work(place):
    place.task("far", FAR)
    (place.folder / "psy-tasks" / "cluster.py").write_text(CLUSTER)
    shown = dry(place)
    assert [line for line in shown.stdout.splitlines() if line.startswith("  job")] == [
        f"  job far:{job}, log psy-work/far/far:{job}.log:"
        for job in ("split", "process:0", "process:1", "merge")
    ]
    place.psy("run")
    # The cluster notes that it was asked.
    assert "has jobs at work: job 1: queued" in place.psy("run", "-n").stdout


def test_bad_arguments_of_the_scheduler_are_found(place):
    place.task("far", SLURM.replace("timelimit", "timelimt"))
    shown = dry(place)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "timelimt" in shown.stderr


def test_json(place):
    place.task("square")
    (report,) = json.loads(dry(place, "--json").stdout).values()
    assert report["reasons"] == ["4 of 4 items have no result"]
    assert (report["n_items"], report["n_pending"], report["n_jobs"]) == (4, 4, 1)
    assert (report["refusal"], report["archive"], report["archived"]) == (None, None, [])
    (job,) = report["jobs"]
    assert (job["name"], job["script"], job["command"][-1]) == ("square:process:0", None, "0")


def test_json_goes_with_a_dry_run_only(place):
    place.task("square")
    shown = place.psy("run", "--json")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "psy run -n --json" in shown.stderr
    assert not place.work.exists()


def test_somebody_else_is_at_it(place):
    from psyflow.system.hold import Hold

    place.task("square")
    hold = Hold(place.work / "square" / "hold", "it")
    hold.acquire()
    shown = dry(place)
    hold.release()
    assert shown.stdout.startswith('square: nothing would run. Task "square" is held by process ')


# -- clean ---------------------------------------------------------------------------------------


def test_clean_shows_what_it_would_remove(place):
    place.task("square")
    place.psy("run")
    before = place.snapshot()
    shown = place.psy("clean", "-n", "square")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert place.snapshot() == before
    removed = place.psy("clean", "square").stdout
    assert shown.stdout == removed.replace("removed", "would remove")
    assert "psy-work/square/result.pkl" in removed
    assert place.psy("clean", "-n", "square").stderr == "square: nothing to remove.\n"
    assert place.psy("clean", "-n").stdout == ""


def test_clean_refuses_in_a_dry_run_too(place):
    place.task("far", FAR)
    (place.folder / "psy-tasks" / "cluster.py").write_text(CLUSTER)
    place.psy("run")
    shown = place.psy("clean", "-n", "far")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "psy kill far" in shown.stderr
