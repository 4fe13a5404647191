"""`prep_batch`: folders from templates, and scripts that submit jobs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import psyflow.study as ps
from psyflow.exceptions import UsageError

PARAMS = ps.plist("param_a", [1, 2])
JOBSCRIPT = """\
#SBATCH -J foo_${_pset_seq}_${_pset_id}
echo "hostname=$$(hostname)"
python3 run.py
"""


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.fixture(autouse=True)
def templates() -> None:
    write("templates/calc/run.py", "print($param_a * 10)\n")
    for machine, command in [("cluster", "sbatch"), ("local", "sh")]:
        write(f"templates/machines/{machine}/info.yaml", f"---\nsubcmd: {command}\n")
        write(f"templates/machines/{machine}/jobscript", JOBSCRIPT)


def jobs(machine: str) -> list[str]:
    text = Path(f"calc/run_{machine}.sh").read_text()
    return [line for line in text.splitlines() if "run_seq" in line]


def test_folders_and_scripts_are_written_and_nothing_is_started() -> None:
    # W23, W24, W25, W26
    df = ps.prep_batch(PARAMS)
    for n, pset_id in enumerate(df._pset_id):
        folder = Path("calc") / pset_id
        names = ["jobscript_cluster", "jobscript_local", "run.py"]
        assert sorted(path.name for path in folder.iterdir()) == names
        assert (folder / "run.py").read_text() == f"print({n + 1} * 10)\n"
        script = (folder / "jobscript_cluster").read_text()
        assert script.startswith(f"#SBATCH -J foo_{n}_{pset_id}\n") and '"hostname=$(ho' in script
    assert jobs("cluster") == [
        f"cd {pset_id}; sbatch jobscript_cluster; cd $here  # run_seq=0 pset_seq={n}"
        for n, pset_id in enumerate(df._pset_id)
    ]
    assert ps.df_read("calc/database.pk").equals(df)


def test_scripts_run_from_anywhere_and_earlier_jobs_are_comments(tmp_path: Path) -> None:
    # W26
    write("templates/machines/local/jobscript", "echo $param_a > out.txt\n")
    first = ps.prep_batch(PARAMS)
    df = ps.prep_batch(ps.plist("param_a", [3]))
    assert [line.startswith("# cd ") for line in jobs("local")] == [True, True, False]
    assert first._pset_id[1] in jobs("local")[1]
    moved = Path("calc").rename(tmp_path / "a folder of [mine]")
    subprocess.run([moved / "run_local.sh"], cwd="/", check=True)
    there = {path.parent.name: path.read_text() for path in moved.glob("*/out.txt")}
    assert there == {df._pset_id[2]: "3\n"}
    assert os.access(moved / "run_local.sh", os.X_OK)


def test_templates_of_jinja(tmp_path: Path) -> None:
    # W25, W33
    pytest.importorskip("jinja2")
    Path("templates/calc/run.py").unlink()
    write("templates/calc/sub/deck.in.j2", "{% for n in range(param_a) %}{{ n }} {% endfor %}$5")
    df = ps.prep_batch(PARAMS)
    assert Path(f"calc/{df._pset_id[1]}/sub/deck.in").read_text() == "0 1 $5"
    write("templates/machines/local/jobscript", "run {{ param_a }} $HOME")
    df = ps.prep_batch(PARAMS, template_mode="jinja", calc_dir="other")
    assert Path(f"other/{df._pset_id[0]}/jobscript_local").read_text() == "run 1 $HOME"


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("calc/run.py", "$parm_a $param_a", 'Did you mean "param_a"'),
        ("calc/run.py", "$param_a ${_pset_sq}", "_pset_seq"),
        ("calc/run.py", "nothing", "`param_a` is in no template"),
        ("calc/run.py", "$param_a costs 5 $", "line 1"),
        ("calc/run.py", "{{ param_a }}", r"\.j2"),
        ("calc/jobscript_local", "$param_a", "become the same file"),
        ("machines/local/info.yaml", "subcommand: sh", "subcmd"),
        ("machines/local/info.yaml", "!!python/object/apply:os.getcwd []", "no YAML"),
        ("machines/local/info.yaml", "sh", "names and values"),
        ("machines/third/info.yaml", "subcmd: sh", "no jobscript in templates/machines/third"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(file: str, text: str, told: str) -> None:
    # W25
    write(f"templates/{file}", text)
    with pytest.raises(UsageError, match=told):
        ps.prep_batch(PARAMS)
    assert not Path("calc").exists()


def test_psets_of_different_names_have_to_fit_all_templates() -> None:
    with pytest.raises(UsageError, match="param_a"):
        ps.prep_batch([*PARAMS, {"param_b": 1}])
    assert not Path("calc").exists()


def test_labels_are_for_no_job() -> None:
    # W22
    df = ps.prep_batch(ps.pgrid(PARAMS, [{"study": "s", "note_": 1, "_vary": "a"}]))
    assert df.study.tolist() == ["s", "s"]
    written = ps.prep_batch(ps.pgrid(PARAMS, [{"other": 2}]), write_pset=True)
    assert Path(f"calc/{written._pset_id[3]}/pset.pk").is_file()
    assert len(jobs("local")) == 4


def test_runs_options_hold() -> None:
    # W18, W21, W33
    ps.prep_batch(PARAMS)
    assert len(ps.prep_batch(PARAMS, skip_dups=True, backup=True)) == 2
    assert len([*Path().glob("calc.bak_*")]) == 1
    assert len(ps.prep_batch(PARAMS, simulate=True)) == 4
    assert len(jobs("local")) == 2 and not jobs("local")[0].startswith("#")
    with pytest.raises(UsageError, match="poolsize"):
        ps.prep_batch(PARAMS, poolsize=2)
