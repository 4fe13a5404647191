from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psyflow.outcomes.shard import ShardReader, ShardWriter
from psyflow.system.lease import LEASE_SECONDS
from psyflow.work.asked import ANSWER, QUESTION, Questions
from psyflow.work.crowd import lease_pause, longrunning_pause, sync_pause
from psyflow.work.evaluate import Evaluator
from psyflow.work.prepared import Prepared
from tests.support.job import Job
from tests.support.processes import eventually


class CountingWriter(ShardWriter):
    """Counts how often what was written is brought to the disk."""

    n_syncs = 0

    def sync(self) -> None:
        self.n_syncs += 1
        super().sync()


@pytest.mark.parametrize(("n_workers", "is_synced"), [(1, True), (1000, False)])
def test_rows_are_written_at_once_and_synced_less_often_by_many(
    tmp_path: Path, n_workers: int, is_synced: bool
) -> None:
    path = tmp_path / "a.rows"
    seen: list[int] = []

    def execute(i: int) -> dict[str, int]:
        if i == 1:
            # The thread writes the row of item 0 meanwhile.
            reader = ShardReader(path)
            eventually(lambda: [f for f in reader.new_frames() if 0 in f.items])
            if is_synced:
                eventually(lambda: writer.n_syncs)
            seen.append(writer.n_syncs)
        return {"y": i}

    with CountingWriter(path) as writer:
        evaluator = Evaluator(Prepared(execute), writer)
        evaluator.sync_every(sync_pause(n_workers))
        with evaluator:
            evaluator.evaluate(np.arange(2), {"i": [0, 1]})
            evaluator.flush()
        assert writer.n_syncs > seen[0]
    assert (seen[0] > 0) == is_synced


def test_what_is_told_of_a_job_that_lives_is_never_too_old() -> None:
    # A host of NFS may see it a minute later.
    for n_jobs in (1, 100, 1000, 100_000):
        assert lease_pause(n_jobs) + 60 < LEASE_SECONDS
        assert longrunning_pause(n_jobs) + 60 < LEASE_SECONDS


def test_a_question_is_found_without_a_list_of_all_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: Any) -> list[str]:
        raise AssertionError("a list of all names")

    questions = Questions(tmp_path, "job")
    (tmp_path / f"{QUESTION}job").write_text(json.dumps({"token": "t", "item": 7}))
    monkeypatch.setattr(os, "listdir", never)
    questions.heed(0.0, lambda item: f"item {item}")
    answer = json.loads((tmp_path / f"{ANSWER}job").read_text())
    assert answer == {"token": "t", "stack": "item 7"}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_claims_are_few_whatever_the_number_of_workers(tmp_path: Path) -> None:
    source = """
        def execute(i):
            note(i)
            time.sleep(0.001)
            return {"y": 2 * i}
    """
    run = Job(tmp_path, 2000, source, pool_size=8)
    run.command = ["strace", "-f", "-e", "trace=link", "-o", str(tmp_path / "links"), *run.command]
    assert run.run() == 0
    run.check_all_done()
    assert set(run.calls().values()) == {1}
    calls = (tmp_path / "links").read_text().splitlines()
    assert all("EEXIST" not in call for call in calls)
    # Eight workers that claim for themselves make at least two claims each.
    claims = [call for call in calls if "/claims/" in call]
    callers = {call.split()[0] for call in claims}
    assert len(callers) == 1
