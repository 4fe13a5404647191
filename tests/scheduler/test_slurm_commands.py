"""What psyflow says to sbatch. Nothing here runs a program of Slurm's."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import UsageError
from psyflow.scheduler import Slurm, SubmitRequest

NAME = "task:process"


def command(tmp_path: Path, array_size: int | None = None, **options: object) -> list[str]:
    scheduler = Slurm()
    request = scheduler.request(["true"], tmp_path / "log", NAME, None, options, array_size)
    return scheduler.submit_command(request)


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "value", "option"),
        [
            ("timelimit", "1:00:00", "--time=1:00:00"),
            ("memory", "2G", "--mem=2G"),
            ("memory_per_cpu", "512M", "--mem-per-cpu=512M"),
            ("n_cpus", 4, "--cpus-per-task=4"),
            ("n_nodes", np.int64(2), "--nodes=2"),
            ("cores-per-socket", 8, "--cores-per-socket=8"),
            ("sockets-per-node", 2, "--sockets-per-node=2"),
            ("sockets_per_node", 2, "--sockets-per-node=2"),
            ("time", 30, "--time=0:30:00"),
            ("partition", "gpu", "--partition=gpu"),
            ("account", "def-prof", "--account=def-prof"),
            ("gres", "gpu:2", "--gres=gpu:2"),
            ("constraint", "skylake|broadwell", "--constraint=skylake|broadwell"),
            ("exclude", ["n1", "n2"], "--exclude=n1,n2"),
            ("mail_type", ("END", "FAIL"), "--mail-type=END,FAIL"),
            ("mail-user", lambda job: f"{job}@x", "--mail-user=task:process@x"),
            ("exclusive", True, "--exclusive"),
            ("exclusive", "user", "--exclusive=user"),
            ("nice", 100, "--nice=100"),
            ("no_requeue", True, "--no-requeue"),
        ],
    )
    def test_become_words_of_sbatch(
        self, tmp_path: Path, name: str, value: object, option: str
    ) -> None:
        Slurm().check_args({name: value})
        assert command(tmp_path, **{name: value})[5:] == [option]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("exclusive", False), ("hold", False), ("qos", None), ("qos", lambda job: None)],
    )
    def test_left_out(self, tmp_path: Path, name: str, value: object) -> None:
        assert command(tmp_path, **{name: value})[5:] == []

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"patition": "x"}, 'no Slurm argument "patition". Did you mean "partition"?'),
            ({"time_limit": 1}, 'Did you mean "timelimit"?'),
            ({"n_cpu": 1}, 'Did you mean "n_cpus"?'),
            ({"array": "0-3"}, '"array" is set by psyflow itself'),
            ({"job_name": "x"}, '"job_name" is set by psyflow itself'),
            ({"timelimit": 1, "time": 2}, '"time" is given under two names'),
            ({"partition": True}, '"partition" needs a value, not True'),
            ({"contiguous": "yes"}, '"contiguous" is switched by True or False'),
            ({"max_running": 0}, "max_running is a number of jobs, at least 1, not 0"),
            ({"max_running": True}, "not True"),
            ({"max_running": "5"}, "not '5'"),
        ],
    )
    def test_wrong_ones_are_refused(self, options: dict[str, object], complaint: str) -> None:
        with pytest.raises(UsageError) as caught:
            Slurm().check_args(options)
        assert complaint in str(caught.value)

    def test_what_a_function_returns_is_checked_too(self, tmp_path: Path) -> None:
        Slurm().check_args({"partition": lambda job: True})
        with pytest.raises(UsageError, match='"partition" needs a value'):
            command(tmp_path, partition=lambda job: True)

    def test_defaults_for_new_tasks_are_valid(self) -> None:
        Slurm().check_args(Slurm.USER_DEFAULT_ARGS)


class TestCommand:
    def test_array_and_throttle(self, tmp_path: Path) -> None:
        assert "--array=0-9" in command(tmp_path, 10)
        assert "--array=0-9%3" in command(tmp_path, 10, max_running=np.int64(3))
        assert command(tmp_path, max_running=3) == command(tmp_path)
        assert not any(word.startswith("--array") for word in command(tmp_path))

    def test_waits_for_whatever_becomes_of_others(self, tmp_path: Path) -> None:
        request = Slurm().request(["true"], tmp_path / "log", NAME, ["3", "4_1"])
        assert "--dependency=afterany:3:4_1" in Slurm().submit_command(request)
        assert not any("dependency" in word for word in command(tmp_path))

    @pytest.mark.parametrize(
        ("log", "array", "single"),
        [
            ("/w/t:process:%a.log", "/w/t:process:%a.log", "/w/t:process:%%a.log"),
            ("/w/100%/%j.log", "/w/100%%/%%j.log", "/w/100%%/%%j.log"),
            ("/w/a b.log", "/w/a b.log", "/w/a b.log"),
            ("/w/a\\%j.log", "/w/a\\\\%j.log", "/w/a\\\\%j.log"),
        ],
    )
    def test_slurm_replaces_nothing_in_a_log_but_the_index(
        self, log: str, array: str, single: str
    ) -> None:
        for size, pattern in ((5, array), (None, single)):
            words = Slurm().submit_command(SubmitRequest(("true",), log, array_size=size))
            assert f"--output={pattern}" in words

    def test_log_that_cannot_be_numbered_is_refused(self) -> None:
        with pytest.raises(UsageError, match="backslash"):
            Slurm().submit_command(SubmitRequest(("true",), "/w\\x/%a.log", array_size=2))

    @pytest.mark.parametrize(
        ("answer", "jobid"),
        [("12\n", "12"), ("12;cluster\n", "12;cluster"), ("sbatch: hello\n12\n", "12"), ("", "")]
        + [(nonsense, "") for nonsense in ("12 jobs\n", "Submitted batch job", "12\noops\n")],
    )
    def test_job_id(self, answer: str, jobid: str) -> None:
        assert Slurm().parse_job_id(answer) == jobid

    def test_one_query_asks_once_about_an_array(self) -> None:
        words = Slurm().status_command([*(f"12_{i}" for i in range(1000)), "13", "12"])
        assert words[-1] == "--jobs=12,13"


def run_script(args: list[str], array_size: int | None = None, index: int = 0) -> list[str]:
    """Return the arguments that the script of a job gives to its program."""
    request = SubmitRequest(("printf", "%s\\0", *args), "/log", array_size=array_size)
    script = Slurm().submit_script(request)
    assert script.startswith("#!/bin/sh\nexec ")
    answer = subprocess.run(
        ["sh"],
        input=script.encode(),
        stdout=subprocess.PIPE,
        env={"SLURM_ARRAY_TASK_ID": str(index), "PATH": "/usr/bin:/bin", "HOME": "/wrong"},
        check=True,
    )
    return answer.stdout.decode().split("\0")[:-1]


class TestScript:
    args = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=0)

    @given(st.lists(args, min_size=1, max_size=5))
    def test_arguments_survive_the_shell(self, args: list[str]) -> None:
        assert run_script(args) == args

    @given(st.lists(st.lists(args.filter(lambda a: "%a" not in a), min_size=1), min_size=1))
    def test_index_is_put_in_and_nothing_else_changes(self, pieces: list[list[str]]) -> None:
        args = ["%a".join(parts) for parts in pieces]
        assert run_script(args, 20, 13) == [arg.replace("%a", "13") for arg in args]

    def test_index_is_for_arrays_only(self) -> None:
        assert run_script(["%a"]) == ["%a"]
        assert run_script(["%a", ""], 3, 2) == ["2", ""]

    def test_nothing_comes_before_the_command(self) -> None:
        # sbatch reads options from comments up to the first command.
        script = Slurm().submit_script(SubmitRequest(("a", "\n#SBATCH --mem=1T\n"), "/log"))
        assert script.splitlines()[1].startswith("exec a ")
        assert shlex.split(script, comments=True)[:2] == ["exec", "a"]
