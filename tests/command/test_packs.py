"""Small outputs of many psets are in a few files, and found there again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import psyflow
from psyflow import Command, Param, Parse
from psyflow.command.packs import Packs, Writer, outputs, pack_left
from psyflow.exceptions import DamagedFileError
from psyflow.testing.schedulers import until
from psyflow.work.context import Contexts

MANY = """
from psyflow import Command, Param

pspace = Param(n=range(300))
execute = Command("echo got {n}", parse={"got": "got (@int@)"})
"""


@pytest.fixture
def many(place):
    place.task("many", MANY)
    return place


def n_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*"))


def folder(root: Path, name: str, **files: str) -> Path:
    made = root / name
    made.mkdir(parents=True)
    for file, text in files.items():
        (made / file).write_text(text)
    return made


def packs(root: Path) -> list[Path]:
    return [*(root / "packs").glob("*.pack")]


def stdout_of(root: Path, name: str) -> str | None:
    with outputs(root, name) as found:
        return None if found is None else (found / "stdout").read_text()


def test_many_psets_leave_few_files_and_psy_log_finds_what_they_wrote(many):
    assert many.psy("run").returncode == 0
    assert n_files(many.work / "many" / "psets") < 10
    assert sorted(psyflow.load("many", many.tasks, many.work)["got"]) == list(range(300))
    results = psyflow.load("many", many.tasks, many.work)
    assert (results.folder(17) / "stdout").read_text() == "got 17\n"
    assert results.folder({"n": 18}).joinpath("stdout").read_text() == "got 18\n"
    assert "=== stdout of the program, packed:\ngot 17\n" in many.psy("log", "many", "17").stdout


def test_few_psets_have_folders_that_psy_log_names(many):
    many.task("many", MANY.replace("300", "3"))
    many.psy("run")
    told = many.psy("log", "many", "2").stdout
    assert "=== stdout of the program, " in told and "/stdout:\ngot 2\n" in told


def test_what_was_killed_is_packed_in_the_end_and_all_claims_are_one_file(many):
    text = "echo before; test {n} != 7 || sleep 600"
    many.task("many", MANY.replace('"echo got {n}"', f'"{text}", shell=True') + "timeout = 2\n")
    assert many.psy("run").returncode == 1
    assert sorted(p.name for p in (many.work / "many" / "psets").iterdir()) == ["packs"]
    assert "packed:\nbefore\n" in many.psy("log", "many", "7").stdout
    assert len([*many.work.glob("many/plans/*/claims/0/*")]) == 1


LEAVES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    os.chdir("/")
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.02)
    print("late", flush=True)
"""


def test_what_leaves_its_process_group_prints_into_no_other_psets_output(tmp_path):
    contexts = Contexts(tmp_path / "psets", "process:0", is_durable=False)
    contexts_of_all = contexts(Param(n=range(300)), range(3))
    go = tmp_path / "go"
    leaves = Command([[sys.executable, "-c", LEAVES, str(go)]])
    waits = Command("touch {go}; sleep 0.5; echo mine", shell=True)
    for command, context in zip([leaves, leaves, waits], contexts_of_all, strict=True):
        command(ctx=context, n=0, go=str(go))
    packs = Packs(tmp_path / "psets")
    names = [contexts.folder(Param(n=range(300)), item).name for item in range(3)]
    printed = []
    for name in names:
        with outputs(tmp_path / "psets", name, packs) as found:
            printed.append((found / "stdout").read_text())
    assert printed == ["", "", "mine\n"]


def test_folders_stay_if_asked(many):
    many.task("many", MANY.replace("{n}", "{n}", 1).replace("parse", "pack=False, parse"))
    many.psy("run")
    assert n_files(many.work / "many" / "psets") > 1000


def test_what_failed_is_packed_too_and_what_is_large_keeps_its_folder(many):
    text = "head -c {n}000 /dev/zero; echo no >&2; test {n} != 7"
    many.task("many", MANY.replace('"echo got {n}"', f'"{text}", shell=True'))
    assert many.psy("run").returncode == 1
    sizes = sorted(p.stat().st_size for p in (many.work / "many" / "psets").glob("*/stdout"))
    assert sizes == [n * 1000 for n in range(66, 300)]
    assert "=== stderr of the program, packed:\nno\n" in many.psy("log", "many", "7").stdout
    results = psyflow.load("many", many.tasks, many.work)
    assert (results.folder(7) / "stdout").stat().st_size == 7000


def test_a_later_evaluation_counts(many):
    many.psy("run")
    many.task("many", MANY.replace("echo got", "echo now got"))
    many.psy("run")
    assert "now got 17\n" in many.psy("log", "many", "17").stdout
    many.task(
        "many", MANY.replace("echo got", "echo at last got").replace("parse", "keep='none', parse")
    )
    many.psy("run")
    assert "got 17" not in many.psy("log", "many", "17").stdout


def test_psy_clean_removes_packs(many):
    many.psy("run")
    assert many.psy("clean", "many", "-y").returncode == 0
    assert not (many.work / "many").exists()


def test_a_record_that_was_cut_off_is_none_and_the_next_writer_goes_on(tmp_path):
    first = Writer(tmp_path)
    first.put(folder(tmp_path, "a", stdout="one"))
    first.put(folder(tmp_path, "b", stdout="two"))
    first.close()
    (pack,) = packs(tmp_path)
    os.truncate(pack, pack.stat().st_size - 1)
    assert stdout_of(tmp_path, "a") == "one"
    assert stdout_of(tmp_path, "b") is None
    second = Writer(tmp_path)
    second.put(folder(tmp_path, "c", stdout="three"))
    second.close()
    assert packs(tmp_path) == [pack]
    assert [stdout_of(tmp_path, name) for name in "abc"] == ["one", None, "three"]


def test_two_writers_at_once_have_a_pack_each(tmp_path):
    writers = [Writer(tmp_path), Writer(tmp_path)]
    for name, writer in zip("ab", writers, strict=True):
        writer.put(folder(tmp_path, name, stdout=name))
    assert len(packs(tmp_path)) == 2
    assert [stdout_of(tmp_path, name) for name in "ab"] == ["a", "b"]


def test_files_of_folders_within_and_bytes_come_back(tmp_path):
    made = folder(tmp_path, "a", stdout="")
    (made / "d").mkdir()
    (made / "d" / "x.bin").write_bytes(bytes(range(256)))
    (made / "link").symlink_to("/etc/passwd")
    Writer(tmp_path).put(made)
    assert not made.exists()
    with outputs(tmp_path, "a") as found:
        assert (found / "d" / "x.bin").read_bytes() == bytes(range(256))
        assert not (found / "link").exists()
    assert "a" in Packs(tmp_path) and "b" not in Packs(tmp_path)


def test_a_pack_that_names_a_place_outside_writes_nothing_there(tmp_path):
    writer = Writer(tmp_path)
    writer.put(folder(tmp_path, "a"), {"../../outside": b"bad"})
    with pytest.raises(DamagedFileError, match=r"outside"), outputs(tmp_path, "a"):
        pass


def test_what_was_packed_before_some_damage_is_read_and_nothing_after_it_is_cut_off(tmp_path):
    writer = Writer(tmp_path)
    for name in "abc":
        writer.put(folder(tmp_path, name, stdout=name))
    writer.close()
    (pack,) = packs(tmp_path)
    whole = pack.read_bytes()
    pack.write_bytes(whole.replace(b'{"folder": "b"', b'{"folder"+ "b"'))
    Writer(tmp_path).put(folder(tmp_path, "d", stdout="d"))
    assert len(pack.read_bytes()) == len(whole)
    assert [stdout_of(tmp_path, name) for name in "abcd"] == ["a", None, None, "d"]


def test_a_link_within_the_folder_is_kept_as_what_it_leads_to(tmp_path):
    made = folder(tmp_path, "a", **{"run-3.log": "E = 3"})
    (made / "latest.log").symlink_to("run-3.log")
    (made / "input").symlink_to(folder(tmp_path, "study", mesh="large") / "mesh")
    Writer(tmp_path).put(made)
    with outputs(tmp_path, "a") as found:
        assert sorted(path.name for path in found.iterdir()) == ["latest.log", "run-3.log"]
        assert (found / "latest.log").read_text() == "E = 3"


def test_only_files_that_are_parsed_are_unpacked_whatever_their_name_looks_like(tmp_path):
    Writer(tmp_path).put(folder(tmp_path, "a", stdout="x 1", stderr="y 2", log="z 3"))
    parse = Parse({"x": "x (@int@)", "z": ("./log", "z (@int@)")})
    with outputs(tmp_path, "a", wanted=parse.reads) as found:
        assert sorted(path.name for path in found.iterdir()) == ["log", "stdout"]
        assert parse.of_folder(found) == {"x": 1, "z": 3}
    assert Parse({"x": ("*.log", "(@int@)")}).reads is None
    assert Parse({"*": lambda folder: {}}).reads is None


def test_folder_is_packed_while_what_a_program_left_behind_makes_and_removes_files_there(tmp_path):
    """Half of these folders cost their result when they were emptied where they stood."""
    writer = Writer(tmp_path)
    at_work = "mkdir d; while :; do echo x > a; echo x > d/x; rm a d/x; done"
    for number in range(30):
        made = folder(tmp_path, str(number), stdout="done")
        with subprocess.Popen(["sh", "-c", at_work], cwd=made) as left_behind:
            until((made / "d").is_dir, "it is at work", 60)
            writer.spare.leave_next()
            try:
                assert writer.put(made)
            finally:
                left_behind.kill()
        assert not made.exists()
        assert stdout_of(tmp_path, str(number)) == "done"
    writer.close()
    pack_left(tmp_path, ())
    assert [path.suffix for path in (tmp_path / "packs").iterdir()] == [".pack"]


LINGERS = """
from psyflow import Command, Param

WRITES = "while :; do echo x > foreign.txt; sleep 0.002; done"
LINGERS = f"setsid sh -c '{WRITES}' > /dev/null 2>&1 < /dev/null &"
BEGUN = "until [ -e foreign.txt ]; do sleep 0.001; done"

pspace = Param(n=range(260))
execute = Command(
    f"if [ {{n}} = 3 ]; then {LINGERS} {BEGUN}; fi; sleep 0.004; ls",
    shell=True,
    parse={"seen": r"^foreign.(@slug@)"},
)
"""


def test_what_a_program_leaves_behind_writes_into_no_other_folder(place):
    place.task("lingers", LINGERS)
    shown = place.psy("run")
    assert shown.returncode == 0, shown.stderr
    results = psyflow.load("lingers", place.tasks, place.work)
    seen = [n for n, text in zip(results["n"], results["seen"], strict=True) if text == "txt"]
    assert (seen, results.n_rows) == ([3], 260)
