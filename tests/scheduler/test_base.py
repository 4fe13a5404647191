from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from psyflow.exceptions import SchedulerError, UnknownNameError, UsageError
from psyflow.scheduler import (
    BatchScheduler,
    ImmediateRun,
    JobId,
    JobStatus,
    Scheduler,
    Slurm,
    Sqsub,
    SubmitRequest,
    scheduler_by_name,
    scheduler_names,
)
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import combine
from psyflow.scheduler.logs import checked_log

from .fake_programs import FakePrograms, failing


class Minimal(Scheduler):
    """Only what a plugin has to write."""

    def __init__(self) -> None:
        self.killed: list[JobId] = []

    def submit(
        self,
        args: Sequence[object],
        output_filename: object,
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        return "1"

    def kill(self, jobid: JobId) -> None:
        self.killed.append(jobid)

    def get_status(self, jobid: JobId) -> JobStatus | None:
        return JobStatus("1", "R", "t") if jobid == "1" else None

    def get_jobs(self) -> Sequence[JobId]:
        return ["1"]


class TestDefaults:
    def test_a_plugin_needs_four_methods(self) -> None:
        scheduler = Minimal()
        assert scheduler.get_statuses(["1", "2"]) == {"1": ("1", "R", "t"), "2": ("2", "?", "")}
        scheduler.kill_jobs(["1", "2"])
        assert scheduler.killed == ["1", "2"]
        scheduler.check_args({"anything": 1})
        assert scheduler.max_array_size() is None
        assert scheduler.runs_here is False
        assert scheduler.USER_DEFAULT_ARGS == {}

    def test_there_are_no_arrays(self) -> None:
        with pytest.raises(NotImplementedError, match="Minimal has no job arrays"):
            Minimal().submit_array(2, ["true"], "log")

    @pytest.mark.parametrize("make", [Slurm, Sqsub])
    def test_constructing_and_rendering_contacts_nothing(
        self, make: type[BatchScheduler], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in ("PATH", "USER", "HOME", "LOGNAME"):
            monkeypatch.delenv(name, raising=False)
        scheduler = make("/no/such/workdir")
        request = scheduler.request(
            ["true"], tmp_path / "log", "t", [], {"timelimit": "1m", "memory": "1G"}
        )
        assert scheduler.submit_command(request)
        assert list(tmp_path.iterdir()) == []


class TestCombine:
    @pytest.mark.parametrize(
        ("states", "whole"),
        [
            (["D", "D"], "D"),
            (["D", "F", "C"], "F"),
            (["D", "C"], "C"),
            (["D", "?"], "?"),
            (["F", "Q"], "Q"),
            (["*Q", "Q"], "Q"),
            (["F", "R", "Q"], "R"),
            ([], "?"),
        ],
    )
    def test_array_is_as_its_least_finished_member(self, states: list[str], whole: str) -> None:
        for order in itertools.permutations(states):
            members = [JobStatus(f"7_{i}", state, f"a:b:{i}") for i, state in enumerate(order)]
            assert combine("7", members) == ("7", whole, "a:b" if states else "")


class TestLog:
    def test_path_is_made_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert checked_log("job.log") == str(tmp_path / "job.log")

    def test_missing_folder_says_what_to_type(self, tmp_path: Path) -> None:
        with pytest.raises(SchedulerError, match=r"mkdir -p '.*/a b'"):
            checked_log(tmp_path / "a b" / "job.log")


class TestResolve:
    @pytest.mark.parametrize(
        ("function", "value"),
        [
            (lambda job: job, "t:merge"),
            (lambda job, attempt, reason: (job, attempt, reason), ("t:merge", 2, "oom")),
            (lambda job, attempt=1, reason=None: (attempt, reason), (2, "oom")),
            (lambda job, attempt: attempt, 2),
            (lambda job, n=8: n, 8),
            (lambda job, n=8, m=9: (n, m), (8, 9)),
            (lambda *args: args, ("t:merge",)),
            (lambda job, *, n=3: n, 3),
            ({"t:merge": "8G"}.get, "8G"),
            (len, 7),
            (str, "t:merge"),
        ],
    )
    def test_functions_get_what_they_ask_for(self, function: object, value: object) -> None:
        assert resolve({"x": function}, "t:merge", 2, "oom") == {"x": value}

    def test_none_is_dropped(self) -> None:
        assert resolve({"a": None, "b": lambda job: None, "c": 0}, "t") == {"c": 0}

    @pytest.mark.parametrize("function", [lambda: 1, {}.__getitem__, lambda a, b, c, d: 1])
    def test_failure_names_argument_and_job(self, function: object) -> None:
        with pytest.raises(UsageError, match='argument "memory" failed for job "t:merge": '):
            resolve({"memory": function}, "t:merge")


class TestRegistry:
    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("immediate", ImmediateRun),
            ("slurm", Slurm),
            ("sqsub", Sqsub),
            ("psyflow.scheduler.slurm:Slurm", Slurm),
            ("psyflow.scheduler.Sqsub", Sqsub),
        ],
    )
    def test_found_by_name_or_path(self, name: str, found: type[Scheduler]) -> None:
        assert scheduler_by_name(name) is found

    def test_names(self) -> None:
        assert {"immediate", "slurm", "sqsub"} <= set(scheduler_names())

    def test_misspelt_name_gets_a_suggestion(self) -> None:
        with pytest.raises(UnknownNameError, match=r'Did you mean "slurm"\?'):
            scheduler_by_name("slrum")

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..x", "no.such.module", "psyflow.nosuch:Slurm", "psyflow.scheduler.Slum"],
    )
    def test_nothing_there(self, name: str) -> None:
        with pytest.raises(UnknownNameError, match="There is no scheduler"):
            scheduler_by_name(name)

    def test_something_else_there(self) -> None:
        with pytest.raises(UsageError, match="does not derive from Scheduler"):
            scheduler_by_name("pathlib.Path")

    def test_broken_plugin_says_what_is_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "broken_plugin.py").write_text("import not_installed_anywhere\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
            scheduler_by_name("broken_plugin.Scheduler")


class Queue(BatchScheduler):
    """Only what a plugin for a cluster has to write."""

    ARGS = frozenset({"memory", "n_cpus"})
    REQUIRED_ARGS = ("memory",)
    RETRY_PAUSES = (0.0, 0.0)

    def submit_command(self, request: SubmitRequest) -> list[str]:
        return ["q-sub", str(request.options["memory"]), *request.args]

    def parse_job_id(self, stdout: str) -> JobId:
        return stdout.strip()

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        return ["q-stat", *jobids]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        rows = (line.split() for line in stdout.splitlines())
        return {jobid: JobStatus(jobid, state, "t") for jobid, state in rows}

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        return ["q-del", *jobids]


class TestBatchScheduler:
    args: ClassVar = {"memory": "1G"}

    def test_submits(self, programs: FakePrograms, tmp_path: Path) -> None:
        programs.says("q-sub", "17")
        assert Queue().submit(["a", Path("b")], tmp_path / "log", "t", None, self.args) == "17"
        assert programs.calls() == ["q-sub 1G a b"]

    def test_arguments_are_checked_before_anything_is_submitted(
        self, programs: FakePrograms, tmp_path: Path
    ) -> None:
        programs.says("q-sub", "17")
        for args, complaint in [
            (None, "Queue needs the scheduler arguments memory"),
            ({"memory": None}, "Queue needs the scheduler arguments memory"),
            ({"memory": "1G", "n_cpu": 1}, 'no Queue argument "n_cpu". Did you mean "n_cpus"'),
            ({"memory": "1G", "n_cpus": 1, "n-cpus": 2}, '"n-cpus" is given under two names'),
            ({"memory": lambda job: 1 / 0}, 'argument "memory" failed for job "t": ZeroDiv'),
        ]:
            with pytest.raises(UsageError, match=complaint):
                Queue().submit(["a"], tmp_path / "log", "t", None, args)
        assert programs.calls() == []

    def test_no_arrays_unless_it_has_them(self, tmp_path: Path) -> None:
        with pytest.raises(NotImplementedError, match="Queue has no job arrays"):
            Queue().submit_array(2, ["a"], tmp_path / "log", None, None, self.args)

    def test_control_characters_are_kept_out_of_names(self, tmp_path: Path) -> None:
        request = Queue().request(["a"], tmp_path / "log", "a\nb\x1b: é", None, self.args)
        assert request.name == "a_b_: é"

    def test_single_id_is_one_dependency(self, tmp_path: Path) -> None:
        request = Queue().request(["a"], tmp_path / "log", None, "12", self.args)
        assert request.depends_on == ("12",)

    def test_program_that_is_not_there(self, programs: FakePrograms, tmp_path: Path) -> None:
        with pytest.raises(SchedulerError, match=r'There is no program "q-sub"\. Log in'):
            Queue().submit(["a"], tmp_path / "log", None, None, self.args)
        with pytest.raises(SchedulerError, match='There is no program "q-stat"'):
            Queue().get_statuses(["1"])

    def test_submission_that_fails_is_not_repeated(
        self, programs: FakePrograms, tmp_path: Path
    ) -> None:
        programs.fails("q-sub", "over quota", 3)
        with pytest.raises(
            SchedulerError, match=r"exit code 3: over quota\nThe command was: q-su"
        ):
            Queue().submit(["a"], tmp_path / "log", None, None, self.args)
        assert len(programs.calls("q-sub")) == 1

    def test_answer_without_an_id(self, programs: FakePrograms, tmp_path: Path) -> None:
        programs.says("q-sub", "")
        with pytest.raises(SchedulerError, match="did not say which job it submitted"):
            Queue().submit(["a"], tmp_path / "log", None, None, self.args)

    def test_many_ids_are_one_query(self, programs: FakePrograms) -> None:
        programs.says("q-stat", "1 R", "2 Q")
        statuses = Queue().get_statuses(["1", "2", "3", "1"])
        assert [s.status for s in statuses.values()] == ["R", "Q", "?"]
        assert programs.calls() == ["q-stat 1 2 3"]
        assert Queue().get_statuses([]) == {}
        assert len(programs.calls()) == 1

    def test_very_many_ids_are_few_commands(self, programs: FakePrograms) -> None:
        programs.says("q-stat", "1 R")
        programs.says("q-del")
        ids = [str(i) for i in range(2500)]
        assert len(Queue().get_statuses(ids)) == 2500
        Queue().kill_jobs(ids)
        assert len(programs.calls("q-stat")) == len(programs.calls("q-del")) == 3
        assert [i for line in programs.calls("q-del") for i in line.split()[1:]] == ids

    def test_kill_that_fails_is_an_error_only_for_the_living(self, programs: FakePrograms) -> None:
        programs.fails("q-del", "no such job")
        programs.says("q-stat", "1 D", "2 R", "4 ?")
        Queue().kill_jobs(["1", "3"])
        for alive in ("2", "4"):
            with pytest.raises(SchedulerError, match="no such job"):
                Queue().kill_jobs(["1", alive])

    def test_one_that_is_gone_does_not_save_the_others(self, programs: FakePrograms) -> None:
        programs.add("q-del", failing("no job 1"), ":")
        programs.says("q-stat", "1 D", "2 R", "3 Q")
        Queue().kill_jobs(["1", "2", "3"])
        assert programs.calls("q-del") == ["q-del 1 2 3", "q-del 2", "q-del 3"]

    def test_get_jobs_leaves_out_only_what_is_known_to_be_over(
        self, programs: FakePrograms, tmp_path: Path
    ) -> None:
        programs.add("q-sub", *(f"echo {i}" for i in range(1, 6)))
        programs.says("q-stat", "1 D", "2 R", "3 F", "4 ?")
        scheduler = Queue()
        for _ in range(5):
            scheduler.submit(["a"], tmp_path / "log", None, None, self.args)
        assert scheduler.get_jobs() == ["2", "4", "5"]
