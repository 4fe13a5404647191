"""Tasks whose `execute` is a command: checked, run, kept up to date, like any other."""

from __future__ import annotations

import json
import os

import pytest

import psyflow
from psyflow.exceptions import CommandWarning, PsyflowWarning, TaskFileError
from psyflow.record.plan import Plan
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef
from tests.support.place import Place
from tests.support.processes import eventually

TASK = """
from pathlib import Path
from psyflow import Command, Param

pspace = Param(n=[1, 2]) * Param(name=["a b", "it's; $x"])
execute = Command("./sim {n} {name}", parse={"acc": r"accuracy: (@float@)"})
"""
SIM = """#!/bin/sh
echo "$1:$2" >> "$CALLS"
echo "accuracy: 0.$1"
"""


@pytest.fixture
def place(place, tmp_path, monkeypatch) -> Place:
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    place.task("sim", TASK)
    write(place, "sim", SIM)
    return place


def write(place, name, text) -> None:
    path = place.folder / "psy-tasks" / name
    path.write_text(text)
    path.chmod(0o755)


def change(place, old, new) -> None:
    file = place.folder / "psy-tasks" / "task_sim.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def calls(place) -> list[str]:
    path = place.folder / "calls"
    found = sorted(path.read_text().splitlines()) if path.exists() else []
    path.unlink(missing_ok=True)
    return found


ALL = ["1:a b", "1:it's; $x", "2:a b", "2:it's; $x"]


def run(place, status=0) -> list[str]:
    done = place.psy("run")
    assert done.returncode == status, done.stderr
    return calls(place)


def loaded(place) -> psyflow.results.Results:
    return psyflow.load("sim", place.folder / "psy-tasks", place.work)


def folders(place) -> list:
    return sorted(p for p in (place.work / "sim" / "psets").glob("*") if p.is_dir())


def checked(place) -> None:
    TaskDef(place.folder / "psy-tasks" / "task_sim.py", base=place.folder).check_execute()


def test_a_program_runs_once_for_each_pset_and_gives_a_table(place):
    assert run(place) == ALL
    assert sorted(loaded(place)["acc"]) == [0.1, 0.1, 0.2, 0.2]
    assert run(place) == []


def test_each_pset_has_a_folder_with_its_output(place):
    run(place)
    found = folders(place)
    assert len(found) == 4
    assert all((f / "stdout").read_text().startswith("accuracy: 0.") for f in found)
    assert all(json.loads((f / "command.json").read_text())[0]["exit_code"] == 0 for f in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{n} {name}", "{n} {name} more"),
        ('parse={"acc"', 'env={"A": "b"}, parse={"acc"'),
        ('parse={"acc"', 'ok_codes=[0, 1], parse={"acc"'),
        ('parse={"acc"', 'version="echo 1.0", parse={"acc"'),
    ],
)
def test_what_the_results_depend_on_makes_them_outdated(place, old, new):
    run(place)
    change(place, old, new)
    assert len(run(place)) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(@float@)", "0(@float@)"),
        ('{"acc": r"accuracy: (@float@)"}', "lambda folder: {'acc': 1}"),
        ('parse={"acc"', 'keep="failed", parse={"acc"'),
        ('parse={"acc"', 'launcher="env", parse={"acc"'),
        ("execute", "# how it is called\nlauncher = ['env']\nexecute"),
    ],
)
def test_how_it_is_read_kept_and_started_runs_nothing_again(place, old, new):
    run(place)
    change(place, old, new)
    assert run(place) == []
    assert "up to date" in place.psy("status").stderr


def test_psy_why_tells_what_of_a_command_changed(place):
    run(place)
    change(place, "{n} {name}", "--n={n} {name}")
    told = place.psy("why").stdout
    assert "./sim {n} {name}" in told and "./sim --n={n} {name}" in told


def test_a_program_that_is_a_file_of_the_study_counts_with_its_content(place):
    run(place)
    write(place, "sim", SIM + "# edited\n")
    assert len(run(place)) == 4


def test_a_script_of_an_interpreter_counts_with_its_content(place):
    change(place, "./sim", "sh -e sim")
    assert run(place) == ALL
    write(place, "sim", SIM + "# edited\n")
    assert len(run(place)) == 4


def test_the_output_of_version_counts(place):
    write(place, "version", "echo 1.0\n")
    change(place, 'parse={"acc"', 'version="sh version", parse={"acc"')
    run(place)
    assert run(place) == []
    write(place, "version", "echo 1.1\n")
    assert len(run(place)) == 4


def test_templates_files_and_input_are_there_and_count(place):
    write(place, "deck.tpl", "n = $n\nname = ${name}\ncost = $$5\n")
    write(place, "mesh.msh", "mesh")
    write(place, "params.cfg", "old")
    change(
        place,
        '"./sim {n} {name}", ',
        '["./sim {n} {name}", "sh -c \'cat; cat mesh.msh; echo new > params.cfg\'"], '
        'stdin="deck.in", templates={"deck.tpl": "deck.in"}, '
        'files_in=["mesh.msh", "copy:params.cfg"], ',
    )
    assert run(place) == ALL
    outputs = [(f / "stdout").read_text() for f in folders(place)]
    assert sorted(outputs) == sorted(
        f"accuracy: 0.{n}\nn = {n}\nname = {name}\ncost = $5\nmesh"
        for n in (1, 2)
        for name in ("a b", "it's; $x")
    )
    assert (place.folder / "psy-tasks" / "params.cfg").read_text() == "old"
    for name in ("deck.tpl", "mesh.msh", "params.cfg"):
        assert run(place) == []
        write(place, name, "$n $name edited")
        assert len(run(place)) == 4


def test_a_template_overwrites_no_file_of_the_study(place):
    write(place, "deck.tpl", "$n")
    for n in (1, 2):
        write(place, f"run{n}.in", "precious")
    change(
        place,
        'parse={"acc"',
        'files_in=["run{n}.in"], templates={"deck.tpl": "run1.in"}, parse={"acc"',
    )
    shown = place.psy("run")
    assert shown.returncode == 1
    assert "run1.in in the folder of a pset, for that is that of" in place.psy("failures").stdout
    assert (place.tasks / "run1.in").read_text() == "precious"


def test_a_glob_of_files_is_there_and_counts(place):
    (place.tasks / "in").mkdir()
    for name in ("a.msh", "b.msh", "c.txt"):
        write(place, f"in/{name}", name)
    change(place, '"./sim {n} {name}", ', '["./sim {n} {name}", "ls"], files_in=["in/*.msh"], ')
    assert run(place) == ALL
    assert all("a.msh\nb.msh\nstd" in (f / "stdout").read_text() for f in folders(place))
    assert run(place) == []
    write(place, "in/b.msh", "edited")
    assert len(run(place)) == 4


def test_a_program_is_found_on_the_path_that_it_is_given(place):
    (place.folder / "bin").mkdir()
    (place.folder / "psy-tasks" / "sim").rename(place.folder / "bin" / "own-sim")
    path = f"{place.folder / 'bin'}:{os.environ['PATH']}"
    change(place, '"./sim {n} {name}", ', f'"own-sim {{n}} {{name}}", env={{"PATH": {path!r}}}, ')
    assert run(place) == ALL


def test_jinja_and_other_delimiters(place):
    write(place, "deck.j2", "{% for i in range(n) %}{{ name }},{% endfor %}")
    write(place, "other.tpl", "@n $HOME")
    change(
        place,
        'parse={"acc"',
        'templates={"deck.j2": "in/deck", "other.tpl": "other"}, delimiter="@", parse={"acc"',
    )
    run(place)
    decks = {(f / "in/deck").read_text() + (f / "other").read_text() for f in folders(place)}
    assert decks == {
        "a b,1 $HOME",
        "it's; $x,1 $HOME",
        "a b,a b,2 $HOME",
        "it's; $x,it's; $x,2 $HOME",
    }


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            "{name}",
            "{nam}",
            r'field \{nam\}, which the parameter space does not give. Did you mean "name"',
        ),
        ("{name}", "{HOME}", r"is written \$HOME"),
        ("{name}", "{seed}", "Set `seed` in the task file"),
        ("{name}", "{rng}", r"\{seed\} is a number"),
        ("./sim", "./sum", "there is no program .*/sum here"),
        ("./sim", "no-such-program", "there is no program no-such-program"),
        ("parse", "launcher='no-such-run', parse", "there is no program no-such-run"),
        ("parse", "files_in=['simm'], parse", 'no file .*/simm.*Did you mean "sim"'),
        ("parse", "stdin='sin', parse", "`stdin`: there is no file"),
        ("parse", "templates={'deck': 'x'}, parse", "`templates`: there is no file"),
        ("parse", "templates={'bad.tpl': 'x'}, parse", "placeholder `m` is no parameter"),
        ("parse", "templates={'none.tpl': 'x'}, parse", "a template without a placeholder"),
        ("parse", "templates={'odd.tpl': 'x'}, parse", "line 2: a [$] that begins no placeholder"),
        ("parse", "templates={'bad.j2': 'x'}, parse", "line 1"),
        ("parse", "templates={'bad.tpl': '../x'}, parse", "no name of a file inside"),
        ("parse", "keep='al', parse", 'Did you mean "all"'),
        ("parse", "ok_codes=[300], parse", "exit codes from 0 to 255"),
        ("parse", "files_in=['a/x', 'b/x'], parse", r"b/x cannot be x .* that of .*/a/x"),
        ("parse", "files_in=['stdout'], parse", "stdout cannot be stdout .* file of psyflow's"),
        ("parse", "files_in=['/'], parse", "/ has no name"),
        ("parse", "files_in=['gone'], parse", "gone is a link to nowhere"),
        ("parse", "files_in=['*.none'], parse", r"no file .*/\*.none"),
        ("parse", "files_in=['a/x'], templates={'t.tpl': 'x'}, parse", "that of .*/a/x"),
        ("parse", "files_in=['a'], templates={'t.tpl': 'a/x'}, parse", "cannot be a .* that of"),
        ("parse", "templates={'t.tpl': 'x', 'u.tpl': './x'}, parse", "u.tpl cannot be x"),
        ("parse", "templates={'t.tpl': 'stderr'}, parse", "file of psyflow's"),
        ("parse", "templates={'a': 'x'}, parse", "`templates`: .*/a is a folder"),
        ("parse", "env={'A=B': 'x'}, parse", "'A=B' is no name of a variable"),
        ("parse", "env={'A': None}, parse", "A is None"),
        ("parse", "templates={'t.tpl': 'x'}, delimiter='', parse", "`delimiter` .* is one sign"),
    ],
)
def test_what_cannot_run_is_told_before_anything_runs(place, old, new, why):
    write(place, "bad.tpl", "$n $m")
    write(place, "none.tpl", "$$n")
    write(place, "odd.tpl", "$n\ncost: 5$ each\n")
    write(place, "bad.j2", "{{ n ")
    for name in ("t.tpl", "u.tpl", "a/x", "b/x", "stdout"):
        (place.tasks / name).parent.mkdir(exist_ok=True)
        write(place, name, "$n")
    (place.tasks / "gone").symlink_to("nowhere")
    change(place, old, new)
    with pytest.raises(TaskFileError, match=why):
        checked(place)
    assert place.psy("run").returncode == 3
    assert calls(place) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (" {name}", "", "the parameter `name` stands nowhere"),
        ("{name}", "{name} task_sim.py", r'add files_in=\["task_sim.py"\]'),
    ],
)
def test_what_is_hardly_meant_is_told(place, old, new, what):
    change(place, old, new)
    with pytest.warns(CommandWarning, match=what):
        checked(place)


def test_a_parameter_in_the_environment_is_used(place):
    change(place, '"./sim {n} {name}"', "'./sim {n} \"$PSYFLOW_VAR_name\"', shell=True")
    checked(place)


def test_setup_may_give_what_fields_name(place):
    change(place, "{n} {name}", "{n} {given}")
    change(place, "execute =", "def setup(worker):\n    return {'given': 'x'}\n\nexecute =")
    with pytest.warns(CommandWarning, match="`name` stands nowhere"):
        checked(place)
    assert run(place) == ["1:x", "1:x", "2:x", "2:x"]


def test_a_seed_gives_each_pset_a_number(place):
    change(place, "{name}", "{seed}")
    change(place, "execute =", "seed = 1\nexecute =")
    change(place, ' * Param(name=["a b", "it\'s; $x"])', "")
    first = run(place)
    assert len({line.split(":")[1] for line in first}) == 2
    write(place, "sim", SIM + "# again\n")
    assert run(place) == first


def test_programs_start_in_cwd_and_know_their_pset(place, monkeypatch):
    (place.folder / "elsewhere").mkdir()
    write(
        place,
        "sim",
        SIM + 'pwd\necho "$PSYFLOW_VAR_n $PATAS_VAR_n $PATAS_WORK_DIR $PSYFLOW_DIR"\n',
    )
    monkeypatch.setenv("STUDY", str(place.folder))
    change(place, "./sim", "../psy-tasks/sim")
    change(place, "parse", 'cwd="$STUDY/elsewhere", parse')
    assert run(place) == ALL
    for folder in folders(place):
        *_, where, told = (folder / "stdout").read_text().splitlines()
        assert where.endswith("/elsewhere")
        assert told.split()[1:3] == [told.split()[0], where]
        assert told.split()[3] == str(folder)


def test_a_path_means_the_same_wherever_the_program_runs(place):
    write(place, "data.csv", "12345")
    change(place, 'name=["a b", "it\'s; $x"]', 'file=[Path("data.csv")]')
    change(place, '"./sim {n} {name}"', '["./sim {n} file", "wc -c {file}"]')
    assert run(place) == ["1:file", "2:file"]
    assert (folders(place)[0] / "stdout").read_text().splitlines()[1].startswith("5 ")


@pytest.mark.parametrize("keep", ["failed", "none", "*.log", "all"])
def test_what_is_kept(place, keep):
    write(place, "sim", SIM + 'echo x > run.log; mkdir -p d; echo y > d/y.dat; test "$1" = 1\n')
    change(place, "parse", f"keep={keep!r}, parse")
    run(place, status=1)
    whole = ["command.json", "d", "d/y.dat", "run.log", "stderr", "stdout"]
    found = [sorted(str(p.relative_to(f)) for p in f.rglob("*")) for f in folders(place)]
    good = {"all": whole, "*.log": ["command.json", "run.log"]}.get(keep)
    expected = [good] * 2 * bool(good) + [whole] * 2 * (keep != "none")
    assert sorted(found) == sorted(expected)


def test_a_later_attempt_begins_in_an_empty_folder_but_for_what_it_resumes(place):
    write(place, "sim", 'ls | tr "\\n" " " >> "$CALLS"; touch a.chk b.tmp; exit 1\n')
    change(place, "./sim", "sh sim")
    change(place, "n=[1, 2]", "n=[1]")
    change(place, 'name=["a b", "it\'s; $x"]', "name=['x']")
    change(place, "parse", "resume='*.chk', parse")
    run(place, status=1)
    assert run(place, status=1) == ["a.chk stderr stdout "]


def test_a_launcher_stands_before_the_program(place):
    write(place, "mpi", 'echo "$1 $2" >> "$CALLS"; shift 2; exec "$@"\n')
    (place.folder / "psy-tasks" / "psy-conf.py").write_text(
        f"launcher = ['sh', '{place.folder}/psy-tasks/mpi', '-n', '{{n}}']\n"
    )
    assert run(place) == sorted([*ALL, "-n 1", "-n 1", "-n 2", "-n 2"])


def test_failures_tell_the_last_lines_of_stderr(place):
    write(place, "sim", "#!/bin/sh\necho oh >&2; echo dear >&2; exit 7\n")
    run(place, status=1)
    told = place.psy("failures").stdout
    assert "exited with code 7. Its standard error ends:" in told
    assert "oh\n        dear\n" in told
    assert "Traceback" not in told


def test_a_crash_of_a_program_is_tried_again(place):
    write(place, "sim", SIM + "kill -ABRT $$\n")
    change(place, "execute", "retries = 1\nexecute")
    assert run(place, status=1) == sorted(2 * ALL)
    assert "crash" in place.psy("failures").stdout


WAITS = """#!/bin/sh
trap '' TERM
sleep 600 &
echo $$ > "$CALLS.$1"
sleep 600
"""


def ended(place, name) -> bool:
    group = int((place.folder / name).read_text())
    from tests.command.test_programs import lives

    return not lives(group)


def only_numbers(place) -> None:
    change(place, ' * Param(name=["a b", "it\'s; $x"])', "")
    file = place.folder / "psy-tasks" / "task_sim.py"
    file.write_text(file.read_text().replace(" {name}", ""))


def test_a_timeout_ends_the_program_and_what_it_has_started(place):
    write(place, "sim", WAITS)
    change(place, "execute", "timeout = 1\nexecute")
    only_numbers(place)
    write(place, "sim", WAITS.replace("trap", "echo last words >&2\ntrap"))
    assert place.psy("run").returncode == 1
    told = place.psy("failures").stdout
    assert "timeout, 1.0 s. Its standard error ends: last words" in told
    for name in ("calls.1", "calls.2"):
        eventually(lambda name=name: ended(place, name))


@pytest.mark.parametrize("number", [2, 9])
def test_when_psy_run_is_ended_no_program_is_left(place, number):
    write(place, "sim", WAITS)
    process = place.start("run")
    try:
        started = place.folder / "calls.1"
        eventually(lambda: started.exists() and started.read_text())
        os.killpg(process.pid, number)
        if number == 2:
            eventually(lambda: "Ctrl-C: at once" in process.stderr.readline())
            os.killpg(process.pid, number)
    finally:
        process.wait()
    eventually(lambda: ended(place, "calls.1"))
    process.communicate()


def test_what_programs_took_is_bookkeeping(place):
    write(place, "sim", SIM + "head -c 100000000 /dev/zero | tail -c 99999999 > d; [ $1 = 1 ]\n")
    change(place, '"./sim {n} {name}"', '["./sim {n}", "sh -c \'[ $0 = 1 ] || kill -9 $$\' {n}"]')
    only_numbers(place)
    assert place.psy("run").returncode == 1
    for table in (loaded(place).bookkeeping, psyflow.load(place.work / "sim").bookkeeping):
        assert (table["exit_code"].tolist(), table["signal"].tolist()) == ([0], [""])
        assert table["cpu"][0] > 0 and table["peak_memory"][0] > 99_999_999
    failed = loaded(place).failures
    assert (failed["exit_code"].tolist(), failed["signal"].tolist()) == ([1], [""])
    write(place, "sim", SIM)
    assert place.psy("run").returncode == 1
    failed = loaded(place).failures
    assert (failed["exit_code"].tolist(), failed["signal"].tolist()) == ([-1], ["SIGKILL"])
    # A complete result has it, too, and a task of functions has none of it.
    change(place, "n=[1, 2]", "n=[1]")
    run(place)
    assert loaded(place).bookkeeping["exit_code"].tolist() == [0]
    place.task("plain", "pspace = {'x': [1]}\ndef execute(x): return {'y': x}\n")
    assert place.psy("run", "plain").returncode == 0
    assert "cpu" not in psyflow.load(place.work / "plain").bookkeeping


def planned(place) -> tuple[Run, Plan]:
    """Make a plan, whose jobs are yet to begin."""
    run_ = Run(TaskDef(place.folder / "psy-tasks" / "task_sim.py", base=place.folder))
    plan = begin(run_)
    assert plan is not None
    run_.here.split(plan)
    return run_, plan


def test_a_template_is_that_of_when_the_run_was_planned(place):
    write(place, "deck.tpl", "first $n\n")
    change(place, "./sim {n} {name}", "cat deck.in")
    change(place, 'parse={"acc": r"accuracy: (@float@)"}', 'templates={"deck.tpl": "deck.in"}')
    only_numbers(place)
    run_, plan = planned(place)
    write(place, "deck.tpl", "second $n\n")
    assert run_.here.process(plan) == 0
    assert run_.here.merge(plan).tally.n_missing == 0
    run_.release()
    assert {(f / "stdout").read_text() for f in folders(place)} == {"first 1\n", "first 2\n"}
    assert "deck.tpl" in place.psy("why").stdout
    assert place.psy("run").returncode == 0
    assert {(f / "stdout").read_text() for f in folders(place)} == {"second 1\n", "second 2\n"}


def test_rows_of_a_program_that_was_edited_while_its_job_waited_do_not_count(place):
    run_, plan = planned(place)
    write(place, "sim", SIM + "# edited\n")
    assert run_.here.process(plan) == 0
    with pytest.warns(PsyflowWarning, match="sim"):
        merged = run_.here.merge(plan)
    run_.release()
    assert merged.tally.n_missing == 4
    calls(place)
    assert run(place) == ALL


def test_repetitions_are_a_field_like_others_and_need_not_be_one(place):
    change(place, ' * Param(name=["a b", "it\'s; $x"])', "")
    change(place, "{n} {name}", "{n} {repeat}")
    change(place, "execute =", "repeat = 2\nexecute =")
    assert run(place) == ["1:0", "1:1", "2:0", "2:1"]
    change(place, "{n} {repeat}", "{n} x")
    checked(place)
